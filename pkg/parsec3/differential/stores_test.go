//go:build !without_postgresql

package differential

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/rules"
)

func TestMemoryAndPostgres(t *testing.T) {
	compareTwins(t,
		func(_ *testing.T, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) },
		func(t *testing.T, bus *event.Bus) rules.Store {
			return testkit.OpenParsec3Postgres(t, testkit.NewPostgres(t), bus)
		},
	)
}
