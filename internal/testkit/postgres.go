package testkit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/migrations"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// postgresVariable holds the DSN of a PostgreSQL server for tests, whose user
// may create databases. Without it tests start one of their own, from the
// programs of the machine or else in a container.
const postgresVariable = "PARSEC_TEST_DB"

// postgresPrefix begins the name of every database of tests: no other is ever
// dropped.
const postgresPrefix = "parsec_test_"

// NewPostgres returns the DSN of an empty database with the schema, that is the
// test's until it ends. Then nothing must be found in it that should not be there,
// unless it is marked as Unsound.
func NewPostgres(t testing.TB, mark ...Soundness) string {
	t.Helper()
	server := needPostgres(t)
	name, reused := server.takeClean()
	if !reused {
		name = server.create(t)
	}
	t.Cleanup(func() {
		if len(mark) == 0 && !t.Failed() {
			checkSound(t, server.dsn(name))
		}
		// What a test has broken is not given to another one, and a server that
		// outlives the tests keeps nothing.
		if t.Failed() || !server.own || server.clean(context.WithoutCancel(t.Context()), name) != nil {
			server.drop(t, name)
		}
	})
	return server.dsn(name)
}

// NewUnusedPostgres is NewPostgres for a test of what PostgreSQL knows of tables: no other
// test has had it look at them.
func NewUnusedPostgres(t testing.TB) string {
	t.Helper()
	server := needPostgres(t)
	name := server.create(t)
	t.Cleanup(func() { server.drop(t, name) })
	return server.dsn(name)
}

// create makes a database with the schema.
func (s *postgresServer) create(t testing.TB) string {
	t.Helper()
	name := newDatabaseName()
	if err := s.execute(t.Context(), s.maintenance(), "CREATE DATABASE "+name+" TEMPLATE "+s.template); err != nil {
		t.Fatal(err)
	}
	return name
}

// NewBlankPostgres returns the DSN of a database without schema, that ends with
// the test.
func NewBlankPostgres(t testing.TB) string {
	t.Helper()
	server, name := needPostgres(t), newDatabaseName()
	if err := server.execute(t.Context(), server.maintenance(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.drop(t, name) })
	return server.dsn(name)
}

func newDatabaseName() string { return postgresPrefix + parsec.NewUUID().Hex() }

func needPostgres(t testing.TB) *postgresServer {
	t.Helper()
	server, err := startPostgres()
	if err != nil {
		t.Fatalf("this test needs PostgreSQL, installed (such as by apt-get install postgresql), in a container of Docker, or named by %s: %v", postgresVariable, err)
	}
	return server
}

// postgresServer is a server of databases. Those with the schema are copies of
// the template, used again once they are clean.
type postgresServer struct {
	config   *pgx.ConnConfig
	template string
	// own reports whether the server ends with the process.
	own bool

	mu      sync.Mutex
	cleaned []string
}

func (s *postgresServer) takeClean() (name string, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.cleaned) - 1
	if last < 0 {
		return "", false
	}
	name, s.cleaned = s.cleaned[last], s.cleaned[:last]
	return name, true
}

// clean ends the connections to a database and empties its tables, to be used
// again.
func (s *postgresServer) clean(ctx context.Context, name string) error {
	err := s.execute(ctx, s.dsn(name), disconnect(name), `
DO $$
DECLARE
    name regclass;
BEGIN
    -- To truncate makes new files of every table and index, used or not.
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname IN ('public', 'parsec3') AND tablename <> 'goose_db_version'
    LOOP
        EXECUTE format('DELETE FROM %s', name);
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, 1, false)
        FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL AND sequencename NOT LIKE 'goose%';
    INSERT INTO event_outbox (organizations, authors, kinds, bodies) VALUES ('{}', '{}', '{}', '{}');
END $$`)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleaned = append(s.cleaned, name)
	return nil
}

func (s *postgresServer) drop(t testing.TB, name string) {
	t.Helper()
	err := s.execute(context.WithoutCancel(t.Context()), s.maintenance(), disconnect(name), "DROP DATABASE "+name)
	if err != nil {
		t.Error(err)
	}
}

