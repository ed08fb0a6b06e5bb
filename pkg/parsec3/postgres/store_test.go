//go:build !without_postgresql

package postgres_test

import (
	"crypto/ed25519"
	"log/slog"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/organization/organizationtest"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

func TestOrganizationStore(t *testing.T) {
	organizationtest.Exercise(t, func(t *testing.T, bus *event.Bus) organization.Store {
		return testkit.OpenParsec3Postgres(t, testkit.NewPostgres(t, testkit.Unsound), bus)
	})
}

var (
	acme       = must(parsec.ParseOrganizationID("Acme"))
	alice      = parsec3.UserID{0xa1}
	aliceOne   = parsec3.DeviceID{0xa1, 1}
	theRealm   = parsec.RealmID{1}
	theVlob    = parsec.VlobID{2}
	theBlock   = parsec.BlockID{3}
	theAttempt = parsec3.GreetingAttemptID{4}
	theToken   = must(parsec3.ParseAccessToken(strings.Repeat("07", 16)))

	privateKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	publicKey  = parsec.VerifyKey(privateKey.Public().(ed25519.PublicKey))
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// open opens a store with so many connections, whose clock is clock.
func open(t testing.TB, dsn string, connections int32, clock func() parsec.DateTime) *postgres.Store {
	t.Helper()
	return openOn(t, dsn, connections, clock, testkit.NewBus(t))
}

// openOn is open for a store that publishes to a bus.
func openOn(t testing.TB, dsn string, connections int32, clock func() parsec.DateTime, bus *event.Bus) *postgres.Store {
	t.Helper()
	opened, err := database.Open(t.Context(), database.Options{
		Source:         database.Source{DSN: dsn, Logger: slog.New(slog.DiscardHandler)},
		MaxConnections: connections, Codec: testkit.Codec,
	}, bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return postgres.New(opened, organizationstore.New(opened), clock)
}

// change runs effects in a transaction of alice.
func change(t testing.TB, store rules.Store, scope rules.Scope, effects func(tx rules.Tx)) {
	t.Helper()
	scope.Organization, scope.Author = acme, aliceOne
	err := store.Update(t.Context(), scope, func(tx rules.Tx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// populate creates Acme with alice, her realm, which has a key, and a vlob of one
// version. It is old.
func populate(t testing.TB, store rules.Store) {
	t.Helper()
	dated := func(date parsec.DateTime) rules.Certificate {
		return rules.Certificate{Timestamp: date, Author: aliceOne, Bytes: []byte("certificate")}
	}
	change(t, store, rules.Scope{Founding: true}, func(tx rules.Tx) {
		tx.PutOrganization(organization.Organization{ID: acme, RootVerifyKey: &publicKey, Generation: organization.Parsec3})
		tx.Found(
			rules.User{ID: alice, Profile: parsec.ProfileAdmin, HumanHandle: must(parsec.ParseHumanHandle("alice@example.com", "Alice"))}, dated(1),
			rules.Device{ID: aliceOne, User: alice, VerifyKey: publicKey}, dated(1), nil)
	})
	change(t, store, inRealm(rules.Exclusive), func(tx rules.Tx) {
		tx.CreateRealm(alice, dated(2))
		tx.RotateKey(rules.KeyRotation{
			KeyIndex: 1, KeysBundle: []byte("bundle"), Participants: map[parsec3.UserID][]byte{alice: []byte("access")},
		}, dated(3))
	})
	change(t, store, onVlob(), func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Vlob: theVlob, Version: 1, KeyIndex: 1, Author: aliceOne, Timestamp: 4, Blob: []byte("one")})
	})
}

func inRealm(how rules.Lock) rules.Scope {
	return rules.Scope{Common: rules.Shared, Realm: theRealm, RealmLock: how}
}

func onVlob() rules.Scope {
	scope := inRealm(rules.Shared)
	scope.Vlob = theVlob
	return scope
}

func onBlock() rules.Scope {
	scope := inRealm(rules.Shared)
	scope.Block = &theBlock
	return scope
}

// newRules returns the rules of a store, and alice as their author.
func newRules(t testing.TB, store rules.Store, blocks blockstore.Store) (*rules.Rules, *rules.Author) {
	t.Helper()
	return newRulesWith(t, store, blocks, rules.Options{})
}

func newRulesWith(t testing.TB, store rules.Store, blocks blockstore.Store, options rules.Options) (*rules.Rules, *rules.Author) {
	t.Helper()
	parsec3 := rules.New(store, blocks, testkit.NewBus(t), nil, now, slog.New(slog.DiscardHandler), options)
	return parsec3, &rules.Author{
		Organization: acme, Device: aliceOne, User: alice, VerifyKey: publicKey, API: parsec.APIVersion{Major: 5, Minor: 5},
	}
}
