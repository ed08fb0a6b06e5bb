package config

import "testing"

// maxVariable is the longest name that Scalingo takes.
const maxVariable = 64

// TestVariablesAreShort measures every variable that is read, the forms for files and the
// aliases too.
func TestVariablesAreShort(t *testing.T) {
	for _, variable := range knownVariables() {
		if len(variable) > maxVariable {
			t.Errorf("%s has %d characters", variable, len(variable))
		}
	}
}

// TestSettings checks what the table itself must keep.
func TestSettings(t *testing.T) {
	options, variables := map[string]bool{}, map[string]bool{}
	once := func(seen map[string]bool, name string) {
		if name != "" && seen[name] {
			t.Errorf("%s is declared twice", name)
		}
		seen[name] = true
	}
	for _, setting := range settings {
		once(options, setting.Name)
		once(options, setting.Short)
		for _, alias := range setting.Aliases {
			once(options, alias.Name)
		}
		for _, variable := range setting.variables() {
			once(variables, variable)
		}
		if setting.parse == nil || setting.Help == "" || setting.Since == "" || setting.Kind == "" {
			t.Errorf("%s is not complete", setting.Name)
		}
		if (setting.Development == "") != (setting.development == nil) {
			t.Errorf("%s: --dev is half declared", setting.Name)
		}
		if setting.Default != "" {
			if err := setting.parse(&Config{}, []string{setting.Default}); err != nil {
				t.Errorf("%s: default: %v", setting.Name, err)
			}
		}
	}
}
