package config

import (
	"path/filepath"
	"strings"

	"parsec-server/pkg/datafolder/layout"
)

// Data is the folder of a server that keeps everything in one.
type Data struct {
	// Folder is its absolute path, "" for none.
	Folder string
	// User is who runs PostgreSQL where the server is started by root.
	User string
	// Database, Blocks and Token report what is in the folder, and not elsewhere.
	Database, Blocks, Token bool
}

const dataOption = "data"

// InData reports whether the folder of --data has what the setting would say.
func (s Setting) InData() bool { return s.data != nil }

// newLoader knows the folder of data, which other settings depend on.
func newLoader(arguments []Argument, environment Environment) loader {
	l := loader{arguments: arguments, environment: environment}
	for _, setting := range settings {
		if setting.Name != dataOption {
			continue
		}
		// It is no secret: it is in no file that could not be read.
		if found, err := l.resolve(setting); err == nil && found.given() {
			l.data = absolute(found.texts[0])
		}
	}
	return l
}

func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// note keeps what of the settings is in the folder of data.
func (l *loader) note(effective []Effective) {
	for _, found := range effective {
		inFolder := found.Source == FromData
		switch found.Setting.Name {
		case databaseOption:
			l.config.Data.Database = inFolder
		case "blockstore":
			l.config.Data.Blocks = inFolder
		case tokenOption:
			l.config.Data.Token = inFolder
		}
	}
}

// databaseIn is the text of the setting for the database in a folder of data.
func databaseIn(folder string, _ *Config) string { return layout.Folder(folder).DSN() }

// blocksIn is the text of the setting for the blocks in a folder of data.
func blocksIn(folder string, _ *Config) string {
	return strings.Join([]string{"file", partEscaper.Replace(layout.Folder(folder).Blocks())}, string(partSeparator))
}

// tokenIn is the administration token in a folder of data, or a new one, which is
// kept there once the server starts.
func tokenIn(folder string, _ *Config) string {
	if token, err := readSecretFile(layout.Folder(folder).Token()); err == nil {
		return token
	}
	return layout.NewToken()
}

// addressIn follows --port and --server-addr, as that of --dev.
func addressIn(_ string, c *Config) string { return developmentAddress(c) }

// attemptsIn has the server wait for a database that is being recovered: it starts
// again by itself.
func attemptsIn(string, *Config) string { return "600" }

func migrateIn(string, *Config) string { return "true" }
