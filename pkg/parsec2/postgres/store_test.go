//go:build !without_postgresql

package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

// storeOptions are those of the database of a store, and its clock.
type storeOptions struct {
	database.Options
	Now func() parsec.DateTime
}

// options returns the options of a store with one connection, which is tried
// once.
func options(dsn string) storeOptions {
	return storeOptions{
		Options: database.Options{
			Source:         database.Source{DSN: dsn, Logger: slog.New(slog.DiscardHandler)},
			MaxConnections: 1,
			Codec:          notice.Codec{},
		},
		Now: func() parsec.DateTime { return parsec.DateTimeOf(time.Now()) },
	}
}

// tryOpen opens a store, which the caller closes.
func tryOpen(ctx context.Context, options storeOptions, bus *event.Bus) (*postgres.Store, error) {
	opened, err := database.Open(ctx, options.Options, bus)
	if err != nil {
		return nil, err
	}
	return postgres.New(opened, organizationstore.New(opened), options.Now), nil
}

func open(t testing.TB, options storeOptions, bus *event.Bus) *postgres.Store {
	t.Helper()
	store, err := tryOpen(t.Context(), options, bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var (
	acme     = must(parsec.ParseOrganizationID("Acme"))
	aliceOne = must(parsec.ParseDeviceID("alice@one"))
	alice    = aliceOne.User()

	theRealm = parsec.RealmID{1}
	theVlob  = parsec.VlobID{2}
)

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

// populate creates Acme with alice, her realm, and a vlob of one version.
func populate(t testing.TB, store rules.Store) {
	t.Helper()
	change(t, store, rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		tx.PutOrganization(rules.Organization{ID: acme})
		tx.CreateUser(rules.User{ID: alice, Profile: parsec.ProfileAdmin})
		tx.CreateDevice(rules.Device{ID: aliceOne})
	})
	change(t, store, rules.Scope{Realm: theRealm, By: rules.RealmExclusive}, func(tx rules.Tx) {
		tx.CreateRealm(0)
		tx.AddRole(rules.RoleCertificate{Realm: theRealm, User: alice, Role: parsec.RoleOwner, Author: aliceOne})
	})
	change(t, store, rules.Scope{Realm: theRealm, Vlob: theVlob, By: rules.RealmVlobCreate}, func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Version: 1, Blob: []byte("one"), Author: aliceOne}, 1, nil)
	})
}

// updateVlob writes the next version, with its event.
func updateVlob(ctx context.Context, store rules.Store) error {
	scope := rules.Scope{Organization: acme, Author: aliceOne, Vlob: theVlob, By: rules.RealmVlobUpdate}
	return store.Update(ctx, scope, func(tx rules.Tx) error {
		realm, _ := tx.Realm()
		vlob, _ := tx.Vlob()
		checkpoint := realm.Checkpoint + 1
		tx.WriteVlob(rules.VlobVersion{Version: vlob.Version + 1, Blob: []byte("next"), Author: aliceOne}, checkpoint, nil)
		tx.Emit(event.Event{Organization: acme, Author: aliceOne, Body: notice.RealmVlobsUpdated{
			Realm: theRealm, Checkpoint: checkpoint, Source: theVlob, SourceVersion: vlob.Version + 1,
		}})
		return nil
	})
}

// checkpoint reads that of the realm.
func checkpoint(t testing.TB, store rules.Store) uint64 {
	t.Helper()
	realm, _, err := store.Realm(t.Context(), acme, theRealm, alice)
	if err != nil {
		t.Fatal(err)
	}
	return realm.Checkpoint
}
