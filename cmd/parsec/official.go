package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// officialCommand is a command of official servers of Parsec 3, by which files and
// scripts that were written for them go on (docs/protocol/v5/administration.md §3).
type officialCommand struct {
	// name is that of the official command, at the root.
	name string
	// ours makes the command that does it here, with the same options.
	ours func(program) *cobra.Command
}

// officialCommands are those that have another name here.
var officialCommands = []officialCommand{
	{"run", program.backendRunCommand},
	{"migrate", program.backendMigrateCommand},
	{"human_accesses", program.humanAccessesCommand},
	{"export_realm", program.exportRealmCommand},
	{"list_deletable_realms", program.realmListCommand},
	{"delete_realm", program.realmDeleteCommand},
	{"export_email", program.emailPreviewCommand},
}

// officialGroups are those whose commands have their official names as aliases.
var officialGroups = []string{"sequester"}

// addOfficial adds the official commands to the root, where no help shows them.
func (p program) addOfficial(root *cobra.Command) {
	for _, official := range officialCommands {
		for _, ours := range root.Commands() {
			ours.Aliases = slices.DeleteFunc(ours.Aliases, func(alias string) bool { return alias == official.name })
		}
		command := official.ours(p)
		command.Use, command.Aliases, command.Hidden = official.name, nil, true
		tolerateServerOptions(command)
		root.AddCommand(command)
	}
	for _, group := range root.Commands() {
		if slices.Contains(officialGroups, group.Name()) {
			for _, command := range group.Commands() {
				tolerateServerOptions(command)
			}
		}
	}
}

// tolerateServerOptions has a command take, unseen, the options of the server that it has
// not: official commands take those of logs and of reports, and PARSEC_CMD_ARGS may have
// any.
func tolerateServerOptions(command *cobra.Command) {
	flags := command.Flags()
	flags.AddFlagSet(command.PersistentFlags())
	(&settingsFlags{}).tolerateAll(flags)
}
