package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
)

// The annotations of an option, which say what pflag does not know of it.
const (
	kindNote     = "parsec_kind"
	groupNote    = "parsec_group"
	settingNote  = "parsec_setting"
	variableNote = "parsec_variable"
	requiredNote = "parsec_required"
	choiceNote   = "parsec_choice"
)

// The groups of options that are of no group of settings.
const (
	ownGroup        = "Options"
	connectionGroup = "Server to administrate"
)

// flagNotes are what help, completion and the search for what is missing know of an
// option.
type flagNotes struct {
	// kind is what the value looks like, "" for that of pflag.
	kind config.Kind
	// group is the heading in help, "" for ownGroup.
	group string
	// setting is the name of the setting that the option is of, "" for none.
	setting string
	// variables may hold the value.
	variables []string
	required  bool
	choices   []string
}

// describe adds notes to an option.
func describe(flags *pflag.FlagSet, name string, notes flagNotes) {
	flag := flags.Lookup(name)
	if flag.Annotations == nil {
		flag.Annotations = map[string][]string{}
	}
	for note, texts := range map[string][]string{
		kindNote: single(string(notes.kind)), groupNote: single(notes.group), settingNote: single(notes.setting),
		variableNote: notes.variables, choiceNote: notes.choices,
	} {
		if len(texts) > 0 {
			flag.Annotations[note] = texts
		}
	}
	if notes.required {
		flag.Annotations[requiredNote] = single("true")
	}
}

func single(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// require marks options that must be given.
func require(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		describe(flags, name, flagNotes{required: true})
	}
}

// optional is for settings that a command can do without.
func optional(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		delete(flags.Lookup(name).Annotations, requiredNote)
	}
}

// choose names the values that an option may have.
func choose(flags *pflag.FlagSet, name string, choices ...string) {
	describe(flags, name, flagNotes{kind: config.Choice, choices: choices})
}

// choice wants the value of an option to be one of those named by choose.
func choice(flags *pflag.FlagSet, name string) error {
	flag := flags.Lookup(name)
	return config.OneOf("--"+name, flag.Value.String(), flag.Annotations[choiceNote])
}

// note returns the first text of an annotation, "" for none.
func note(flag *pflag.Flag, name string) string {
	return strings.Join(flag.Annotations[name], "")
}

func isRequired(flag *pflag.Flag) bool { return note(flag, requiredNote) != "" }

func settingNamed(name string) config.Setting {
	all := config.Settings()
	return all[slices.IndexFunc(all, func(setting config.Setting) bool { return setting.Name == name })]
}

// missingArguments is the error of arguments that are not there.
type missingArguments struct{ names []string }

func (m *missingArguments) Error() string { return m.asUsage().Error() }
func (m *missingArguments) Unwrap() error { return m.asUsage() }

func (m *missingArguments) asUsage() *config.UsageError {
	return config.NewMissingError(m.missing()...)
}

func (m *missingArguments) missing() (missing []config.Missing) {
	for _, name := range m.names {
		missing = append(missing, config.Missing{Name: name})
	}
	return missing
}

// wantAll has a command say at once everything that is missing, arguments and options.
func (p program) wantAll(command *cobra.Command) {
	check := command.Args
	command.Args = func(command *cobra.Command, args []string) error {
		var missing []config.Missing
		if check != nil {
			err := check(command, args)
			arguments, is := errors.AsType[*missingArguments](err)
			if err != nil && !is {
				return err
			}
			if is {
				missing = arguments.missing()
			}
		}
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if isRequired(flag) && !flag.Hidden && !takesDev(command, flag) && !p.isGiven(flag) && !p.isInData(command, flag) {
				missing = append(missing, config.Missing{Name: "--" + flag.Name, Variables: flag.Annotations[variableNote]})
			}
		})
		if len(missing) == 0 {
			return nil
		}
		return config.NewMissingError(missing...)
	}
}

// isInData reports whether --data is given, here or to the server beside, and its folder
// has what an option would say.
func (p program) isInData(command *cobra.Command, flag *pflag.Flag) bool {
	name := note(flag, settingNote)
	if name == "" || !settingNamed(name).InData() {
		return false
	}
	if data := command.Flags().Lookup(dataOption); data != nil && p.isGiven(data) {
		return true
	}
	folder, _ := p.environment.Lookup(settingNamed(dataOption).Variable)
	return folder != "" || slices.ContainsFunc(p.besides, func(argument config.Argument) bool { return argument.Name == dataOption })
}

// dataOption is the folder that may hold what other options say.
const dataOption = "data"

// takesDev reports whether a setting is one of all of them, which --dev may set:
// config.Load says what is missing.
func takesDev(command *cobra.Command, flag *pflag.Flag) bool {
	_, isSetting := flag.Value.(*settingValue)
	dev := command.Flags().Lookup("dev")
	return isSetting && dev != nil && !dev.Hidden
}

// isGiven reports whether there is a value of an option from anywhere.
func (p program) isGiven(flag *pflag.Flag) bool {
	_, isSetting := flag.Value.(*settingValue)
	if isSetting && flag.Changed || !isSetting && flag.Value.String() != "" && flag.Value.String() != "[]" {
		return true
	}
	for _, variable := range flag.Annotations[variableNote] {
		if text, _ := p.environment.Lookup(variable); text != "" {
			return true
		}
	}
	name := note(flag, settingNote)
	if name == "" {
		return false
	}
	return slices.ContainsFunc(p.besides, func(argument config.Argument) bool {
		return argument.Name == name || argument.Name == "dev" && settingNamed(name).Development != ""
	})
}
