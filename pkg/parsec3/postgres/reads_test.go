//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// TestReadsTogether has reads of several organizations and kinds that are answered
// together, each with its own answer: also when one is abandoned, when one cannot be
// answered, and when their connection is lost.
func TestReadsTogether(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	proxy := testkit.StartPostgresProxy(t, dsn)
	store := open(t, proxy.DSN+" default_query_exec_mode=exec", 1, now)
	populate(t, store)
	change(t, store, onVlob(), func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Vlob: theVlob, Version: tx.Vlob() + 1, Author: aliceOne, Blob: []byte("blob")})
	})
	nowhere, stranger, broken := must(parsec.ParseOrganizationID("Nowhere")), parsec3.DeviceID{0xee}, parsec3.DeviceID{0xbb}
	testkit.Execute(t, testkit.Connect(t, dsn), `
INSERT INTO parsec3.device (organization, device_id, user_id, verify_key, created_on)
SELECT organization, $1, user_id, 'short', created_on FROM parsec3.device WHERE device_id = $2`, parsec.UUID(broken).String(), parsec.UUID(aliceOne).String())
	asks := map[string]func() bool{
		"who asks": func() bool {
			got, err := store.Authentication(t.Context(), acme, aliceOne)
			return err == nil && got.Organization.ID == acme && got.Device.ID == aliceOne && got.User.ID == alice
		},
		"a stranger": func() bool {
			got, err := store.Authentication(t.Context(), acme, stranger)
			return err == nil && got.Organization != nil && got.Device == nil && got.User == nil
		},
		"an organization that is not there": func() bool {
			got, err := store.Authentication(t.Context(), nowhere, aliceOne)
			return err == nil && got == rules.Standing{}
		},
		"a vlob": func() bool {
			got, err := store.ReadVlobs(t.Context(), acme, aliceOne, theRealm, []parsec.VlobID{theVlob}, nil, 4)
			return err == nil && !got.TooLong && len(got.Versions) == 1 && string(got.Versions[0].Blob) == "blob" && got.Realm.ID == theRealm
		},
		"a vlob that is too long": func() bool {
			got, err := store.ReadVlobs(t.Context(), acme, aliceOne, theRealm, []parsec.VlobID{theVlob}, nil, 3)
			return err == nil && got.TooLong && got.Versions == nil && got.Realm != nil
		},
		"a vlob that is not there": func() bool {
			got, err := store.ReadVlobs(t.Context(), acme, aliceOne, theRealm, []parsec.VlobID{{9}}, nil, 4)
			return err == nil && !got.TooLong && got.Versions == nil && got.Realm != nil
		},
		"a vlob for a stranger": func() bool {
			got, err := store.ReadVlobs(t.Context(), acme, stranger, theRealm, []parsec.VlobID{theVlob}, nil, 4)
			return err == nil && got.Versions == nil && got.Standing.Device == nil && got.Realm.Role == parsec.RoleNone
		},
		"keys": func() bool {
			got, realm, _, err := store.KeysBundle(t.Context(), acme, aliceOne, theRealm, 1)
			return err == nil && got.Device.ID == aliceOne && realm.ID == theRealm
		},
	}
	together := func(more ...func() bool) {
		t.Helper()
		var group sync.WaitGroup
		for range 5 {
			for name, ask := range asks {
				group.Go(func() {
					if !ask() {
						t.Errorf("%s: another answer", name)
					}
				})
			}
		}
		for _, ask := range more {
			group.Go(func() {
				if !ask() {
					t.Error("another answer")
				}
			})
		}
		group.Wait()
	}
	together()
	together(func() bool {
		_, err := store.Authentication(t.Context(), acme, broken)
		return err != nil
	}, func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := store.Authentication(ctx, acme, aliceOne)
		return errors.Is(err, context.Canceled)
	})

	for _, executed := range []bool{false, true} {
		proxy.Lose(testkit.PostgresFault{Statement: "unnest", Executed: executed})
		together() // again, on another connection
	}
	proxy.Refusals.Store(1 << 30)
	proxy.Cut()
	if _, err := store.Authentication(t.Context(), acme, aliceOne); err == nil {
		t.Error("an answer without database")
	}
	proxy.Refusals.Store(0)
	together()
}
