package config

import (
	"slices"
	"strings"
)

// Kind is what the text of a setting must look like, as help shows it.
type Kind string

// The kinds of settings. A Flag needs no value on the command line.
const (
	Flag    Kind = "flag"
	Boolean Kind = "boolean"
	Text    Kind = "text"
	Integer Kind = "integer"
	Seconds Kind = "seconds"
	File    Kind = "file"
	Choice  Kind = "choice"
	URL     Kind = "URL"
	List    Kind = "list"
)

// Setting is a row of the table.
type Setting struct {
	// Name is the option without dashes, Short its letter or empty.
	Name  string
	Short string
	// Variable is empty when only the command line can set it.
	Variable string
	Kind     Kind
	// Default is the text used when nothing is given, empty for none.
	Default string
	// Development is the text that --dev sets, as documented; empty for none.
	Development string
	Required    bool
	// Repeatable settings accumulate; their variable is split on whitespace
	// and their file on lines.
	Repeatable bool
	// Secret settings are shown masked and may be read from a file.
	Secret  bool
	Aliases []Alias
	// Choices are the values of a Choice.
	Choices []string
	// Inert settings are read and checked, and have no effect here.
	Inert bool
	// Since and Until are official releases; "own" is a setting of ours.
	Since string
	Until string
	Group string
	// Help is a sentence or more in plain text.
	Help string

	parse       func(config *Config, texts []string) error
	mask        func(texts []string) string                // nil: all of a secret, nothing of others
	data        func(folder string, config *Config) string // what --data sets
	development func(config *Config) string
	fallback    func(config *Config) string // the default, where Default depends on other settings
}

// Alias is an older or newer name of a setting.
type Alias struct {
	// Name is an option without dashes, empty for an alias of the variable only.
	Name     string
	Variable string
	Since    string
	Until    string
	Help     string
	// Platform is of a variable that platforms set: it serves when nothing else is
	// given, not even by --dev.
	Platform bool

	parse func(config *Config, texts []string) error // nil: as the setting
}

// Settings returns the table, in the order of declaration.
func Settings() []Setting { return slices.Clone(settings) }

// variables returns the names that may hold the setting, the first wins.
func (s Setting) variables() []string {
	var names []string
	if s.Variable != "" {
		names = append(names, s.Variable)
	}
	return append(names, s.aliasVariables(false)...)
}

// VariablesOf returns those of an alias that has an option.
func (s Setting) VariablesOf(option string) []string {
	for _, alias := range s.Aliases {
		if alias.Name == option && alias.Variable != "" {
			return []string{alias.Variable}
		}
	}
	return nil
}

// platformVariables returns those that serve when nothing else is given.
func (s Setting) platformVariables() []string { return s.aliasVariables(true) }

func (s Setting) aliasVariables(platform bool) (names []string) {
	for _, alias := range s.Aliases {
		if alias.Variable != "" && alias.Platform == platform {
			names = append(names, alias.Variable)
		}
	}
	return names
}

// named reports whether an option is this setting or one of its aliases.
func (s Setting) named(option string) bool {
	return s.Name == option || slices.ContainsFunc(s.Aliases, func(a Alias) bool { return a.Name == option })
}

// parser returns what parses a text given under name, an option or a variable.
func (s Setting) parser(name string) func(*Config, []string) error {
	for _, alias := range s.Aliases {
		if alias.parse != nil && (alias.Name == name || alias.Variable == name) {
			return alias.parse
		}
	}
	return s.parse
}

// show returns the texts of the setting without their secrets.
func (s Setting) show(texts []string) string {
	switch {
	case s.mask != nil:
		return s.mask(texts)
	case s.Secret:
		return maskAll(texts[0])
	default:
		return strings.Join(texts, " ")
	}
}

// split returns the values that one text, of a variable or a file, holds.
func (s Setting) split(text string, separator func(rune) bool) []string {
	if !s.Repeatable {
		return []string{text}
	}
	texts := strings.FieldsFunc(text, separator)
	for i, item := range texts {
		texts[i] = clean(item)
	}
	return slices.DeleteFunc(texts, func(item string) bool { return item == "" })
}

// option returns the name of an option of the setting as messages do, such as
// '--port' / '-P'.
func (s Setting) option(name string) string {
	text := "'--" + name + "'"
	if s.Short != "" && name == s.Name {
		text += " / '-" + s.Short + "'"
	}
	return text
}

// into makes the parse function of a setting with one value.
func into[T any](field func(*Config) *T, parse func(string) (T, error)) func(*Config, []string) error {
	return func(config *Config, texts []string) error {
		value, err := parse(texts[0])
		if err != nil {
			return err
		}
		*field(config) = value
		return nil
	}
}

// variableOf returns the variable that official servers make of an option.
func variableOf(option string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// always makes a development function of a constant.
func always(text string) func(*Config) string { return func(*Config) string { return text } }

// masked makes the mask function of a setting with one value.
func masked(mask func(string) string) func([]string) string {
	return func(texts []string) string { return mask(texts[0]) }
}

func maskBlockstore(texts []string) string {
	store, err := ParseBlockstore(texts)
	if err != nil {
		return mask
	}
	return store.String()
}
