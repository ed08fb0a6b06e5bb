package config

import (
	"slices"
	"strings"
)

// Missing is something that must be given, and is not.
type Missing struct {
	// Name is as it is typed, such as --db or ORGANIZATION.
	Name string
	// Variables may hold it in place of the command line.
	Variables []string
}

// NewMissingError names everything that is missing at once, a line each.
func NewMissingError(missing ...Missing) *UsageError {
	lines := make([]string, len(missing))
	for i, one := range missing {
		kind, way := "argument", ""
		if strings.HasPrefix(one.Name, "-") {
			kind = "option"
		}
		if last := len(one.Variables) - 1; last == 0 {
			way = " Or set " + one.Variables[0] + "."
		} else if last > 0 {
			way = " Or set " + strings.Join(one.Variables[:last], ", ") + " or " + one.Variables[last] + "."
		}
		lines[i] = "Missing " + kind + " '" + one.Name + "'." + way
	}
	return &UsageError{Message: strings.Join(lines, "\n")}
}

// missing returns what must be given of the settings that were resolved; sender is for
// who sends e-mails, which only an SMTP server needs.
func missing(resolved []Effective, sender bool) error {
	var all []Missing
	for _, effective := range resolved {
		setting := effective.Setting
		if setting.Required && effective.Source == FromDefault || sender && setting.Name == "email-sender" {
			all = append(all, Missing{"--" + setting.Name, setting.AllVariables()})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return NewMissingError(all...)
}

// AllVariables returns the names of the variables of the setting, and of its files.
func (s Setting) AllVariables() []string {
	var names []string
	for _, variable := range slices.Concat(s.variables(), s.platformVariables()) {
		names = append(names, variable)
		if s.readsFile(variable) {
			names = append(names, variable+fileSuffix)
		}
	}
	return names
}

// readsFile reports whether a variable of the setting has a form with a file.
func (s Setting) readsFile(variable string) bool {
	return s.Secret && strings.HasPrefix(variable, variablePrefix)
}
