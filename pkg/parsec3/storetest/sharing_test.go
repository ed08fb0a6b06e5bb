//go:build !without_postgresql

package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec3/rules"
)

// TestLocksThatDoNotExclude has rules that run at the same time: what shares a topic does
// not wait for what does so through another server, nor does what works on other realms,
// or on other topics.
func TestLocksThatDoNotExclude(t *testing.T) {
	bus := testkit.NewBus(t)
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	stores := [2]rules.Store{testkit.OpenParsec3Postgres(t, dsn, bus), testkit.OpenParsec3Postgres(t, dsn, testkit.NewBus(t))}
	f := &fixture{T: t, bus: bus, store: stores[0], organization: newOrganizationID(), seconds: &atomic.Int64{}}
	f.bootstrapSequestered()
	realm, other := f.createRealm(), f.createRealm()
	vlob := f.createVlob(realm, "x")
	everything := rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Sequester: rules.Shared, Shamir: rules.Shared}
	shamir := rules.Scope{Common: rules.Shared, Shamir: rules.Exclusive}
	for _, pair := range [][2]rules.Scope{
		{everything, everything},
		{onVlob(realm, vlob), onVlob(realm, newVlobID())},
		{onBlock(realm, newBlockID()), onBlock(realm, newBlockID())},
		{onRealm(realm), onRealm(other)},
		{onRealm(realm), onVlob(other, vlob)},
		{onRealm(newRealmID()), onRealm(newRealmID())},
		{onCommon(), onSequester()},
		{onRealm(realm), shamir},
		{rules.Scope{Founding: true}, onRealm(realm)},
	} {
		f.wantTogether(stores, pair)
		first, _ := pair[0].Topic()
		if second, _ := pair[1].Topic(); first != second { // What is gathered runs one after the other.
			f.wantTogether([2]rules.Store{stores[0], stores[0]}, pair)
		}
	}
}

// wantTogether has each rule wait for the other one.
func (f *fixture) wantTogether(stores [2]rules.Store, scopes [2]rules.Scope) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	arrived := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	var group sync.WaitGroup
	var errs [2]error
	for i, scope := range scopes {
		scope.Organization = f.organization
		group.Go(func() {
			errs[i] = stores[i].Update(ctx, scope, func(rules.Tx) error {
				close(arrived[i])
				select {
				case <-arrived[1-i]:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}
	group.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		f.Errorf("%+v and %+v do not run together: %v", scopes[0], scopes[1], err)
	}
}
