package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// Beside is how a command reaches the server that runs beside it, with the same
// settings.
type Beside struct {
	Listening
	// Address is what clients know the server by, zero for none.
	Address parsec.ServerAddress
}

// LoadBeside resolves how the server of these settings is reached, and judges no other
// setting.
func LoadBeside(arguments []Argument, environment Environment) (Beside, error) {
	listening, err := LoadListening(arguments, environment)
	if err != nil {
		return Beside{}, err
	}
	l := newLoader(arguments, environment)
	if err := l.readDevelopment(); err != nil {
		return Beside{}, err
	}
	if _, err := l.load("port", serverAddressOption, backendAddressName, "ssl-certfile"); err != nil {
		return Beside{}, err
	}
	if err := l.config.settleAddress(); err != nil {
		return Beside{}, err
	}
	return Beside{listening, l.config.ServerAddress}, nil
}

// LoadToken resolves what administrators authenticate with, and where that came from in
// words. It is not judged.
func LoadToken(arguments []Argument, environment Environment) (token Secret, origin string, err error) {
	l := newLoader(arguments, environment)
	if err := l.readDevelopment(); err != nil {
		return Secret{}, "", err
	}
	found, err := l.load(tokenOption)
	if err != nil {
		return Secret{}, "", err
	}
	return l.config.AdministrationToken, found[0].Origin(), nil
}

// Folder is where a server that systemd runs has its settings (deploy/systemd).
const Folder = "/etc/parsec"

// folderFile has the variables that are no secrets.
const folderFile = "parsec.env"

// setsServer reports whether a variable of the table, or PARSEC_ADDR, is set.
func (e Environment) setsServer() bool {
	for name := range e.Variables {
		if name != CopyTargetVariable && strings.HasPrefix(name, variablePrefix) {
			return true
		}
	}
	return false
}

// InFolder returns the environment with the settings that a folder has: the variables of
// parsec.env, and each secret that these do not set in a file of the name of its option.
// All or nothing: an environment that sets any of them is returned as it is, so that
// never the database of one server meets the block store of another. Denied reports a
// folder that its caller may not read.
func (e Environment) InFolder(folder string) (found Environment, denied bool, err error) {
	if e.setsServer() {
		return e, false, nil
	}
	text, err := os.ReadFile(filepath.Join(folder, folderFile))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return e, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return e, false, nil
	case err != nil:
		return e, false, err
	}
	found = e
	found.Variables = map[string]string{}
	maps.Copy(found.Variables, e.Variables)
	known := knownVariables()
	values := parseVariables(string(text))
	for name, value := range values {
		found.Names = append(found.Names, name)
		if value != "" && slices.Contains(known, name) {
			found.Variables[name] = value
		}
	}
	for _, setting := range settings {
		path := filepath.Join(folder, setting.Name)
		file := setting.Variable + fileSuffix
		if !setting.Secret || found.Variables[setting.Variable]+found.Variables[file] != "" {
			continue
		}
		if information, err := os.Stat(path); err == nil && information.Mode().IsRegular() {
			found.Variables[file] = path
		}
	}
	found.Lookup = func(name string) (string, bool) {
		if value, is := found.Variables[name]; is {
			return value, true
		}
		if value, is := values[name]; is {
			return value, true
		}
		return e.Lookup(name)
	}
	return found, false, nil
}

// parseVariables reads the lines of a file of variables as systemd does, but that no value
// goes on in another line.
func parseVariables(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, "=")
		if found && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			values[strings.TrimSpace(name)] = clean(value)
		}
	}
	return values
}
