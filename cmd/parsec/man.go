package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
)

func (p program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write a manual page for each command.",
		Args:  oneArgument("DIRECTORY"),
		RunE: func(command *cobra.Command, args []string) error {
			return p.writeManual(command.Root(), args[0])
		},
	}
}

// writeManual writes the page of a command and of those below it. They say what help says.
func (p program) writeManual(command *cobra.Command, folder string) error {
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() {
			if err := p.writeManual(below, folder); err != nil {
				return err
			}
		}
	}
	path := filepath.Join(folder, manualName(command)+".1")
	text := manualText(command, "parsec "+p.build.version)
	return wrongPath("DIRECTORY", os.WriteFile(path, md2man.Render([]byte(text)), 0o644)) //nolint:gosec // everybody reads manuals
}

func manualName(command *cobra.Command) string {
	return strings.ReplaceAll(command.CommandPath(), " ", "-")
}

// markdown keeps what the texts of commands hold: pages are made of them by way
// of Markdown, where `<host>` is a tag that does not show.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "<", `\<`, "*", `\*`, "_", `\_`, "[", `\[`)

// manualText returns the page of a command in Markdown.
func manualText(command *cobra.Command, source string) string {
	page, name := newHelpPage(command), manualName(command)
	var text strings.Builder
	fmt.Fprintf(&text, "%% %q \"1\" \"\" %q \"Parsec\"\n\n", strings.ToUpper(name), source)
	fmt.Fprintf(&text, "# NAME\n%s - %s\n\n", name, markdown.Replace(command.Short))
	fmt.Fprintf(&text, "# SYNOPSIS\n**%s**%s\n\n", page.path, markdown.Replace(strings.TrimPrefix(page.usage, page.path)))
	fmt.Fprintf(&text, "# DESCRIPTION\n%s\n\n", markdown.Replace(page.about))
	for _, group := range page.commands {
		fmt.Fprintf(&text, "# %s\n", strings.ToUpper(group.title))
		for _, item := range group.items {
			fmt.Fprintf(&text, "**%s**\n:   %s\n\n", item.name, markdown.Replace(item.about))
		}
	}
	for _, group := range page.options {
		fmt.Fprintf(&text, "# %s\n", strings.ToUpper(group.title))
		for _, item := range group.items {
			fmt.Fprintf(&text, "**%s** %s\n:   %s\n\n", strings.ReplaceAll(item.name, ", ", "**, **"), markdown.Replace(item.value), markdown.Replace(item.text()))
		}
	}
	if len(page.examples) > 0 {
		text.WriteString("# EXAMPLES\n\n")
		for _, example := range page.examples {
			fmt.Fprintf(&text, "    %s\n", example)
		}
		text.WriteString("\n")
	}
	text.WriteString("# EXIT STATUS\n0: done. 1: what happened, such as a server that refused. 2: what was typed or set is wrong, and nothing was done. 3: done, and something was found that is not as it should be.\n\n")
	if related := relatedPages(command); len(related) > 0 {
		fmt.Fprintf(&text, "# SEE ALSO\n%s\n", strings.Join(related, ", "))
	}
	return text.String()
}

// relatedPages are those of the group, and of the commands below.
func relatedPages(command *cobra.Command) (pages []string) {
	if command.HasParent() {
		pages = append(pages, "**"+manualName(command.Parent())+"(1)**")
	}
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() {
			pages = append(pages, "**"+manualName(below)+"(1)**")
		}
	}
	return pages
}
