package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
)

// officialCommand is a command of official servers of Parsec 3, by which files and
// scripts that were written for them go on (docs/protocol/v5/administration.md §3).
type officialCommand struct {
	// name is that of the official command, at the root.
	name string
	// ours makes the command that does it here.
	ours func(program) *cobra.Command
	// options are the official names of options that have another one here.
	options map[string]string
	// output is the option that takes what the official command takes as its only
	// argument, "" for none.
	output string
}

// officialCommands are those that have another name here. The others have an alias where
// they are.
var officialCommands = []officialCommand{
	{name: "run", ours: program.backendRunCommand},
	{name: "migrate", ours: program.backendMigrateCommand},
	{name: "human_accesses", ours: program.humanAccessesCommand},
}

// addOfficial adds the official commands to the root, where no help shows them.
func (p program) addOfficial(root *cobra.Command) {
	for _, official := range officialCommands {
		command := official.ours(p)
		command.Use, command.Aliases, command.Hidden = official.name, nil, true
		takeOfficial(command, official)
		for _, ours := range root.Commands() {
			ours.Aliases = slices.DeleteFunc(ours.Aliases, func(alias string) bool { return alias == official.name })
		}
		root.AddCommand(command)
	}
}

// takeOfficial has a command take the line that the official one takes.
func takeOfficial(command *cobra.Command, official officialCommand) {
	tolerateServerOptions(command.Flags())
	if len(official.options) > 0 {
		command.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
			if ours := official.options[name]; ours != "" {
				name = ours
			}
			return pflag.NormalizedName(name)
		})
	}
	if official.output == "" {
		return
	}
	work := command.RunE
	command.Args = cobra.ArbitraryArgs
	command.RunE = func(command *cobra.Command, args []string) error {
		if len(args) > 1 {
			return noArguments(command, args[1:])
		}
		if len(args) == 1 {
			if err := command.Flags().Set(official.output, args[0]); err != nil {
				return &config.UsageError{Message: err.Error()}
			}
		}
		return work(command, nil)
	}
}

// tolerateServerOptions defines, unseen, the options of the server that a command has
// not: official commands take those of logs and of reports, and PARSEC_CMD_ARGS may have
// any.
func tolerateServerOptions(flags *pflag.FlagSet) {
	(&settingsFlags{}).tolerateAll(flags)
}
