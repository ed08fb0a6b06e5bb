//go:build !without_postgresql && !without_postgresql_programs

package parsec3_test

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

// TestUploadsOutlastTheDatabase has PostgreSQL stop, and crash, while files are sent:
// no upload is refused (docs/protocol/v5/quirks.md §11).
func TestUploadsOutlastTheDatabase(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"stopped": syscall.SIGINT, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testkit.StartBreakablePostgres(t)
			s := newSenders(t, testkit.StartParsec(t, program, "--db", database.DSN, "--migrate"))
			s.outlast(func() {
				database.Stop(signal)
				s.await(http.StatusServiceUnavailable, "")
				s.lastsFor(20 * time.Second) // less than what is waited out
				database.Start()
				s.await(http.StatusOK, "")
			})
			if output := s.server.Output(); strings.Contains(output, "command failed") {
				t.Error("a command has failed: " + output)
			}
		})
	}
}

// TestReadsAfterACrash has a client look, after a server was killed, for what it may
// have been sending: it is told to look again, by another server and by the one that
// comes back, and not after a server that has ended.
func TestReadsAfterACrash(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t)
	servers := []*testkit.Parsec{
		testkit.StartParsec(t, program, "--db", dsn), testkit.StartParsec(t, program, "--db", dsn),
	}
	w := newWorld(t, servers...)
	alice := w.login("alice", w.found("alice"))
	realm, err := alice.NewWorkspace(w.ctx, "work")
	w.do("create the workspace", err)
	// look returns the status of what a server says of a vlob that is not there.
	look := func(server int) int {
		c := client3.New(w.addresses[server], client3.LatestVersion, client.Options{})
		defer c.Close()
		_, err := client3.Call(w.ctx, c.Authenticated(alice.Device), protocol.VlobReadBatch,
			&protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{parsec.VlobID(parsec.NewUUID())}})
		if failure, answered := errors.AsType[*client.HTTPError](err); answered {
			return failure.Status
		}
		w.do("look", err)
		return http.StatusOK
	}
	want := func(server, status int) {
		t.Helper()
		if got := look(server); got != status {
			t.Errorf("server %d answers %d, want %d", server, got, status)
		}
	}
	want(0, http.StatusOK)
	if err := servers[0].Stop(); err != nil {
		t.Error(err)
	}
	servers[0].Start()
	want(0, http.StatusOK)
	want(1, http.StatusOK)
	servers[1].Kill()
	testkit.Await(t, "the other server knows", func() bool { return look(0) == http.StatusServiceUnavailable })
	servers[1].Start()
	want(1, http.StatusServiceUnavailable)
}
