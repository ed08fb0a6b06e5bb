//go:build !without_postgresql

package database_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

// TestPruneEvents deletes the old ones, in the order of their ids only, and
// never the last one.
func TestPruneEvents(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	other := testkit.Connect(t, dsn)
	want := func(rows int64) {
		t.Helper()
		if err := store.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := testkit.Number(t, other, "SELECT count(*) FROM event_outbox"); got != rows {
			t.Errorf("%d rows, want %d", got, rows)
		}
	}
	testkit.Execute(t, other, `INSERT INTO event_outbox (organizations, authors, kinds, bodies)
		SELECT '{}', '{}', '{}', '{}' FROM generate_series(1, 2500)`)
	want(2501)
	testkit.Execute(t, other, "UPDATE event_outbox SET written_on = now() - interval '1 day' WHERE id <= 2400")
	want(101)
	testkit.Execute(t, other, "UPDATE event_outbox SET written_on = now() - interval '1 day' WHERE id = 2450")
	want(51)
	testkit.Execute(t, other, "UPDATE event_outbox SET written_on = now() - interval '1 day'")
	want(1)
	if last := testkit.Number(t, other, "SELECT id FROM event_outbox"); last != 2501 {
		t.Errorf("row %d is left", last)
	}
}
