//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	parsec2memory "parsec-server/pkg/parsec2/memory"
	parsec2rules "parsec-server/pkg/parsec2/rules"
	parsec2webhook "parsec-server/pkg/parsec2/webhook"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/parsec3/webhook"
	"parsec-server/pkg/server"
	serverparsec2 "parsec-server/pkg/server/parsec2"
	serverparsec3 "parsec-server/pkg/server/parsec3"
)

// lasting outlives the tests: what they share is its, and ends with it.
type lasting struct {
	testing.TB // for what a test has beside

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

func (*lasting) Helper()                  {}
func (*lasting) Context() context.Context { return context.Background() }
func (*lasting) Name() string             { return "all tests" }

func (l *lasting) Cleanup(end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanups = append(l.cleanups, end)
}

func (l *lasting) Failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *lasting) Error(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = true
	fmt.Fprintln(os.Stderr, args...)
}

func (l *lasting) Errorf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }
func (l *lasting) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (l *lasting) Log(args ...any)                   { fmt.Fprintln(os.Stderr, args...) }

// Fatal ends the test that needs what cannot be had.
func (l *lasting) Fatal(args ...any) {
	l.Error(args...)
	runtime.Goexit()
}

func (l *lasting) Fatalf(format string, args ...any) { l.Fatal(fmt.Sprintf(format, args...)) }

func (l *lasting) TempDir() string {
	folder, err := os.MkdirTemp("", "parsec-test-")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			l.Error(err)
		}
	})
	return folder
}

func (l *lasting) end() {
	for len(l.cleanups) > 0 {
		last := len(l.cleanups) - 1
		end := l.cleanups[last]
		l.cleanups = l.cleanups[:last]
		end()
	}
}

var common = &lasting{}

func TestMain(m *testing.M) {
	code := m.Run()
	common.end()
	if code == 0 && common.failed {
		code = 1
	}
	os.Exit(code)
}

// processes returns the home that the tests share.
var processes = sync.OnceValue(func() *home { return homeIn(common, testkit.NewPostgres(common), theCommand()) })

// theCommand is the product.
var theCommand = sync.OnceValue(func() string { return build(testkit.BuildParsec) })

// build returns the command under test.
func build(by func(ctx context.Context, folder string) (program string, err error)) string {
	program, err := by(common.Context(), common.TempDir())
	if err != nil {
		common.Fatal(err)
	}
	return program
}

// home is what an invariant is tested on: two ways to one state, through instances of
// the server, and the doors of administrators to it.
type home struct {
	// dsn is "" for one instance in memory, which both ways lead to.
	dsn            string
	clients        [2]*parsec3.Client
	older          [2]*parsec2.Client
	rules          *rules.Rules
	administration *organization.Administration
	store          rules.Store
	bus            *event.Bus
	// stall holds the one connection that stalls what is written; nil in memory.
	stall *pgx.Conn
	// metrics are the addresses that the processes are measured by.
	metrics []string
}

var discard = slog.New(slog.DiscardHandler)

func systemClock() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

var founding = organization.Founding{InitialOutsiderAllowed: true}

// memoryHome is one server in this process. Blocks are of its own if nil.
func memoryHome(t testing.TB, blocks blockstore.Store) *home {
	t.Helper()
	bus := testkit.NewBus(t)
	organizations := organizationmemory.New(bus)
	store := memory.New(organizations)
	h := &home{store: store, bus: bus}
	h.administer()
	if blocks == nil {
		blocks = blockstore.NewMemory()
	}
	webhooks := parsec2webhook.New("", discard)
	commands := parsec2rules.New(parsec2memory.New(organizations), blocks, bus, webhooks, systemClock, discard, parsec2rules.Options{Founding: founding})
	address := serve(t, bus, h.administration, func(s *server.Server) server.Wing {
		return serverparsec2.New(s, commands, h.administration, serverparsec2.Options{})
	}, func(s *server.Server) server.Wing {
		return serverparsec3.New(s, newRules(store, blocks, bus))
	})
	for i := range h.clients {
		h.reach(t, i, address)
	}
	return h
}

func newRules(store rules.Store, blocks blockstore.Store, bus *event.Bus) *rules.Rules {
	return rules.New(store, blocks, bus, webhook.New("", discard), systemClock, discard, rules.Options{Founding: founding, Patience: time.Second})
}

// administer opens the doors of administrators.
func (h *home) administer() {
	h.rules = newRules(h.store, blockstore.NewMemory(), h.bus)
	h.administration = organization.New(h.store, organization.Wings{organization.Parsec3: h.rules}, systemClock, discard,
		organization.Options{Founding: founding, Token: testkit.AdministrationToken})
}

func (h *home) reach(t testing.TB, i int, address parsec.ServerAddress) {
	h.clients[i] = parsec3.New(address, parsec3.LatestVersion, client.Options{})
	h.older[i] = parsec2.New(address, client.Options{})
	t.Cleanup(h.clients[i].Close)
	t.Cleanup(h.older[i].Close)
}

// serve runs a server until the test ends.
func serve(t testing.TB, bus *event.Bus, organizations *organization.Administration, wings ...func(*server.Server) server.Wing) parsec.ServerAddress {
	t.Helper()
	listener, err := lifecycle.Listen(t.Context(), "127.0.0.1:0", discard)
	if err != nil {
		t.Fatal(err)
	}
	process := lifecycle.New(time.Minute, discard)
	process.OnEnd("events", func(context.Context) { bus.Close() })
	front := server.New(organizations, systemClock, discard, server.Options{}, wings...)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- process.Serve(ctx, front, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		process.End()
	})
	return must(parsec.ParseServerAddress("parsec://" + listener.Addr().String() + "?no_ssl=true"))
}

// homeIn is two processes of a program over one database, with variables of the
// environment.
func homeIn(t testing.TB, dsn, program string, environment ...string) *home {
	t.Helper()
	h := openPostgres(t, dsn)
	for i := range h.clients {
		h.start(t, i, h.dsn, program, environment...)
	}
	return h
}

// start runs a process that has its own way to the database.
func (h *home) start(t testing.TB, i int, dsn, program string, environment ...string) *testkit.Parsec {
	t.Helper()
	metrics := "127.0.0.1:" + testkit.FreePort(t)
	process := testkit.StartParsecIn(t, program, environment, "--db", dsn, "--blockstore", "POSTGRESQL", "--metrics-address", metrics)
	h.metrics = append(h.metrics, metrics)
	h.reach(t, i, process.Address)
	return process
}

// openPostgres opens the doors of administrators to a database.
func openPostgres(t testing.TB, dsn string) *home {
	t.Helper()
	bus := testkit.NewBus(t)
	opened := testkit.OpenDatabase(t, dsn, bus)
	store := postgres.New(opened, organizationpostgres.New(opened), systemClock)
	h := &home{dsn: dsn, store: store, bus: bus}
	h.administer()
	var err error
	if h.stall, err = pgx.Connect(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.stall.Close(context.WithoutCancel(t.Context())) }) // It has done its work.
	return h
}

// everywhere tests an invariant in memory and on PostgreSQL, in an organization of its
// own.
func everywhere(t *testing.T, check func(*world)) {
	t.Run("memory", func(t *testing.T) { check(newWorld(t, memoryHome(t, nil))) })
	t.Run("PostgreSQL", func(t *testing.T) { check(newWorld(t, processes())) })
}
