// Package storetest has every store of state pass one suite: the contract of
// rules.Store, checked.
package storetest

import (
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// check is one property of a store. Its organization is its own, and does not
// exist yet.
type check struct {
	name string
	run  func(f *fixture)
}

// exercise checks the store that open returns, which publishes to bus. The
// checks run in parallel on that one store, each on organizations of its own, in
// which the same ids stand for other things; open may register its end with
// t.Cleanup.
func exercise(t *testing.T, open func(t *testing.T, bus *event.Bus) rules.Store) {
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := open(t, bus)
	for _, family := range []struct {
		name   string
		checks []check
	}{
		{"authentication", authenticationChecks},
		{"session", sessionChecks},
		{"organization", organizationChecks},
		{"user", userChecks},
		{"device", deviceChecks},
		{"certificate", certificateChecks},
		{"realm", realmChecks},
		{"vlob", vlobChecks},
		{"block", blockChecks},
		{"sequester", sequesterChecks},
		{"invite", inviteChecks},
		{"presence", presenceChecks},
		{"shamir", shamirChecks},
		{"enrollment", enrollmentChecks},
		{"totp", totpChecks},
		{"cryptpad", cryptpadChecks},
		{"account", accountChecks},
		{"export", exportChecks},
		{"transaction", transactionChecks},
		{"concurrency", concurrencyChecks},
	} {
		t.Run(family.name, func(t *testing.T) {
			for _, c := range family.checks {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&fixture{T: t, store: store, bus: bus, organization: newOrganizationID(), seconds: &atomic.Int64{}})
				})
			}
		})
	}
	if _, gathers := store.(gathering); !gathers {
		return // It stands for several.
	}
	for _, c := range gatheringChecks {
		t.Run("gathering/"+c.name, func(t *testing.T) {
			c.run(&fixture{T: t, store: store, bus: bus, organization: newOrganizationID(), seconds: &atomic.Int64{}})
		})
	}
}

// The people of the checks.
var (
	alice = parsec3.UserID{0xa1}
	bob   = parsec3.UserID{0xb0}
	carol = parsec3.UserID{0xc0}

	root     = parsec3.DeviceID{}
	aliceOne = parsec3.DeviceID{0xa1, 1}
	aliceTwo = parsec3.DeviceID{0xa1, 2}
	bobOne   = parsec3.DeviceID{0xb0, 1}
	bobTwo   = parsec3.DeviceID{0xb0, 2}
	carolOne = parsec3.DeviceID{0xc0, 1}

	names = map[parsec3.UserID]string{alice: "alice", bob: "bob", carol: "carol"}
	ones  = map[parsec3.UserID]parsec3.DeviceID{alice: aliceOne, bob: bobOne, carol: carolOne}
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newOrganizationID() parsec.OrganizationID {
	return must(parsec.ParseOrganizationID("Org" + parsec.NewUUID().Hex()[:20]))
}

func newUserID() parsec3.UserID     { return parsec3.UserID(parsec.NewUUID()) }
func newDeviceID() parsec3.DeviceID { return parsec3.DeviceID(parsec.NewUUID()) }
func newRealmID() parsec.RealmID    { return parsec.RealmID(parsec.NewUUID()) }
func newVlobID() parsec.VlobID      { return parsec.VlobID(parsec.NewUUID()) }
func newBlockID() parsec.BlockID    { return parsec.BlockID(parsec.NewUUID()) }

// at returns a date of the checks, in seconds from an arbitrary one.
func at(seconds int) parsec.DateTime {
	return 1_700_000_000_123_456 + parsec.DateTime(seconds)*1_000_000
}

// The scopes of transactions authored by alice.
func onCommon() rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Exclusive}
}

func onRealm(realm parsec.RealmID) rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Shared, Realm: realm, RealmLock: rules.Exclusive, Sequester: rules.Shared}
}

func onVlob(realm parsec.RealmID, vlob parsec.VlobID) rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Vlob: vlob}
}

func onBlock(realm parsec.RealmID, block parsec.BlockID) rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Block: &block}
}

func onSequester() rules.Scope { return rules.Scope{Sequester: rules.Exclusive} }

// by returns a scope of another author.
func by(author parsec3.DeviceID, scope rules.Scope) rules.Scope {
	scope.Author = author
	return scope
}

// equal reports a difference, by errors only: it may be called from any
// goroutine.
func equal[T any](f *fixture, what string, got, want T) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// equalList is equal, but a nil list is an empty one.
func equalList[T any](f *fixture, what string, got, want []T) {
	f.Helper()
	if len(got)+len(want) > 0 {
		equal(f, what, got, want)
	}
}

// texts returns certificates as text.
func texts(certificates [][]byte) []string {
	list := make([]string, len(certificates))
	for i, certificate := range certificates {
		list[i] = string(certificate)
	}
	return list
}

// sorted sorts ids that a store returns in any order.
func sorted[T ~[16]byte](ids []T) []T {
	return slices.SortedFunc(slices.Values(ids), func(a, b T) int { return slices.Compare(a[:], b[:]) })
}
