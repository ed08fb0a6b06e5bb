//go:build !without_postgresql

package storetest

import (
	"context"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

func TestPostgres(t *testing.T) {
	exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
		return testkit.OpenPostgres(t, testkit.NewPostgres(t, testkit.Unsound), bus)
	})
}

func TestOrganizationsInPostgres(t *testing.T) {
	organizationtest.Exercise(t, func(t *testing.T, bus *event.Bus) organization.Store {
		return testkit.OpenPostgres(t, testkit.NewPostgres(t, testkit.Unsound), bus)
	})
}

// TestModes has the ways to send statements that DSNs may ask for, such as for
// PgBouncer.
func TestModes(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
				return testkit.OpenPostgres(t, testkit.NewPostgres(t, testkit.Unsound)+" default_query_exec_mode="+mode, bus)
			})
		})
	}
}

// TestTwoStores has every second change made by another server.
func TestTwoStores(t *testing.T) {
	exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
		dsn := testkit.NewPostgres(t, testkit.Unsound)
		first := testkit.OpenPostgres(t, dsn, bus)
		return &alternating{Store: first, writers: [2]*postgres.Store{first, testkit.OpenPostgres(t, dsn, testkit.NewBus(t))}}
	})
}

// Both are checked as such.
var (
	_ blockIndex = (*postgres.Store)(nil)
	_ blockIndex = (*alternating)(nil)
)

// alternating writes through two stores in turn, and reads from one.
type alternating struct {
	*postgres.Store
	writers [2]*postgres.Store
	writes  atomic.Uint64
}

func (a *alternating) next() *postgres.Store { return a.writers[a.writes.Add(1)%2] }

func (a *alternating) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	return a.next().Update(ctx, scope, rule)
}

func (a *alternating) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return a.next().ChangeOrganization(ctx, id, rule)
}

func (a *alternating) ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, upload rules.BlockUpload, now parsec.DateTime) (rules.BlockReservation, error) {
	return a.next().ReserveBlock(ctx, organization, user, realm, upload, now)
}

func (a *alternating) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	return a.next().ReleaseBlock(ctx, organization, block, token)
}

func (a *alternating) HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (bool, error) {
	return a.next().HoldBlock(ctx, block, token, until)
}

func (a *alternating) AddChecksum(ctx context.Context, block blockstore.Block) error {
	return a.next().AddChecksum(ctx, block)
}

func (a *alternating) TakeHeard(ctx context.Context, organization parsec.OrganizationID, key rules.ConduitKey, side rules.Side, exchange uint64) (rules.ConduitFacts, error) {
	return a.next().TakeHeard(ctx, organization, key, side, exchange)
}

func (a *alternating) RenewPresences(ctx context.Context, connections []parsec.UUID, until parsec.DateTime) error {
	return a.next().RenewPresences(ctx, connections, until)
}

func (a *alternating) Publish(ctx context.Context, e event.Event) error {
	return a.next().Publish(ctx, e)
}
