package testkit

import (
	"context"
	"os"
	"testing"
	"time"

	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
	parsec3notice "parsec-server/pkg/parsec3/notice"
)

// onPostgres reports whether the environment has tests get their store on PostgreSQL.
func onPostgres(t testing.TB) bool {
	t.Helper()
	kind := os.Getenv(storeVariable)
	if kind != "" && kind != "MOCKED" && kind != "POSTGRESQL" {
		t.Fatalf("%s is %q, not MOCKED or POSTGRESQL", storeVariable, kind)
	}
	return kind == "POSTGRESQL"
}

// NewStore returns a store of its own to the test, in memory unless the
// environment says otherwise.
func NewStore(t testing.TB, bus *event.Bus) rules.Store {
	t.Helper()
	if onPostgres(t) {
		return &prompt{OpenPostgres(t, NewPostgres(t, Unsound), bus), bus}
	}
	return memory.New(organizationmemory.New(bus))
}

// prompt is a store whose events are delivered before the command that causes
// them is answered, as those in memory are: tests may rely on it, clients may
// not.
type prompt struct {
	rules.Store
	bus *event.Bus
}

func (p *prompt) catchUp(ctx context.Context) error { return catchUp(ctx, p.Store, p.bus) }

// catchUp waits for an event of its own, that comes after those that were published
// before.
func catchUp(ctx context.Context, store interface {
	Publish(context.Context, event.Event) error
}, bus *event.Bus) error {
	nobody, err := parsec.ParseOrganizationID(parsec.NewUUID().Hex())
	if err != nil {
		return err
	}
	delivered := make(chan struct{})
	subscription := bus.Subscribe(func(event.Event) { close(delivered) }, event.OrganizationTopic(nobody))
	defer subscription.Close()
	if err := store.Publish(ctx, event.Event{Organization: nobody, Body: notice.Pinged{}}); err != nil {
		return err
	}
	select {
	case <-delivered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *prompt) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	emits := false
	err := p.Store.Update(ctx, scope, func(tx rules.Tx) error {
		emits = false
		return rule(&emitter{tx, &emits})
	})
	if err != nil || !emits {
		return err
	}
	return p.catchUp(ctx)
}

func (p *prompt) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	if err := p.Store.ChangeOrganization(ctx, id, rule); err != nil {
		return err
	}
	return p.catchUp(ctx)
}

func (p *prompt) Publish(ctx context.Context, e event.Event) error {
	if err := p.Store.Publish(ctx, e); err != nil {
		return err
	}
	return p.catchUp(ctx)
}

// emitter reports whether its transaction has events.
type emitter struct {
	rules.Tx
	emits *bool
}

func (e *emitter) Emit(emitted event.Event) {
	*e.emits = true
	e.Tx.Emit(emitted)
}

// OpenPostgres opens a store on a database until the test ends. Several may
// share one.
func OpenPostgres(t testing.TB, dsn string, bus *event.Bus) *postgres.Store {
	t.Helper()
	opened := OpenDatabase(t, dsn, bus)
	return postgres.New(opened, organizationpostgres.New(opened), now)
}

// OpenDatabase connects to a database, with the events of every generation, until
// the test ends.
func OpenDatabase(t testing.TB, dsn string, bus *event.Bus) *database.Database {
	t.Helper()
	opened, err := database.Open(t.Context(), database.Options{
		Source: database.Source{DSN: dsn}, MaxConnections: 7, Codec: Codec,
	}, bus)
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// Codec knows the events of every generation.
var Codec = database.Codecs{notice.Codec{}, parsec3notice.Codec{}}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }
