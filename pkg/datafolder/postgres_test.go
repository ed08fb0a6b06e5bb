//go:build !without_postgresql_programs

package datafolder

import (
	"errors"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// newFolder opens a folder that PostgreSQL can reach as another user, if root runs the
// tests.
func newFolder(t *testing.T) *Folder {
	t.Helper()
	path := t.TempDir()
	if err := os.Chmod(filepath.Dir(path), 0o711); err != nil {
		t.Fatal(err)
	}
	options := optionsFor(filepath.Join(path, "data"))
	if _, err := user.Lookup("postgres"); err == nil {
		options.User = "postgres"
	}
	folder, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(folder.Close)
	return folder
}

func startDatabase(t *testing.T, folder *Folder) *Postgres {
	t.Helper()
	database, err := folder.StartDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return database
}

func execute(t *testing.T, folder *Folder, sql string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), folder.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(t.Context()) }() // It has done its work.
	if _, err := connection.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// TestDatabase has what is left of a killed server, and what is not, be in nobody's way.
func TestDatabase(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	first := startDatabase(t, folder)
	execute(t, folder, "CREATE TABLE kept (id integer)")
	if info, err := os.Stat(folder.Sockets()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others reach the socket: %v (%v)", info.Mode(), err)
	}
	// A server that a killed process has left.
	left := folder.command(t.Context(), first.programs, "postgres", folder.Postgres(), "-D", folder.Postgres(), "-k", folder.Sockets(), "-c", "listen_addresses=")
	first.Stop()
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	for {
		if connection, err := pgx.Connect(t.Context(), folder.DSN()); err == nil {
			_ = connection.Close(t.Context()) // It answers.
			break
		}
	}
	second := startDatabase(t, folder)
	if err := <-ended; err != nil {
		t.Errorf("the one that was left ends with %v", err)
	}
	execute(t, folder, "INSERT INTO kept VALUES (1)")
	second.Stop()
	// The number of a process that has ended is another one's by now.
	pid := filepath.Join(folder.Postgres(), "postmaster.pid")
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getppid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	third := startDatabase(t, folder)
	execute(t, folder, "SELECT FROM kept")
	third.Stop()
	if _, err := os.Stat(pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end there is %s: %v", pid, err)
	}
}

// What PostgreSQL says of whoever asks meanwhile does not hide why it does not start.
func TestSaid(t *testing.T) {
	t.Parallel()
	p := &Postgres{logger: slog.New(slog.DiscardHandler), stopping: t.Context()}
	refusal := "FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached.\n"
	p.listen(strings.NewReader("LOG:  starting\nFATAL:  could not write: No space left on device\n" + strings.Repeat(refusal, 9) + "LOG:  database system is shut down\n"))
	if said := p.said(); said != "LOG:  starting; FATAL:  could not write: No space left on device; LOG:  database system is shut down" {
		t.Errorf("said %q", said)
	}
}

// A PostgreSQL that is killed is started again.
func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	database := startDatabase(t, folder)
	defer database.Stop()
	leader := database.leader()
	if err := syscall.Kill(leader, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for database.leader() == leader {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	for {
		connection, err := pgx.Connect(t.Context(), folder.DSN())
		if err == nil {
			_ = connection.Close(t.Context()) // It answers.
			return
		}
	}
}

// oldestPrograms are the first that a machine has of those that the server works with.
func oldestPrograms(t *testing.T) (oldest programs) {
	t.Helper()
	for _, found := range findPrograms(t.Context()) {
		if found.major >= minMajor && (oldest.major == 0 || found.major < oldest.major) {
			oldest = found
		}
	}
	return oldest
}

// TestUpgrade moves a database from the oldest programs of the machine to the newest,
// where it has one version only to those again, and has one that was killed between its
// last two steps be complete at the next start.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	folder, oldest := newFolder(t), oldestPrograms(t)
	newest, err := newestPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("from PostgreSQL %d to %d", oldest.major, newest.major)
	if err := folder.initialize(t.Context(), oldest, folder.Postgres()); err != nil {
		t.Fatal(err)
	}
	database := startDatabase(t, folder)
	execute(t, folder, "CREATE TABLE kept AS SELECT 1 AS id")
	database.Stop()
	if err := folder.upgrade(t.Context(), oldest, newest); err != nil {
		t.Fatal(err)
	}
	old := folder.Postgres() + "." + strconv.Itoa(database.Major())
	if _, err := os.Stat(old); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Rename(folder.Postgres(), folder.Postgres()+readySuffix), os.Rename(old, folder.Postgres())); err != nil {
		t.Fatal(err)
	}
	folder.Close()
	again, err := Open(t.Context(), folder.options)
	if err != nil {
		t.Fatal(err)
	}
	folder.lock = again.lock
	database = startDatabase(t, again)
	if database.Major() != newest.major {
		t.Errorf("PostgreSQL %d runs after the upgrade", database.Major())
	}
	execute(t, again, "INSERT INTO kept SELECT id FROM kept")
	database.Stop()
	again.Close()
	if _, _, err := Upgrade(t.Context(), folder.options); err == nil || !strings.Contains(err.Error(), "and this machine has no later one") {
		t.Errorf("nothing to upgrade to: %v", err)
	}
	if folder.lock, err = take(t.Context(), folder.Folder, folder.options.Logger); err != nil {
		t.Fatal(err)
	}
}
