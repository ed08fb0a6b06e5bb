package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/server"
)

// shutdown begins a shutdown whose grace is that of the test; the channel is
// closed when it is over.
func (f *fixture) shutdown() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		f.Server.Shutdown(f.ctx)
	}()
	return over
}

// gate is a rule that waits to be opened, whatever its context.
type gate struct{ entered, opened chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 10), make(chan struct{})} }

func (g *gate) rule(context.Context) (any, error) {
	g.entered <- struct{}{}
	<-g.opened
	return nil, nil
}

// post sends a command of bob, and returns the status of its answer, 0 for none.
func (f *fixture) post(body []byte, headers ...string) <-chan int {
	status := make(chan int, 1)
	go func() {
		request := must(http.NewRequestWithContext(f.ctx, http.MethodPost, f.Address.HTTPOrigin()+"/authenticated/CoolOrg", bytes.NewReader(body)))
		request.Header.Set("User", "bob")
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			request.Header.Set(name, value)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			status <- 0
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		status <- response.StatusCode
	}()
	return status
}

func TestShutdownFinishesWhatRuns(t *testing.T) {
	f, g := newFixture(t), newGate()
	f.wing.rule = g.rule
	answered := f.post(nil)
	f.await(g.entered)
	over := f.shutdown()
	f.await(f.wing.drained)
	select {
	case <-over:
		t.Fatal("the shutdown waits for nothing")
	default:
	}
	close(g.opened)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
	f.await(over)
}

// What does not end within the grace is cut.
func TestShutdownGraceIsBounded(t *testing.T) {
	f := newFixture(t)
	entered := make(chan struct{})
	f.wing.rule = func(ctx context.Context) (any, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answered := f.post(nil)
	f.await(entered)
	grace, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
	defer cancel()
	f.Server.Shutdown(grace)
	if status := <-answered; status == http.StatusOK {
		t.Error("a reply came")
	}
}

func TestShutdownTwice(t *testing.T) {
	f := newFixture(t)
	f.Server.Shutdown(f.ctx)
	f.Server.Shutdown(f.ctx)
	if response, err := http.Get(f.Address.HTTPOrigin() + "/"); err == nil {
		_ = response.Body.Close()
		t.Error("the port is still open")
	}
}

// TestStoppingWaitsForNobodyWhoDoesNothing has clients that neither read nor
// send.
func TestStoppingWaitsForNobodyWhoDoesNothing(t *testing.T) {
	t.Parallel()
	for name, begun := range map[string]string{"before a request": "", "inside a request": "GET / HTTP/1.1\r\nHost: "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			_, err := io.WriteString(f.dialTCP().conn, begun)
			f.ok(err)
			start := time.Now()
			f.await(f.shutdown())
			if took := time.Since(start); took > mostCloseTime {
				t.Errorf("stopping takes %s", took)
			}
		})
	}
}

// blockedWriter is of a client that reads the head of an answer and no more.
type blockedWriter struct {
	*httptest.ResponseRecorder
	writing chan struct{} // told of each write
	ended   chan struct{} // closed when the write may last no longer
}

// Write implements http.ResponseWriter.
func (w *blockedWriter) Write([]byte) (int, error) {
	w.writing <- struct{}{}
	<-w.ended
	return 0, os.ErrDeadlineExceeded
}

// SetWriteDeadline is for http.ResponseController.
func (w *blockedWriter) SetWriteDeadline(deadline time.Time) error {
	if time.Until(deadline) <= server.CloseTimeout {
		close(w.ended)
	}
	return nil
}

// A stream that is over waits no longer for a client that does not read it.
func TestUnreadStreamIsCut(t *testing.T) {
	f := newFixture(t)
	writer := &blockedWriter{httptest.NewRecorder(), make(chan struct{}, 1), make(chan struct{})}
	request := httptest.NewRequestWithContext(f.ctx, http.MethodGet, "/authenticated/CoolOrg/events", nil)
	request.Header.Set("Accept", "text/event-stream")
	served := make(chan struct{})
	go func() {
		defer close(served)
		f.Server.Handler().ServeHTTP(writer, request)
	}()
	f.await(writer.writing)
	f.shutdown()
	f.await(served)
}
