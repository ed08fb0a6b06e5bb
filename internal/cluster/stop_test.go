//go:build !without_postgresql && !without_postgresql_programs

package cluster_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
)

// TestStopWhileTheDatabaseHangs has a command wait for the database, which
// answers nothing any more, when the server is told to stop: it ends with the
// grace period.
func TestStopWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	const grace, most = 2 * time.Second, 9 * time.Second
	c := &cluster{t: t, ctx: limited(t)}
	database := testkit.StartBreakablePostgres(t)
	server := testkit.StartParsec(t, program, "--db", database.DSN, "--migrate", "--shutdown-grace-period", "2")
	blocker, watcher := must(pgx.Connect(c.ctx, database.DSN)), must(pgx.Connect(c.ctx, database.DSN))
	t.Cleanup(func() { // the database is no longer frozen
		ctx := context.WithoutCancel(c.ctx)
		_, _ = blocker.Close(ctx), watcher.Close(ctx)
	})
	for _, statement := range []string{"BEGIN", "LOCK TABLE organization IN ACCESS EXCLUSIVE MODE"} {
		if _, err := blocker.Exec(c.ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, server.Address.HTTPOrigin()+"/anonymous/CoolOrg", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/msgpack")
	answered := make(chan int, 1)
	go func() {
		defer close(answered)
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
			answered <- answer.StatusCode
		}
	}()
	c.await("the command waits for the database", func() bool {
		var waiting int
		err := watcher.QueryRow(c.ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND query LIKE '%FROM organization%'`).Scan(&waiting)
		return err == nil && waiting == 1
	})
	database.Freeze()
	begun := time.Now()
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > most {
		t.Errorf("stopping takes %s with a grace period of %s", took, grace)
	}
	if status := <-answered; status == http.StatusOK {
		t.Error("answered without database")
	}
	if !strings.Contains(server.Output(), "not ended within the grace period") {
		t.Error("the log does not say what has not ended")
	}
}
