package config

import "fmt"

// LoadImportSource resolves the official database that is imported from: the text of
// --from, or else its variable or the file of that.
func LoadImportSource(text string, environment Environment) (Secret, error) {
	l := loader{environment: environment}
	found := resolved{texts: []string{text}, name: "--from"}
	if text == "" {
		var err error
		if found, err = l.fromVariable(Setting{Name: "from", Secret: true}, ImportSourceVariable); err != nil {
			return Secret{}, err
		}
		if !found.given() {
			return Secret{}, &UsageError{Message: "Missing option '--from'."}
		}
	}
	dsn, err := parseDSN(found.texts[0])
	if err == nil && dsn.Reveal() == Mocked {
		err = messagef("it is a PostgreSQL database")
	}
	if err != nil {
		return Secret{}, &UsageError{Message: fmt.Sprintf("Invalid value for '%s': %s", found.name, err)}
	}
	return dsn, nil
}
