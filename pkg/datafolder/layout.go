package datafolder

import (
	"crypto/rand"
	"path/filepath"
	"strings"
)

// Layout is the absolute path of a folder, and knows what is where in it.
type Layout string

// The names in a folder.
const (
	lockName     = "lock"
	postgresName = "postgres"
	socketsName  = "run"
	blocksName   = "blocks"
	tokenName    = "administration-token"

	// databaseName is that of the database, and of the role that owns it.
	databaseName = "parsec"
	// socketName is what PostgreSQL calls its socket, by its port.
	socketName = ".s.PGSQL.5432"
	socketPort = "5432"
)

func (l Layout) file(name string) string { return filepath.Join(string(l), name) }

// Blocks is the folder of the block store.
func (l Layout) Blocks() string { return l.file(blocksName) }

// Token is the file of the administration token.
func (l Layout) Token() string { return l.file(tokenName) }

func (l Layout) postgres() string { return l.file(postgresName) }
func (l Layout) sockets() string  { return l.file(socketsName) }

// DSN names the database.
func (l Layout) DSN() string { return l.dsn(databaseName) }

func (l Layout) dsn(database string) string {
	return "host='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(l.sockets()) + "' port=" + socketPort +
		" user=" + databaseName + " dbname=" + database
}

// NewToken returns an administration token that nobody can guess.
func NewToken() string { return rand.Text() + rand.Text() }
