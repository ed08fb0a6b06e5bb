package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PgBouncer stands in front of the PostgreSQL server of the tests.
type PgBouncer struct {
	port string
	t    testing.TB
}

// StartPgBouncer runs one until the test ends, with the defaults of PgBouncer
// but for the mode of its pools: session or transaction.
func StartPgBouncer(t testing.TB, mode string) *PgBouncer {
	t.Helper()
	server := needPostgres(t)
	directory := sharedFolder(t, "pgbouncer")
	attributes, err := unprivileged(directory)
	if err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	behind, _, _ := strings.Cut(server.maintenance(), " dbname=")
	settings := fmt.Sprintf(`[databases]
* = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = %s
`, behind, port, filepath.Join(directory, "users"), mode)
	for name, content := range map[string]string{
		"pgbouncer.ini": settings,
		"users":         fmt.Sprintf("%q %q\n", server.config.User, server.config.Password),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := FindProgram(t, "pgbouncer", "apt-get install pgbouncer")
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, filepath.Join(directory, "pgbouncer.ini"))
	command.Dir, command.SysProcAttr = directory, attributes
	startCommand(t, command).AwaitPort(t, port)
	return &PgBouncer{port, t}
}

// DSN names a database of the tests through it.
func (p *PgBouncer) DSN(dsn string) string {
	p.t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		p.t.Fatal(err)
	}
	return fmt.Sprintf("host=127.0.0.1 port=%s user=%s dbname=%s sslmode=disable", p.port, config.User, config.Database)
}