// disconnect ends every other connection to a database.
func disconnect(name string) string {
	return "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = '" + name + "'"
}

// startPostgres starts the server of this process, once. It ends with the
// process.
var startPostgres = sync.OnceValues(func() (*postgresServer, error) {
	dsn := os.Getenv(postgresVariable)
	own := dsn == ""
	if own {
		var err error
		if dsn, err = runPostgres(); err != nil {
			return nil, err
		}
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	server := &postgresServer{config: config, own: own}
	ctx, cancel := context.WithTimeout(context.Background(), componentStartLimit)
	defer cancel()
	return server, server.createTemplate(ctx)
})

// dsn names a database of the server.
func (s *postgresServer) dsn(database string) string {
	dsn := fmt.Sprintf("host=%s port=%d user=%s dbname=%s", s.config.Host, s.config.Port, s.config.User, database)
	if s.config.Password != "" {
		dsn += " password='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s.config.Password) + "'"
	}
	if s.config.TLSConfig == nil {
		dsn += " sslmode=disable"
	}
	return dsn
}

// maintenance names the database from which others are created.
func (s *postgresServer) maintenance() string { return s.dsn(s.config.Database) }

// execute runs statements on a database, each on its own.
func (s *postgresServer) execute(ctx context.Context, dsn string, statements ...string) error {
	ctx, cancel := context.WithTimeout(ctx, componentStartLimit)
	defer cancel()
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }() // The statements are done.
	for _, statement := range statements {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// createTemplate makes the database with the schema that others are copied from, under
// a name that depends on its content.
func (s *postgresServer) createTemplate(ctx context.Context) error {
	content, err := migrationsDigest()
	if err != nil {
		return err
	}
	s.template = postgresPrefix + "template_" + content
	return s.makeTemplate(ctx, s.template, func(dsn string) error {
		_, err := database.Migrate(ctx, dsn)
		return err
	})
}

// makeTemplate makes a database that others are copied from, unless the server has it from
// another test, or another process.
func (s *postgresServer) makeTemplate(ctx context.Context, name string, fill func(dsn string) error) error {
	connection, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }() // It has done its work.
	const templateLock = 0x70617273656374        // any number
	if _, err := connection.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return err
	}
	var exists bool
	err = connection.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	building := name + "_building"
	if _, err := connection.Exec(ctx, "DROP DATABASE IF EXISTS "+building); err != nil {
		return err
	}
	if _, err := connection.Exec(ctx, "CREATE DATABASE "+building); err != nil {
		return err
	}
	if err := fill(s.dsn(building)); err != nil {
		return err
	}
	_, err = connection.Exec(ctx, "ALTER DATABASE "+building+" RENAME TO "+name)
	return err
}

func migrationsDigest() (string, error) {
	digest := sha256.New()
	err := fs.WalkDir(migrations.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations.Files, path)
		fmt.Fprintln(digest, path, len(content))
		_, _ = digest.Write(content) // never fails
		return err
	})
	return fmt.Sprintf("%x", digest.Sum(nil)[:8]), err
}

// supervise runs a program until its own standard input ends, which it does
// with the process that starts it, however that ends. Then it removes what the
// program leaves.
const supervise = `
directory=$1
shift
"$@" >"$directory/log" 2>&1 &
cat
kill -INT $!
wait
rm -rf "$directory"`

// postgresLifeline is what the supervisor reads until the process ends.
var postgresLifeline io.Closer //nolint:unused // kept open by being reachable

