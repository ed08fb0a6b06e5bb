package postgres

import (
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3/rules"
)

// Reads returns what a transaction begins with.
func Reads(scope rules.Scope) []database.Statement {
	return newBatch([]work{{scope: scope}}, false).transaction().Reads
}
