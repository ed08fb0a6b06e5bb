// Package storetest has every store of state pass one suite: the contract of
// rules.Store, checked.
package storetest

import (
	"reflect"
	"slices"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// check is one property of a store. Its organization is its own, and does not
// exist yet.
type check struct {
	name string
	run  func(f *fixture)
}

// family is the checks of a family of commands.
type family struct {
	name   string
	checks []check
}

// exercise checks the store that open returns, which publishes to bus. The
// checks run in parallel on that one store, each on organizations of its own;
// open may register its end with t.Cleanup.
func exercise(t *testing.T, open func(t *testing.T, bus *event.Bus) rules.Store) {
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := open(t, bus)
	families := []family{
		{"organization", organizationChecks},
		{"statistics", statisticsChecks},
		{"sequester", sequesterChecks},
		{"authentication", authenticationChecks},
		{"user", userChecks},
		{"find", findChecks},
		{"human accesses", humanAccessesChecks},
		{"realm", realmChecks},
		{"reencryption", reencryptionChecks},
		{"vlob", vlobChecks},
		{"block", blockChecks},
		{"message", messageChecks},
		{"invite", inviteChecks},
		{"conduit", conduitChecks},
		{"invitev1", inviteV1Checks},
		{"shamir", shamirChecks},
		{"enrollment", enrollmentChecks},
		{"transaction", transactionChecks},
		{"concurrency", concurrencyChecks},
	}
	if _, is := store.(blockIndex); is { // Families follow one another: the first finds the store empty.
		families = slices.Concat([]family{{"block pages", blockPageChecks}}, families, []family{{"block index", blockIndexChecks}})
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			for _, c := range family.checks {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&fixture{T: t, store: store, bus: bus, organization: newOrganizationID()})
				})
			}
		})
	}
}

// The people of the checks.
var (
	alice = userID("alice")
	bob   = userID("bob")
	carol = userID("carol")

	aliceOne = deviceID("alice@one")
	bobOne   = deviceID("bob@one")
	carolOne = deviceID("carol@one")
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func userID(text string) parsec.UserID     { return must(parsec.ParseUserID(text)) }
func deviceID(text string) parsec.DeviceID { return must(parsec.ParseDeviceID(text)) }

func newOrganizationID() parsec.OrganizationID {
	return must(parsec.ParseOrganizationID("Org" + parsec.NewUUID().Hex()[:20]))
}

func newRealmID() parsec.RealmID { return parsec.RealmID(parsec.NewUUID()) }
func newVlobID() parsec.VlobID   { return parsec.VlobID(parsec.NewUUID()) }
func newBlockID() parsec.BlockID { return parsec.BlockID(parsec.NewUUID()) }

// at returns a date of the checks, in seconds from an arbitrary one.
func at(seconds int) parsec.DateTime {
	return 1_700_000_000_123_456 + parsec.DateTime(seconds)*1_000_000
}

// The scopes of transactions authored by alice.
func onOrganization() rules.Scope {
	return rules.Scope{Author: aliceOne, LockOrganization: true}
}

func onRealm(realm parsec.RealmID) rules.Scope {
	return rules.Scope{Author: aliceOne, Realm: realm, By: rules.RealmExclusive}
}

func onData(realm parsec.RealmID) rules.Scope { return onBlock(realm, newBlockID()) }

func onBlock(realm parsec.RealmID, block parsec.BlockID) rules.Scope {
	return rules.Scope{Author: aliceOne, Realm: realm, Block: block, By: rules.RealmData}
}

func onVlobCreate(realm parsec.RealmID, vlob parsec.VlobID) rules.Scope {
	return rules.Scope{Author: aliceOne, Realm: realm, Vlob: vlob, By: rules.RealmVlobCreate}
}

func onVlobUpdate(vlob parsec.VlobID) rules.Scope {
	return rules.Scope{Author: aliceOne, Vlob: vlob, By: rules.RealmVlobUpdate}
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
