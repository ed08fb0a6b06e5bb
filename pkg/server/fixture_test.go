package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/server"
)

const (
	// patience bounds how long a test waits for what must happen.
	patience = 60 * time.Second
	// mostCloseTime bounds the end of what does nothing for two seconds: less than
	// what else ends a connection, 10 s for the head of a request.
	mostCloseTime = 8 * time.Second
	// administrationToken opens the administration of every fixture.
	administrationToken = "s3cr3t"
)

// reference is when fixtures begin.
var reference = must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z"))

var (
	coolOrg  = must(parsec.ParseOrganizationID("CoolOrg"))
	otherOrg = must(parsec.ParseOrganizationID("OtherOrg"))
	emptyOrg = must(parsec.ParseOrganizationID("EmptyOrg"))
)

// fixture is a server of tiny wings on a real port, with a clock that stands.
type fixture struct {
	Address       parsec.ServerAddress
	Server        *server.Server
	Organizations *organization.Administration

	t     testing.TB
	ctx   context.Context // ends when patience does
	clock *clock
	logs  *logs
	store organization.Store
	// wings are those of the options, wing is the first of them.
	wings []*tinyWing
	wing  *tinyWing
}

// options differ from the defaults of fixtures where set.
type options struct {
	server.Options
	organizations organization.Options
	// wings are of Parsec 2 alone if nil.
	wings []*tinyWing
	// wrapStore stands between the organizations and their store; nil for nothing.
	wrapStore func(organization.Store) organization.Store
	// withoutAddress configures no address.
	withoutAddress bool
	// listener is where clients come from; a free port if nil.
	listener net.Listener
}

// newFixture has two organizations with the same people: alice (ADMIN), bob and
// carol (STANDARD).
func newFixture(t testing.TB, changes ...func(*options)) *fixture {
	t.Helper()
	f := newEmptyFixture(t, changes...)
	for _, id := range []parsec.OrganizationID{coolOrg, otherOrg} {
		f.organize(id, f.wing.generation)
		f.wing.people[id] = []person{
			f.person("alice", parsec.ProfileAdmin), f.person("bob", parsec.ProfileStandard), f.person("carol", parsec.ProfileStandard),
		}
	}
	return f
}

// newEmptyFixture has no organization. It ends with the test.
func newEmptyFixture(t testing.TB, changes ...func(*options)) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	f := &fixture{t: t, ctx: ctx, clock: &clock{now: reference}, logs: &logs{}}
	options := &options{}
	options.Elapsed = func() time.Duration { return f.clock.Now().Sub(reference) }
	options.organizations = organization.Options{
		Founding: organization.Founding{InitialOutsiderAllowed: true}, Token: administrationToken, Elapsed: options.Elapsed,
	}
	for _, change := range changes {
		change(options)
	}
	if options.wings == nil {
		options.wings = []*tinyWing{newTinyWing(organization.Parsec2, parsec.APIVersion{Major: 3, Minor: 4})}
	}
	if options.listener == nil {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		f.ok(err)
		options.listener = listener
	}
	f.serve(options)
	return f
}

func (f *fixture) serve(options *options) {
	f.t.Helper()
	f.Address = must(parsec.ParseServerAddress("parsec://" + options.listener.Addr().String() + "?no_ssl=true"))
	if !options.withoutAddress {
		options.Address = &f.Address
	}
	bus := event.NewBus()
	f.t.Cleanup(bus.Close)
	f.store = memory.New(bus)
	if options.wrapStore != nil {
		f.store = options.wrapStore(f.store)
	}
	f.wings, f.wing = options.wings, options.wings[0]
	logger := slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	wings := organization.Wings{}
	f.Organizations = organization.New(f.store, wings, f.clock.Now, logger, options.organizations)
	var build []func(*server.Server) server.Wing
	for _, wing := range f.wings {
		wings[wing.generation] = wing
		if wing.generation == organization.Parsec3 {
			wings[wing.generation] = &sequesteringWing{tinyWing: wing}
		}
		build = append(build, func(s *server.Server) server.Wing {
			wing.server, wing.organizations = s, f.Organizations
			return wing
		})
	}
	f.Server = server.New(f.Organizations, f.clock.Now, logger, options.Options, build...)
	served := make(chan error, 1)
	go func() { served <- f.Server.Serve(options.listener) }()
	f.t.Cleanup(func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), 5*time.Second)
		defer cancel()
		http.DefaultClient.CloseIdleConnections() // or the server waits for what may come over them
		f.Server.Shutdown(grace)
		if err := <-served; err != nil {
			f.t.Errorf("serve: %v", err)
		}
	})
}

// organize founds an organization of a generation; 0 does not bootstrap it.
func (f *fixture) organize(id parsec.OrganizationID, generation organization.Generation) {
	f.t.Helper()
	created := reference.Add(-24 * time.Hour)
	founded := organization.Founding{InitialOutsiderAllowed: true}.New(id, created)
	if generation != 0 {
		founded.RootVerifyKey, founded.BootstrappedOn, founded.Generation = &parsec.VerifyKey{}, &created, generation
	}
	f.ok(f.store.ChangeOrganization(f.ctx, id, func(tx organization.Tx) error {
		tx.PutOrganization(founded)
		return nil
	}))
}

// person is somebody who came with the organization.
func (*fixture) person(name string, profile parsec.UserProfile) person {
	return person{
		User:    organization.User{ID: name, HumanHandle: must(parsec.ParseHumanHandle(name+"@example.com", name))},
		profile: profile, createdOn: reference.Add(-24 * time.Hour),
	}
}

func (f *fixture) await(done <-chan struct{}) {
	f.t.Helper()
	select {
	case <-done:
	case <-f.ctx.Done():
		f.t.Fatal("it did not happen")
	}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) get(target string, headers ...string) *http.Response {
	f.t.Helper()
	return f.do(http.MethodGet, target, nil, headers...)
}

// do sends a request whose headers are "Name: value", and follows nothing.
func (f *fixture) do(method, target string, body []byte, headers ...string) *http.Response {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.ctx, method, f.Address.HTTPOrigin()+target, bytes.NewReader(body))
	f.ok(err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	f.ok(err)
	f.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now parsec.DateTime
}

func (c *clock) Now() parsec.DateTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(duration time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(duration)
}

// logs keeps the log of a server.
type logs struct {
	mu      sync.Mutex
	written bytes.Buffer
	waiting []wait
}

type wait struct {
	text string
	seen chan struct{}
}

// Write implements io.Writer, for one record a call.
func (l *logs) Write(record []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written.Write(record)
	for i, wait := range l.waiting {
		if wait.seen != nil && bytes.Contains(record, []byte(wait.text)) {
			close(wait.seen)
			l.waiting[i].seen = nil
		}
	}
	return len(record), nil
}

// next is closed by the next record that holds a text.
func (l *logs) next(text string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(chan struct{})
	l.waiting = append(l.waiting, wait{text, seen})
	return seen
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.String()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// must is for what does not depend on the code under test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
