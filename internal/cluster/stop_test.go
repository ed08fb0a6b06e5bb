//go:build !without_postgresql && !without_postgresql_programs

package cluster_test

import (
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
)

// TestStopWhileTheDatabaseHangs has a command wait for the database, which
// answers nothing any more, when the server is told to stop: it ends with the
// grace period.
func TestStopWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	const grace, most = 2 * time.Second, 9 * time.Second
	ctx := limited(t)
	database := testkit.StartBreakablePostgres(t)
	server := testkit.StartParsec(t, program, "--db", database.DSN, "--migrate", "--shutdown-grace-period", "2")
	database.Freeze()
	asked := make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(asked) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, server.Address.HTTPOrigin()+"/anonymous/CoolOrg", nil)
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
	<-asked
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
