//go:build !without_postgresql

package differential

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	organizations "parsec-server/pkg/organization/memory"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

func TestMemoryAndPostgres(t *testing.T) {
	compareTwins(t,
		func(_ *testing.T, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) },
		func(t *testing.T, bus *event.Bus) rules.Store {
			opened := testkit.OpenDatabase(t, testkit.NewPostgres(t), bus)
			// What plays date is years old: nothing of it is to be pruned meanwhile.
			return postgres.New(opened, organizationpostgres.New(opened), func() parsec.DateTime { return 0 })
		},
	)
}
