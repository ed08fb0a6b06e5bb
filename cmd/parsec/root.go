package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
	"parsec-server/pkg/lifecycle"
)

// The exit codes (docs/protocol/configuration.md §1).
const (
	exitSuccess = 0
	exitFailure = 1
	exitUsage   = 2
	// exitProblems is of commands that have done their work, and found what is
	// not as it should be (docs/blockstore.md).
	exitProblems = 3
)

// program is what the commands share.
type program struct {
	// commandLine is what was typed, without the arguments of PARSEC_CMD_ARGS.
	commandLine []string
	environment config.Environment
	build       build
	stdout      io.Writer
	stderr      io.Writer
	serve       func(ctx context.Context, process *lifecycle.Process, settings config.Config, log *slog.Logger, build build, stdout io.Writer) error
}

// run executes the command that args name and returns the exit code.
func run(ctx context.Context, args []string, environment config.Environment, stdout, stderr io.Writer) int {
	p := program{
		commandLine: config.JoinWords(args),
		environment: environment,
		build:       stampedBuild(),
		stdout:      stdout,
		stderr:      stderr,
		serve:       serve,
	}
	return p.run(ctx)
}

func (p program) run(ctx context.Context) int {
	root := p.rootCommand()
	args := append([]string{}, p.commandLine...) // never nil, which would mean os.Args
	if !p.completes() {
		args = append(args, p.environment.Arguments()...)
	}
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, context.Canceled) {
		if errors.Is(context.Cause(ctx), errInterrupted) {
			fmt.Fprintln(p.stdout, "bye ;-)")
			return exitSuccess
		}
		if err == nil || errors.Is(context.Cause(ctx), errTerminated) {
			return exitSuccess
		}
	}
	if errors.Is(err, errProblems) {
		return exitProblems
	}
	if errors.Is(err, errTold) {
		return exitFailure
	}
	if usage := (*config.UsageError)(nil); errors.As(err, &usage) {
		fmt.Fprintf(p.stderr, "Usage: %s [OPTIONS]\nTry '%[1]s --help' for help.\n\nError: %s\n", command.CommandPath(), usage)
		return exitUsage
	}
	fmt.Fprintf(p.stdout, "Error: %s\n", err)
	return exitFailure
}

func (p program) rootCommand() *cobra.Command {
	root := p.group("parsec", "Zero-trust file sharing.")
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(usageOfFlag)
	root.AddCommand(p.backendCommand(), p.organizationCommand(), p.realmCommand(), p.sequesterCommand(), p.exportRealmCommand(), p.accountCommand(),
		p.humanAccessesCommand(), p.benchCommand(),
		p.completionCommand(), p.manCommand())
	p.addOfficial(root)
	return root
}

// group makes a command that only has commands.
func (p program) group(name, short string) *cobra.Command {
	var version bool
	group := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			switch {
			case version:
				fmt.Fprintf(p.stdout, "parsec, version %s\n", p.build)
				return nil
			case len(args) > 0:
				return &config.UsageError{Message: "No such command '" + args[0] + "'."}
			default:
				return command.Help()
			}
		},
	}
	// The version of cobra would link text/template, and with that, since templates
	// call methods by name, every method of every type: 7 MB.
	group.Flags().BoolVarP(&version, "version", "v", false, "Print the version.")
	return group
}

// noArguments refuses what is neither option nor value.
func noArguments(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return nil
	case 1:
		return &config.UsageError{Message: "Got unexpected extra argument (" + args[0] + ")"}
	default:
		return &config.UsageError{Message: "Got unexpected extra arguments (" + strings.Join(args, " ") + ")"}
	}
}

// usageOfFlag returns an error of the flag parser with its official message.
func usageOfFlag(_ *cobra.Command, err error) error {
	message := err.Error()
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		message = "No such option: " + dashed(unknown.GetSpecifiedName())
	}
	if lonely := (*pflag.ValueRequiredError)(nil); errors.As(err, &lonely) {
		message = "Option '" + dashed(lonely.GetSpecifiedName()) + "' requires an argument."
	}
	return &config.UsageError{Message: message}
}

func dashed(option string) string {
	if len(option) == 1 {
		return "-" + option
	}
	return "--" + option
}
