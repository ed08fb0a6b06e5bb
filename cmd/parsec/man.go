package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func (p program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write a manual page for each command.",
		Args:  oneArgument("DIRECTORY"),
		RunE: func(command *cobra.Command, args []string) error {
			root := command.Root()
			root.DisableAutoGenTag = true
			escapeMarkdown(root)
			return doc.GenManTree(root, &doc.GenManHeader{Source: "parsec " + p.build.version, Manual: "Parsec"}, args[0])
		},
	}
}

// markdown keeps what the texts of commands hold: pages are made of them by way
// of Markdown, where `<host>` is a tag that does not show.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "<", `\<`, "*", `\*`, "_", `\_`, "[", `\[`)

func escapeMarkdown(command *cobra.Command) {
	command.Short = markdown.Replace(command.Short)
	command.Flags().VisitAll(func(flag *pflag.Flag) { flag.Usage = markdown.Replace(flag.Usage) })
	for _, child := range command.Commands() {
		escapeMarkdown(child)
	}
}
