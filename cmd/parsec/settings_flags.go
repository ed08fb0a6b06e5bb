package main

import (
	"io"
	"slices"

	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
)

// settingsFlags records the options of the table of settings as they are
// parsed. Their texts are judged later, by config.Load.
type settingsFlags struct {
	given []config.Argument
}

// newSettingsFlags defines an option for each setting and alias.
func newSettingsFlags(flags *pflag.FlagSet) *settingsFlags {
	recorder := &settingsFlags{}
	flags.SortFlags = false
	for _, setting := range config.Settings() {
		recorder.defineAll(flags, setting)
	}
	return recorder
}

// tolerateAll defines, unseen, the options that flags have not: PARSEC_CMD_ARGS
// holds those of the server, and follows the commands that prepare it as well.
func (s *settingsFlags) tolerateAll(flags *pflag.FlagSet) {
	flags.SortFlags = false
	for _, setting := range config.Settings() {
		if flags.Lookup(setting.Name) != nil {
			continue
		}
		if setting.Short != "" && flags.ShorthandLookup(setting.Short) != nil {
			setting.Short = "" // of an option of the command
		}
		rest := pflag.NewFlagSet("", pflag.ContinueOnError)
		s.defineAll(rest, setting)
		rest.VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
		flags.AddFlagSet(rest)
	}
}

func (s *settingsFlags) defineAll(flags *pflag.FlagSet, setting config.Setting) {
	s.define(flags, setting, setting.Name, setting.Short, setting.Help, setting.Default)
	for _, alias := range setting.Aliases {
		if alias.Name != "" {
			s.define(flags, setting, alias.Name, "", alias.Help, "")
		}
	}
}

// defineSome defines the options of some settings, without their aliases. Where the
// database is one of them, the folder that may hold it is another.
func (s *settingsFlags) defineSome(flags *pflag.FlagSet, names ...string) {
	flags.SortFlags = false
	if slices.Contains(names, "db") {
		names = append(names, dataOption)
	}
	for _, name := range names {
		for _, setting := range config.Settings() {
			if setting.Name == name {
				s.define(flags, setting, setting.Name, setting.Short, setting.Help, setting.Default)
			}
		}
	}
}

func (s *settingsFlags) define(flags *pflag.FlagSet, setting config.Setting, name, short, help, byDefault string) {
	flag := flags.VarPF(&settingValue{s, name, setting.Kind}, name, short, help)
	flag.DefValue = byDefault
	notes := flagNotes{kind: setting.Kind, group: setting.Group, setting: setting.Name, choices: setting.Choices}
	if name == setting.Name {
		notes.variables, notes.required = setting.AllVariables(), setting.Required
	} else {
		notes.variables = setting.VariablesOf(name)
	}
	describe(flags, name, notes)
	if setting.Kind == config.Flag {
		flag.NoOptDefVal = "true"
	}
}

// settingValue is a pflag.Value that takes any text.
type settingValue struct {
	recorder *settingsFlags
	name     string
	kind     config.Kind
}

func (v *settingValue) Set(text string) error {
	v.recorder.given = append(v.recorder.given, config.Argument{Name: v.name, Text: text})
	return nil
}

func (v *settingValue) String() string { return "" }

func (v *settingValue) Type() string {
	if v.kind == config.Flag {
		return "bool" // the flag parser shows no value for it
	}
	return string(v.kind)
}

// load resolves the settings of a command whose options were parsed.
func (p program) load(options *settingsFlags) (config.Loaded, error) {
	// What was typed comes first: parsed alone, it gives as many occurrences
	// as come from it. An option typed without its value, which is then the
	// first argument of PARSEC_CMD_ARGS, is not one of them.
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	typed := newSettingsFlags(flags)
	_ = flags.Parse(p.commandLine)
	arguments := options.given
	for i := range arguments {
		arguments[i].Expanded = i >= len(typed.given)
	}
	return config.Load(arguments, p.environment)
}
