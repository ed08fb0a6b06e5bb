package testkit

import (
	"context"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// NewParsec3Store is NewStore for Parsec 3.
func NewParsec3Store(t testing.TB, bus *event.Bus) rules.Store {
	t.Helper()
	if onPostgres(t) {
		return &promptParsec3{OpenParsec3Postgres(t, NewPostgres(t, Unsound), bus), bus}
	}
	return memory.New(organizationmemory.New(bus))
}

// OpenParsec3Postgres opens a store of Parsec 3 on a database until the test ends.
// Several may share one.
func OpenParsec3Postgres(t testing.TB, dsn string, bus *event.Bus) *postgres.Store {
	t.Helper()
	opened := OpenDatabase(t, dsn, bus)
	return postgres.New(opened, organizationpostgres.New(opened), now)
}

// promptParsec3 is prompt for Parsec 3.
type promptParsec3 struct {
	rules.Store
	bus *event.Bus
}

func (p *promptParsec3) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	if err := p.Store.Update(ctx, scope, rule); err != nil {
		return err
	}
	return catchUp(ctx, p.Store, p.bus)
}

func (p *promptParsec3) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	if err := p.Store.ChangeOrganization(ctx, id, rule); err != nil {
		return err
	}
	return catchUp(ctx, p.Store, p.bus)
}

func (p *promptParsec3) Publish(ctx context.Context, e event.Event) error {
	if err := p.Store.Publish(ctx, e); err != nil {
		return err
	}
	return catchUp(ctx, p.Store, p.bus)
}

func (p *promptParsec3) Say(ctx context.Context, speech rules.Speech, events ...event.Event) (bool, error) {
	done, err := p.Store.Say(ctx, speech, events...)
	if done && err == nil {
		err = catchUp(ctx, p.Store, p.bus)
	}
	return done, err
}
