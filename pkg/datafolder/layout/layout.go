// Package layout knows what is where in a folder of data, for those who only need the
// paths: it opens nothing, and depends on nothing.
package layout

import (
	"crypto/rand"
	"path/filepath"
	"strings"
)

// Folder is the absolute path of a folder of data.
type Folder string

// The names in a folder.
const (
	LockName     = "lock"
	PostgresName = "postgres"
	SocketsName  = "run"
	BlocksName   = "blocks"
	TokenName    = "administration-token"

	// DatabaseName is that of the database, and of the role that owns it.
	DatabaseName = "parsec"
	// SocketName is what PostgreSQL calls its socket, by its port.
	SocketName = ".s.PGSQL." + SocketPort
	SocketPort = "5432"
)

// File is a file or a folder in the folder.
func (f Folder) File(name string) string { return filepath.Join(string(f), name) }

// Blocks is the folder of the block store.
func (f Folder) Blocks() string { return f.File(BlocksName) }

// Token is the file of the administration token.
func (f Folder) Token() string { return f.File(TokenName) }

// Postgres is the folder of the data of PostgreSQL.
func (f Folder) Postgres() string { return f.File(PostgresName) }

// Sockets is the folder of the socket of PostgreSQL.
func (f Folder) Sockets() string { return f.File(SocketsName) }

// DSN names the database.
func (f Folder) DSN() string { return f.DSNOf(DatabaseName) }

// DSNOf names another database of the same PostgreSQL.
func (f Folder) DSNOf(database string) string {
	return "host='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(f.Sockets()) + "' port=" + SocketPort +
		" user=" + DatabaseName + " dbname=" + database
}

// NewToken returns an administration token that nobody can guess.
func NewToken() string { return rand.Text() + rand.Text() }
