//go:build !without_postgresql

package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// TestLocksComeFirst has each lock be a statement of its own, in their order, and
// no fact be read before the last of them.
func TestLocksComeFirst(t *testing.T) {
	for _, test := range []struct {
		name  string
		scope rules.Scope
		want  []string
	}{
		{"all", rules.Scope{
			Founding: true, Common: rules.Exclusive, Realm: theRealm, RealmLock: rules.Exclusive,
			Sequester: rules.Exclusive, Shamir: rules.Exclusive, Enrollment: rules.Exclusive,
			Invitations: rules.Exclusive, Invitation: &theToken, TOTP: &alice, OpaqueKey: &aKey, Block: &theBlock,
		}, []string{
			"organization", "common", "realm", "sequester", "shamir_recovery", "enrollment", "invitation", "row of an invitation",
			"totp", "opaque key", "block", "block", "facts", "facts",
		}},
		{"a vlob", onVlob(), []string{"common:s", "realm:s", "facts", "facts"}},
		{"nothing", rules.Scope{}, []string{"facts"}},
	} {
		test.scope.Organization = acme
		var got []string
		for _, read := range postgres.Reads(test.scope) {
			got = append(got, lockOf(read.SQL, read.Args))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// lockOf says in a word what a statement locks, as a rule exclusively.
func lockOf(sql string, args []any) string {
	mode := ""
	sql = strings.TrimSuffix(sql, "\n) r") // of the realms
	if strings.HasSuffix(sql, "FOR SHARE") {
		mode = ":s"
	}
	switch {
	case strings.Contains(sql, "pg_advisory_xact_lock("):
		return "organization"
	case strings.Contains(sql, "parsec3.block"): // and what is known of it
		return "block"
	case !strings.HasSuffix(sql, "FOR SHARE") && !strings.HasSuffix(sql, "FOR NO KEY UPDATE"):
		return "facts"
	case strings.Contains(sql, "parsec3.invitation i WHERE"):
		return "row of an invitation" + mode
	case strings.Contains(sql, "parsec3.realm r WHERE"):
		return "realm" + mode
	case strings.Contains(sql, "parsec3.user_"):
		return "totp" + mode
	case strings.Contains(sql, "parsec3.totp_key"):
		return "opaque key" + mode
	default:
		return args[1].(string) + mode
	}
}

// TestLocksExclude has a transaction wait, or not, for one that holds a topic.
func TestLocksExclude(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	holder := open(t, dsn, 1, now)
	populate(t, holder)
	waiter := open(t, dsn+" lock_timeout=100ms", 1, now)
	common := func(how rules.Lock) rules.Scope { return rules.Scope{Common: how} }
	shamir := func(how rules.Lock) rules.Scope { return rules.Scope{Shamir: how} }
	for name, scope := range map[string]func(rules.Lock) rules.Scope{"C": common, "R": inRealmAlone, "S": shamir} {
		for _, held := range []rules.Lock{rules.Shared, rules.Exclusive} {
			for _, wanted := range []rules.Lock{rules.Unlocked, rules.Shared, rules.Exclusive} {
				var err error
				change(t, holder, scope(held), func(rules.Tx) {
					other := scope(wanted)
					other.Organization = acme
					err = waiter.Update(t.Context(), other, func(rules.Tx) error { return nil })
				})
				waits := wanted != rules.Unlocked && (held == rules.Exclusive || wanted == rules.Exclusive)
				if (err != nil) != waits {
					t.Errorf("%s held as %d and wanted as %d: %v", name, held, wanted, err)
				}
			}
		}
	}
}

func inRealmAlone(how rules.Lock) rules.Scope { return rules.Scope{Realm: theRealm, RealmLock: how} }

// TestFactsAreNew has a transaction that waits for a lock see what its holder has
// left.
func TestFactsAreNew(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 2, now)
	populate(t, store)
	watcher := testkit.Connect(t, dsn)
	seen := make(chan parsec.UserProfile, 1)
	failed := make(chan error, 1)
	change(t, store, rules.Scope{Common: rules.Exclusive}, func(tx rules.Tx) {
		go func(ctx context.Context) {
			scope := rules.Scope{Organization: acme, Author: aliceOne, Common: rules.Shared}
			failed <- store.Update(ctx, scope, func(tx rules.Tx) error {
				user, _ := tx.Author()
				seen <- user.Profile
				return nil
			})
		}(t.Context())
		testkit.Await(t, "the other one waits", func() bool {
			return testkit.Number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 1
		})
		tx.UpdateProfile(alice, parsec.ProfileOutsider, rules.Certificate{Timestamp: 1000})
	})
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if profile := <-seen; profile != parsec.ProfileOutsider {
		t.Errorf("it has seen %s", profile)
	}
}
