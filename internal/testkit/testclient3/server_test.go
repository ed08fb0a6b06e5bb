package testclient3_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// patience bounds a test.
const patience = 3 * time.Minute

// answer is what a scripted server answers once.
type answer struct {
	// status is that of HTTP, 0 for 200.
	status int
	body   []byte
	// cut breaks the connection before the end of the answer.
	cut bool
	// stay keeps a stream open until its client leaves.
	stay bool
}

// reply is an answer of HTTP 200 with the fields of details, nil for none.
func reply(status protocol.Status, details any) answer {
	if details == nil {
		details = &struct{}{}
	}
	return answer{body: must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "status", Value: status}}, details))}
}

// stream is an answer of events, each with the id of its place; nil is the mark that
// some were missed.
func stream(events ...protocol.Event) answer {
	var body []byte
	for i, event := range events {
		if event == nil {
			body = fmt.Appendf(body, "event:missed_events\ndata:\nid:%02x\n\n", i)
			continue
		}
		data := must(wire.Microseconds.AppendMap(nil, []wire.Field{
			{Key: "status", Value: protocol.StatusOK}, {Key: "event", Value: event.EventName()},
		}, event))
		body = fmt.Appendf(body, "data:%s\nid:%02x\n\nevent:keepalive\ndata:\n\n", base64.StdEncoding.EncodeToString(data), i)
	}
	return answer{body: body}
}

// script is a server that answers each command, and "events", by a list.
type script struct {
	t      *testing.T
	ctx    context.Context
	client *client3.Client

	mu      sync.Mutex
	answers map[string][]answer
	// done has what was asked and waited for, in order.
	done []string
}

// config is the first event of a stream.
var config = new(protocol.OrganizationConfigEvent)

func newScript(t *testing.T, answers map[string][]answer) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &script{t: t, ctx: ctx, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	address := must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://" + strings.TrimPrefix(server.URL, "http://") + "?no_ssl=true"))
	s.client = client3.New(address, client3.LatestVersion, client.Options{Now: func() parsec.DateTime { return start.Add(time.Hour) }})
	t.Cleanup(s.client.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := "events"
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.t.Errorf("read a request: %v", err)
		}
		name, _ = wire.Microseconds.LookupString(body, "cmd")
		w.Header().Set("Content-Type", "application/msgpack")
	} else {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	given := s.next(name, r.Header.Get("Last-Event-Id"))
	if given.status != 0 {
		w.WriteHeader(given.status)
	}
	_, _ = w.Write(given.body)
	if given.cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if given.stay {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// next returns the next answer, and that nothing is new where none is left for
// certificates.
func (s *script) next(name, lastID string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	did := name
	if lastID != "" {
		did += " after " + lastID
	}
	s.done = append(s.done, did)
	left := s.answers[name]
	switch {
	case len(left) > 0:
		s.answers[name] = left[1:]
		return left[0]
	case name == protocol.CertificateGet.Name:
		return reply(protocol.StatusOK, new(protocol.CertificateGetReply))
	default:
		s.t.Errorf("%s is asked after %q", did, s.done)
		return answer{status: http.StatusTeapot}
	}
}

// pause implements the waiting of a resident, and takes no time.
func (s *script) pause(ctx context.Context, duration time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, duration.String())
	return ctx.Err()
}

// want wants what was done since the last time.
func (s *script) want(done ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.done, done) {
		s.t.Errorf("done %q, want %q", s.done, done)
	}
	s.done = nil
}

// give adds answers to a list.
func (s *script) give(name string, answers ...answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = append(s.answers[name], answers...)
}

// resident returns the resident of a user who knows nothing yet.
func (s *script) resident(name string) *testclient3.Resident {
	resident := testclient3.NewResident(s.client, device(name))
	resident.PauseBy(s.pause)
	return resident
}

// alice returns her resident, in a realm of her own without rotation.
func (s *script) alice() *testclient3.Resident {
	s.t.Helper()
	n := &notary{now: start}
	s.give("certificate_get", reply(protocol.StatusOK, &protocol.CertificateGetReply{
		CommonCertificates: n.user("", "alice", parsec.ProfileAdmin),
		RealmCertificates:  inRealm("home", n.role("alice", "home", "alice", parsec.RoleOwner)).RealmCertificates,
	}))
	alice := s.resident("alice")
	if err := alice.Poll(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	s.want("certificate_get")
	return alice
}
