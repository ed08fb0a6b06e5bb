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

// program is what the commands share.
type program struct {
	// commandLine is what was typed, without the arguments of PARSEC_CMD_ARGS.
	commandLine []string
	environment config.Environment
	build       build
	stdout      io.Writer
	stderr      io.Writer
	// besides are the settings of the server that PARSEC_CMD_ARGS has, for a command
	// that is not the server.
	besides []config.Argument
	// folderDenied is of a folder of settings that the caller may not read.
	folderDenied bool
	serve        func(ctx context.Context, process *lifecycle.Process, settings config.Config, log *slog.Logger, build build, stdout io.Writer) error
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
	typed := p.typedCommand()
	p, err := p.beside(typed)
	root := p.rootCommand()
	command := root
	if err == nil {
		root.SetArgs(p.arguments(typed))
		command, err = root.ExecuteContextC(ctx)
	}
	return p.exitCode(ctx, command, err)
}

func (p program) rootCommand() *cobra.Command {
	root := p.group("parsec", "Zero-trust file sharing.")
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(usageOfFlag)
	root.SetHelpFunc(p.showHelp)
	root.AddCommand(p.backendCommand(), p.organizationCommand(), p.realmCommand(), p.sequesterCommand(), p.exportRealmCommand(), p.accountCommand(),
		p.humanAccessesCommand(), p.benchCommand(),
		p.completionCommand(), p.manCommand(), p.versionCommand())
	p.addOfficial(root)
	p.finish(root)
	return root
}

// finish gives each command what all have in common.
func (p program) finish(command *cobra.Command) {
	p.wantAll(command)
	if p.completes() { // cobra keeps them for ever
		completeValues(command)
	}
	command.InitDefaultHelpFlag()
	command.Flags().Lookup("help").Usage = "Print this help."
	for _, below := range command.Commands() {
		p.finish(below)
	}
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
				return p.printVersion()
			case len(args) > 0:
				return noSuchCommand(command, args[0])
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

func (p program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program.", Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return p.printVersion() },
	}
}

func (p program) printVersion() error {
	_, err := fmt.Fprintf(p.stdout, "parsec, version %s\n", p.build)
	return err
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

// noSuchCommand names the nearest of those that a group has.
func noSuchCommand(group *cobra.Command, name string) error {
	path := strings.TrimPrefix(group.CommandPath()+" "+name, "parsec ")
	if here, renamed := renamedCommands[path]; renamed {
		return &config.UsageError{Message: "No such command '" + name + "'. " + here}
	}
	var names []string
	for _, command := range group.Commands() {
		if !command.Hidden {
			names = append(names, command.Name())
		}
		names = append(names, command.Aliases...)
	}
	return &config.UsageError{Message: "No such command '" + name + "'." + didYouMean(name, names, "")}
}

func didYouMean(name string, names []string, before string) string {
	nearest, found := config.Nearest(name, names)
	if !found {
		return ""
	}
	return " Did you mean " + before + nearest + "?"
}

// usageOfFlag returns an error of the flag parser with its official message, and the
// nearest option.
func usageOfFlag(command *cobra.Command, err error) error {
	message := err.Error()
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		message = "No such option: " + dashed(name)
		if len(name) > 1 {
			var names []string
			allFlags(command).VisitAll(func(flag *pflag.Flag) {
				if !flag.Hidden {
					names = append(names, flag.Name)
				}
			})
			if hint := didYouMean(name, names, "--"); hint != "" {
				message += "." + hint
			}
		}
	}
	if lonely := (*pflag.ValueRequiredError)(nil); errors.As(err, &lonely) {
		message = "Option '" + dashed(lonely.GetSpecifiedName()) + "' requires an argument."
	}
	if wrong := (*pflag.InvalidValueError)(nil); errors.As(err, &wrong) {
		message = wrongValue(wrong)
	}
	return &config.UsageError{Message: message}
}

// wrongValue puts an error of the flag parser in the words of those of settings.
func wrongValue(wrong *pflag.InvalidValueError) string {
	flag := wrong.GetFlag()
	kind := map[string]string{
		"bool": "boolean", "int": "integer", "uint32": "integer", "uint64": "integer", "duration": "duration, such as 90s or 1h30m",
	}[flag.Value.Type()]
	if kind == "" {
		return wrong.Error()
	}
	return "Invalid value for '--" + flag.Name + "': '" + wrong.GetValue() + "' is not a valid " + kind + "."
}

func dashed(option string) string {
	if len(option) == 1 {
		return "-" + option
	}
	return "--" + option
}
