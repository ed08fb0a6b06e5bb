package main

import (
	"io"

	"github.com/spf13/cobra"
)

func (p program) completionCommand() *cobra.Command {
	completion := p.group("completion", "Print what makes a shell complete commands and options.")
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
