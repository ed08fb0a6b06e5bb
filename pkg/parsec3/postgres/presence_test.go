//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// TestPresenceOfInstances has users present on two instances, of which one ends, one
// vanishes, and one is told that it had.
func TestPresenceOfInstances(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	watcher := testkit.Connect(t, dsn)
	first := open(t, dsn, 2, now)
	populate(t, first)
	token := parsec3.NewAccessToken()
	change(t, first, rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
		tx.CreateInvitation(rules.Invitation{Token: token, CreatedBy: rules.Person{User: alice}, Claimer: rules.Claimer{Type: parsec.InvitationUser, Email: "zack@example.com"}})
	})
	write := func(store *postgres.Store, want bool, of rules.PresenceChange) {
		t.Helper()
		if written, err := store.WritePresence(t.Context(), of); err != nil || written != want {
			t.Errorf("written: %t, %v", written, err)
		}
	}
	online := func(want protocol.OnlineStatus) {
		t.Helper()
		_, greeters, err := first.InvitationGreeters(t.Context(), acme, token)
		if err != nil || len(greeters) != 1 || greeters[0].Online != want {
			t.Errorf("got %+v, %v, want %s", greeters, err, want)
		}
	}
	rows := func(want int64) {
		t.Helper()
		if got := testkit.Number(t, watcher, "SELECT count(*) FROM parsec3.presence"); got != want {
			t.Errorf("%d are kept, want %d", got, want)
		}
	}
	entered := func(store *postgres.Store, times uint64) {
		t.Helper()
		testkit.Await(t, "the instance is entered", func() bool {
			_, entries := store.Instance()
			return entries >= times
		})
	}
	came := rules.PresenceChange{All: true, Came: []rules.Present{{Organization: acme, User: alice}}}
	gone := rules.PresenceChange{Gone: came.Came}
	entered(first, 1)
	for _, vanishes := range []bool{false, true} {
		other := open(t, dsn, 2, now)
		entered(other, 1)
		write(first, true, came)
		write(other, true, came)
		rows(2)
		write(first, true, gone)
		online(protocol.Online)
		other.OnLeave(func() bool { return vanishes })
		other.Close()
		online(protocol.Offline)
		rows(1)
		if err := first.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows(0)
	}
	// Others may have taken the instance for one that vanished.
	write(first, true, came)
	testkit.Number(t, watcher, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '% events'")
	entered(first, 2)
	write(first, false, rules.PresenceChange{})
	write(first, true, came)
	write(first, true, rules.PresenceChange{})
	online(protocol.Online)
}
