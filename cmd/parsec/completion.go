package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
)

func (p program) completionCommand() *cobra.Command {
	completion := p.group("completion", "Print what makes a shell complete commands, options and their values.")
	for shell, write := range map[string]func(root *cobra.Command, w io.Writer) error{
		"bash": func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  (*cobra.Command).GenZshCompletion,
		"fish": func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		completion.AddCommand(&cobra.Command{
			Use:   shell,
			Short: "For " + shell + ".",
			Args:  noArguments,
			RunE:  func(command *cobra.Command, _ []string) error { return write(command.Root(), p.stdout) },
		})
	}
	return completion
}

// completes reports whether a shell asks what could follow, by the commands
// that the scripts of cobra call: what was typed so far is then the last
// argument.
func (p program) completes() bool {
	return len(p.commandLine) > 0 &&
		(p.commandLine[0] == cobra.ShellCompRequestCmd || p.commandLine[0] == cobra.ShellCompNoDescRequestCmd)
}

// fileArguments are the arguments of commands that are files or folders, by their names in
// the line of usage.
var fileArguments = []string{"DIRECTORY", "FOLDER", "ARCHIVE", "[OUTPUT]"}

// completeValues has shells complete the values of the options and arguments of a command:
// files only where a file is meant.
func completeValues(command *cobra.Command) {
	isFile := func(argument string) bool { return slices.Contains(fileArguments, argument) }
	if doesWork(command) && command.ValidArgsFunction == nil && !slices.ContainsFunc(strings.Fields(command.Use), isFile) {
		command.ValidArgsFunction = cobra.NoFileCompletions
	}
	complete := func(flag *pflag.Flag) {
		if flag.Hidden || flag.NoOptDefVal != "" {
			return
		}
		if _, taken := command.GetFlagCompletionFunc(flag.Name); taken {
			return
		}
		choices := flag.Annotations[choiceNote]
		var values cobra.CompletionFunc
		switch kind := valueKind(flag); {
		case len(choices) > 0:
			values = cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)
		case kind == string(config.File):
			values = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		default:
			values = cobra.NoFileCompletions
		}
		_ = command.RegisterFlagCompletionFunc(flag.Name, values) // of a flag that is there, once
	}
	command.Flags().VisitAll(complete)
	command.PersistentFlags().VisitAll(complete)
}

// completionTimeout bounds what a shell waits for.
const completionTimeout = 2 * time.Second

// completeOrganizations completes an argument with the organizations of the server.
func completeOrganizations(reach func(func(administration) error) error) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(command)), completionTimeout)
		defer cancel()
		var answer bytes.Buffer
		err := reach(func(a administration) error { return a.ServerStatistics(ctx, "json", nil, &answer) })
		var stats struct {
			Organizations []struct {
				ID string `json:"organization_id"`
			} `json:"stats"`
		}
		if err != nil || json.Unmarshal(answer.Bytes(), &stats) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, organization := range stats.Organizations {
			names = append(names, organization.ID)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// contextOf returns the context of a command, which has none while it is completed.
func contextOf(command *cobra.Command) context.Context {
	if ctx := command.Context(); ctx != nil {
		return ctx
	}
	return command.Root().Context()
}
