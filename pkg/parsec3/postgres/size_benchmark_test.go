//go:build !without_postgresql

package postgres_test

import (
	"fmt"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// BenchmarkSizes has what clients send at each start, and user_create, cost the same in
// an organization of one user as in that of TestPlans, beside large ones
// (docs/protocol/v5/performance-notes.md §8 and §10).
func BenchmarkSizes(b *testing.B) {
	small, large := testkit.NewPostgres(b, testkit.Unsound), testkit.NewPostgres(b)
	stores := map[string]*postgres.Store{"small": open(b, small, 2, now), "large": open(b, large, 2, now)}
	for _, store := range stores {
		populate(b, store)
	}
	connection := testkit.Connect(b, large)
	grow(b, connection)
	if err := stores["large"].Prune(b.Context()); err != nil {
		b.Fatal(err)
	}
	testkit.Execute(b, connection, "VACUUM ANALYZE")
	testkit.Execute(b, testkit.Connect(b, small), `
INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
SELECT 'Acme', 'common', '00000000-0000-0000-0000-000000000000', 12000 - i, s, 'certificate' FROM generate_series(0, 4) i, generate_series(0, 1) s`)
	const held = 2 << 20
	last := parsec.DateTime(20_000) // after what grow adds
	after := func(date parsec.DateTime) rules.CertificatesAfter {
		return rules.CertificatesAfter{Common: &date, Realms: map[parsec.RealmID]parsec.DateTime{theRealm: last}}
	}
	for _, command := range []struct {
		name string
		run  func(store *postgres.Store, i int) error
	}{
		{"certificate_get/nothing_new", func(store *postgres.Store, _ int) error {
			_, _, err := store.Certificates(b.Context(), acme, aliceOne, after(last), held)
			return err
		}},
		{"certificate_get/10_new", func(store *postgres.Store, _ int) error {
			_, got, err := store.Certificates(b.Context(), acme, aliceOne, after(11_995), held)
			if err == nil && len(got.Common) < 10 {
				b.Errorf("%d certificates", len(got.Common))
			}
			return err
		}},
		{"realm_get_keys_bundle", func(store *postgres.Store, _ int) error {
			_, _, _, err := store.KeysBundle(b.Context(), acme, aliceOne, theRealm, 1)
			return err
		}},
		{"vlob_read_batch", func(store *postgres.Store, _ int) error {
			_, err := store.ReadVlobs(b.Context(), acme, aliceOne, theRealm, []parsec.VlobID{theVlob}, nil, held)
			return err
		}},
		{"organization_info", func(store *postgres.Store, _ int) error {
			_, _, err := store.Usage(b.Context(), acme, aliceOne)
			return err
		}},
		{"user_create", func(store *postgres.Store, i int) error { return createUser(b, store, last+parsec.DateTime(i)+1) }},
	} {
		for _, size := range []string{"small", "large"} {
			b.Run(command.name+"/"+size, func(b *testing.B) {
				done := 0
				for b.Loop() {
					if err := command.run(stores[size], done); err != nil {
						b.Fatal(err)
					}
					done++
				}
				last += parsec.DateTime(done)
			})
		}
	}
}

// createUser makes the questions and the effects of user_create.
func createUser(b *testing.B, store *postgres.Store, date parsec.DateTime) error {
	b.Helper()
	scope := rules.Scope{Organization: acme, Author: aliceOne, Common: rules.Exclusive}
	return store.Update(b.Context(), scope, func(tx rules.Tx) error {
		user, device := parsec3.UserID(parsec.NewUUID()), parsec3.DeviceID(parsec.NewUUID())
		email := fmt.Sprint(user, "@example.com")
		if _, _, err := tx.User(b.Context(), user); err != nil {
			return err
		}
		if _, err := tx.DeviceExists(b.Context(), device); err != nil {
			return err
		}
		if _, _, err := tx.UserByEmail(b.Context(), email); err != nil {
			return err
		}
		signed := rules.Certificate{Timestamp: date, Author: aliceOne, Bytes: []byte("certificate")}
		tx.CreateUser(rules.User{ID: user, Profile: parsec.ProfileStandard, HumanHandle: must(parsec.ParseHumanHandle(email, "Somebody"))},
			signed, rules.Device{ID: device, User: user}, signed)
		return nil
	})
}