// runPostgres starts a server of its own in a folder of its own, and returns the
// DSN of its maintenance database. What it keeps need not survive it.
func runPostgres() (dsn string, err error) {
	directory, err := os.MkdirTemp("", "parsec-test-postgres-")
	if err != nil {
		return "", err
	}
	dsn = postgresIn(directory)
	postgres, attributes, err := preparePostgres(directory)
	if errors.Is(err, errNoPostgres) && exec.Command("docker", "version").Run() == nil {
		postgres, dsn, err = containedPostgres()
		attributes = &syscall.SysProcAttr{}
	}
	if err != nil {
		return "", err
	}
	server := exec.Command("/bin/sh", append([]string{"-c", supervise, "supervise", directory}, postgres...)...)
	server.Dir = directory
	attributes.Setpgid = true // What ends the process by its group must not end the supervisor.
	server.SysProcAttr = attributes
	if postgresLifeline, err = server.StdinPipe(); err != nil {
		return "", err
	}
	if err := server.Start(); err != nil {
		return "", err
	}
	return dsn, awaitPostgres(dsn, filepath.Join(directory, "log"))
}

// containedPostgres returns the command that runs a server in a container,
// which ends with it, and the DSN of its maintenance database.
func containedPostgres() (command []string, dsn string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // For a port that is free.
	if err != nil {
		return nil, "", err
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	command = append([]string{
		"docker", "run", "--rm", "--publish", "127.0.0.1:" + port + ":5432", "--env", "POSTGRES_HOST_AUTH_METHOD=trust", "postgres:17", "postgres",
	}, postgresOptions...)
	return command, "host=127.0.0.1 port=" + port + " user=postgres dbname=postgres sslmode=disable", listener.Close()
}

// postgresOptions are for data that need not survive.
var postgresOptions = []string{
	"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB",
}

// preparePostgres makes what a server keeps in a folder, and returns the command
// that runs it, and as whom.
func preparePostgres(directory string) (command []string, attributes *syscall.SysProcAttr, err error) {
	programs, err := findPostgres()
	if err != nil {
		return nil, nil, err
	}
	if attributes, err = unprivileged(directory); err != nil {
		return nil, nil, err
	}
	data := filepath.Join(directory, "data")
	initialize := exec.Command(filepath.Join(programs, "initdb"),
		"--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initialize.Dir, initialize.SysProcAttr = directory, attributes
	if output, err := initialize.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("initdb: %w: %s", err, output)
	}
	command = []string{filepath.Join(programs, "postgres"), "-D", data, "-k", directory, "-c", "listen_addresses="}
	return append(command, postgresOptions...), attributes, nil
}

// postgresIn returns the DSN of the maintenance database of a server in a
// folder.
func postgresIn(directory string) string {
	return "host=" + directory + " user=postgres dbname=postgres"
}

var errNoPostgres = errors.New("no initdb on the PATH, nor in /usr/lib/postgresql")

// findPostgres returns the folder of the programs of the latest version.
func findPostgres() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errNoPostgres
	}
	latest, version := "", -1
	for _, path := range found {
		folder := filepath.Dir(path)
		if number, err := strconv.Atoi(filepath.Base(filepath.Dir(folder))); err == nil && number > version {
			latest, version = folder, number
		}
	}
	return latest, nil
}

// unprivileged hands the folder to a user, not root, that PostgreSQL runs as.
func unprivileged(directory string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	id, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	group, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	credential := &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}
	return &syscall.SysProcAttr{Credential: credential}, os.Chown(directory, int(id), int(group))
}

// PostgresProgram finds a program that comes with the server, such as pgbench.
func PostgresProgram(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	folder, err := findPostgres()
	if err != nil {
		t.Fatal(err)
	}
	if target, err := filepath.EvalSymlinks(filepath.Join(folder, "initdb")); err == nil {
		folder = filepath.Dir(target)
	}
	return filepath.Join(folder, name)
}

// awaitPostgres waits until the server answers.
func awaitPostgres(dsn, log string) error {
	ctx, cancel := context.WithTimeout(context.Background(), componentStartLimit)
	defer cancel()
	ticker := time.NewTicker(componentPoll)
	defer ticker.Stop()
	for {
		connection, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return connection.Close(ctx)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			output, _ := os.ReadFile(log) // It may not be there.
			return fmt.Errorf("postgres does not answer: %w: %s", err, output)
		}
	}
}
