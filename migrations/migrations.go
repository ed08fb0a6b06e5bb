// Package migrations holds the schema of the database, as steps that are
// applied in order and never changed once released. docs/database.md explains
// the schema and the rules for the next step.
package migrations

import (
	"embed"
	"io/fs"
	"strconv"
	"strings"
)

// Files are the steps, each `<version>_<name>.sql` in the format of goose.
//
//go:embed *.sql
var Files embed.FS

// Latest returns the version of the last step: that of the schema that this
// server works with.
func Latest() int64 {
	names, err := fs.Glob(Files, "*.sql")
	if err != nil {
		panic(err) // The pattern is valid.
	}
	var latest int64
	for _, name := range names {
		digits, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			panic("a migration without version: " + name)
		}
		latest = max(latest, version)
	}
	return latest
}
