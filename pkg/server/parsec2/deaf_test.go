package parsec2_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec2/protocol"
)

// The time between the close frame and the end of TCP
// (docs/protocol/transport.md §4), and the most that tests allow for it: less than
// what else ends a connection, 5 s for net/http.
const (
	closeTime     = 500 * time.Millisecond
	mostCloseTime = 8 * closeTime
)

// wantCut waits for the end of TCP, after frames that do not matter, and returns
// the time from since until then.
func (r *rawConn) wantCut(since time.Time) time.Duration {
	r.f.t.Helper()
	for {
		switch _, _, err := r.tryReadFrame(); {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.f.t.Fatal("the connection stays open")
		default: // an end, or a reset
			return time.Since(since)
		}
	}
}

// TestDeafClientsAreCut has every cause of a close frame, to a client that does
// not answer it.
func TestDeafClientsAreCut(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]func(f *fixture, raw *rawConn){
		"revoked": func(f *fixture, _ *rawConn) {
			request, err := f.device("alice@dev1").RevokeUser(userID("bob"), f.now())
			f.ok(err)
			f.must(parsec2.Call(f.ctx, f.connect("alice@dev1"), protocol.UserRevoke, request))
		},
		"frozen": func(f *fixture, _ *rawConn) {
			f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("bob").String()}, true))
		},
		"a failing command": func(_ *fixture, raw *rawConn) { raw.writeFrame(opBinary, true, message("organization_stats")) },
		"stopping":          func(f *fixture, _ *rawConn) { f.await(f.shutdown()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.Parsec2.SetHandler(protocol.OrganizationStats.Form, func(context.Context) (any, error) { return nil, errors.New("failed") })
			raw := f.dialRaw("bob@dev1", api3)
			since := time.Now()
			cause(f, raw)
			took := raw.wantCut(since)
			if took < closeTime || took > mostCloseTime {
				t.Errorf("cut after %s, not %s", took, closeTime)
			}
		})
	}
}

// The client of a refused handshake is cut as the others.
func TestDeafClientOfARefusedHandshake(t *testing.T) {
	f := newFixture(t)
	raw := f.upgradeRaw()
	raw.readFrame()
	since := time.Now()
	raw.writeFrame(opBinary, true, message("no answer"))
	if took := raw.wantCut(since); took > mostCloseTime {
		t.Errorf("cut after %s", took)
	}
}

// A client that has read part of a reply gets the rest, however slow it is, and
// then the close frame.
func TestSlowReaderGetsItsReply(t *testing.T) {
	f, g := gated(t)
	raw := f.dialRaw("bob@dev1", api3)
	raw.writeFrame(opBinary, true, message("organization_stats"))
	f.await(g.entered)
	over := f.shutdown()
	close(g.opened)
	raw.readFrame()
	raw.wantClose(uint16(websocket.StatusGoingAway))
	f.await(over)
}

// TestStoppingWaitsForNobodyWhoDoesNothing has clients that neither read nor
// send, in every state of a connection.
func TestStoppingWaitsForNobodyWhoDoesNothing(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(f *fixture){
		"before the handshake": func(f *fixture) { f.upgradeRaw() },
		"handshaken":           func(f *fixture) { f.dialRaw("alice@dev1", api3) },
		"waiting for events": func(f *fixture) {
			f.dialRaw("alice@dev1", api3).writeFrame(opBinary, true, message("events_listen"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			connect(f)
			begun := time.Now()
			f.await(f.shutdown())
			if took := time.Since(begun); took > mostCloseTime {
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
	if time.Until(deadline) <= closeTime {
		close(w.ended)
	}
	return nil
}

// A stream that is over waits no longer for a client that does not read it.
func TestUnreadStreamIsCut(t *testing.T) {
	f := newFixture(t)
	writer := &blockedWriter{httptest.NewRecorder(), make(chan struct{}, 1), make(chan struct{})}
	request := httptest.NewRequestWithContext(f.ctx, http.MethodGet, "/authenticated/CoolOrg/events", nil)
	for _, header := range f.streamHeaders() {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		f.Server.Handler().ServeHTTP(writer, request)
	}()
	f.await(writer.writing)
	f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("bob").String()}, true))
	f.await(served)
}
