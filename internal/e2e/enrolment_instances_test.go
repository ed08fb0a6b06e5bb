//go:build !without_postgresql

package e2e_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec2/rules"
)

// TestEnrolmentsOnPostgreSQL has one server, and two over one database.
func TestEnrolmentsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t)
	open := func(t testing.TB, bus *event.Bus) rules.Store { return testkit.OpenPostgres(t, dsn, bus) }
	one, other := newWorld(t, testkit.InstanceOptions{Store: open}), newWorld(t, testkit.InstanceOptions{Store: open})
	for name, far := range map[string]*world{"one instance": one, "two instances": other} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near := *one
			near.t = t
			near.enrol(far)
		})
	}
}
