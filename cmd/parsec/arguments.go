package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
)

// isServer reports whether a command is the server itself, by any of its names.
func isServer(command *cobra.Command) bool {
	path := command.CommandPath()
	return path == "parsec backend run" || path == "parsec run"
}

// typedCommand returns the command that the command line names, nil for a group or none:
// PARSEC_CMD_ARGS may name the rest.
func (p program) typedCommand() *cobra.Command {
	line := p.commandLine
	if p.completes() {
		line = line[1:]
	}
	command, _, err := p.rootCommand().Find(line)
	if err != nil || !doesWork(command) {
		return nil
	}
	return command
}

// doesWork reports whether a command does something, which groups do not. Some commands
// have commands besides.
func doesWork(command *cobra.Command) bool {
	return !command.HasSubCommands() || command.Name() == "migrate" || command.Name() == "import"
}

// arguments returns what a command gets: what was typed, and what PARSEC_CMD_ARGS has
// for it. command is nil where what was typed names none that does something.
func (p program) arguments(command *cobra.Command) []string {
	typed := append([]string{}, p.commandLine...) // never nil, which would mean os.Args
	added := p.environment.Arguments()
	switch {
	case p.completes() || len(added) == 0:
		return typed
	case command == nil && isServerMeant(added) && !p.isCompleted(added):
		return typed // it asks for help, or for the version, or has a typing error
	case command == nil || isServer(command) || !isForServer(command, added):
		return append(typed, added...)
	}
	return append(typed, optionsOf(command, added)...)
}

// isCompleted reports whether PARSEC_CMD_ARGS has the rest of the name of the command
// that was typed, of which there is no option yet.
func (p program) isCompleted(added []string) bool {
	if slices.ContainsFunc(p.commandLine, func(word string) bool { return strings.HasPrefix(word, "-") }) {
		return false
	}
	command, _, err := p.rootCommand().Find(slices.Concat(p.commandLine, added))
	return err == nil && doesWork(command)
}

// isForServer reports whether PARSEC_CMD_ARGS is meant for the server rather than for a
// command: it names the server, or has an option that the server has and the command
// has not.
func isForServer(command *cobra.Command, added []string) bool {
	return namesServer(added) || len(optionsOf(command, added)) < len(added) && isServerMeant(added)
}

// isServerMeant reports whether PARSEC_CMD_ARGS names the server, or has an option of it.
func isServerMeant(added []string) bool { return namesServer(added) || len(serverArguments(added)) > 0 }

func namesServer(added []string) bool {
	return added[0] == "run" || len(added) > 1 && added[0] == "backend" && added[1] == "run"
}

// serverArguments returns the settings among the words of PARSEC_CMD_ARGS.
func serverArguments(added []string) []config.Argument {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	options := newSettingsFlags(flags)
	_ = flags.Parse(added) // what is wrong is told by the server
	for i := range options.given {
		options.given[i].Expanded = true
	}
	return options.given
}

// optionsOf returns the options among the words of PARSEC_CMD_ARGS that a command has,
// with their values.
func optionsOf(command *cobra.Command, added []string) (kept []string) {
	of := allFlags(command)
	server := pflag.NewFlagSet("", pflag.ContinueOnError)
	newSettingsFlags(server)
	for i := 0; i < len(added); i++ {
		name, _, glued := strings.Cut(strings.TrimLeft(added[i], "-"), "=")
		if !strings.HasPrefix(added[i], "-") {
			continue
		}
		find := func(in *pflag.FlagSet) *pflag.Flag {
			if strings.HasPrefix(added[i], "--") {
				return in.Lookup(name)
			}
			return in.ShorthandLookup(name[:min(1, len(name))])
		}
		ours, theirs := find(of), find(server)
		flag := ours
		if flag == nil {
			flag = theirs
		}
		apart := flag != nil && flag.NoOptDefVal == "" && !glued && (strings.HasPrefix(added[i], "--") || len(name) == 1)
		words := added[i : i+1]
		if apart && i+1 < len(added) {
			words = added[i : i+2]
			i++
		}
		// A letter that means something else to the server is not for the command.
		if ours != nil && (theirs == nil || ours.Name == theirs.Name) {
			kept = append(kept, words...)
		}
	}
	return kept
}

// allFlags returns the options that a command takes.
func allFlags(command *cobra.Command) *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.AddFlagSet(command.Flags())
	flags.AddFlagSet(command.PersistentFlags())
	flags.AddFlagSet(command.InheritedFlags())
	return flags
}

// beside returns the program with the settings of the server that runs here, for every
// command but the server itself: those of PARSEC_CMD_ARGS, and where nothing is set nor
// typed those of its folder.
func (p program) beside(command *cobra.Command) (program, error) {
	if command == nil || isServer(command) {
		return p, nil
	}
	p.besides = serverArguments(p.environment.Arguments())
	if len(p.besides) > 0 || p.environment.Folder == "" || p.typesSetting(command) {
		return p, nil
	}
	var err error
	p.environment, p.folderDenied, err = p.environment.InFolder(p.environment.Folder)
	return p, err
}

// typesSetting reports whether the command line says where a server, its database or its
// blocks are.
func (p program) typesSetting(command *cobra.Command) bool {
	return slices.ContainsFunc(p.commandLine, func(word string) bool {
		if !strings.HasPrefix(word, "-") {
			return false
		}
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		flag := allFlags(command).Lookup(name)
		if flag == nil && !strings.HasPrefix(word, "--") && name != "" {
			flag = allFlags(command).ShorthandLookup(name[:1])
		}
		return flag != nil && (note(flag, settingNote) != "" || flag.Name == addrOption)
	})
}
