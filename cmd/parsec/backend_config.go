package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (p program) backendConfigCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in effect and where each came from. Secrets are masked.",
		Args:  noArguments,
	}
	options := newSettingsFlags(command.Flags())
	command.RunE = func(*cobra.Command, []string) error {
		loaded, err := p.load(options)
		if err != nil {
			return err
		}
		for _, warning := range loaded.Warnings {
			fmt.Fprintln(p.stderr, "Warning:", warning)
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, effective := range loaded.Effective {
			text := effective.Text
			if text == "" {
				text = "(none)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", effective.Setting.Name, text, effective.Origin())
		}
		return table.Flush()
	}
	return command
}
