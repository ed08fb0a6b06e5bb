package postgres

import (
	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// Reads returns what a transaction begins with.
func Reads(scope rules.Scope) []database.Statement {
	t := &tx{Tx: organizationstore.Tx{ID: scope.Organization}, scope: scope}
	reads, _ := t.reads()
	return reads
}
