package main

import "github.com/spf13/cobra"

// sequesterCommand is both `parsec sequester` and `parsec backend sequester`,
// as the official command is called (docs/protocol/administration.md §7).
func (p program) sequesterCommand() *cobra.Command {
	sequester := p.group("sequester", "The sequester services of an organization.")
	sequester.AddCommand(
		p.sequesterCreateCommand(), p.sequesterGenerateCommand(), p.sequesterImportCommand(),
		p.sequesterListCommand(), p.sequesterUpdateCommand(), p.sequesterGenerateRevocationCommand(), p.sequesterRevokeCommand(),
		p.sequesterExportCommand(),
	)
	return sequester
}

// sequesterSubcommand has the name of the official command as an alias.
func sequesterSubcommand(name, official, short string) *cobra.Command {
	command := &cobra.Command{Use: name, Aliases: []string{official}, Short: short, Args: noArguments}
	command.Flags().SortFlags = false
	return command
}
