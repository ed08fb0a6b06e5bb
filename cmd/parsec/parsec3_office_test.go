//go:build !without_postgresql

package main

import (
	"crypto/ed25519"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// The people and things of the organization Acme3.
var (
	alice3, bob3 = parsec3.UserID{0xa1}, parsec3.UserID{0xb0}
	aliceOne3    = parsec3.DeviceID{0xa1, 1}
	acmeRealm    = parsec.RealmID{1}
)

// office3 is an office with the organization Acme3 of Parsec 3, which began in 2020 and
// keeps its blocks in the database.
type office3 struct {
	*office
	store  parsec3rules.Store
	blocks blockstore.Store
	key    ed25519.PrivateKey
}

func newOffice3(t *testing.T) *office3 {
	t.Helper()
	o := &office3{office: newOffice(t), key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	o.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	o.store = testkit.OpenParsec3Postgres(t, o.variables["PARSEC_DB"], testkit.NewBus(t))
	settings := must(config.LoadBlockstore(nil, environmentOf(o.variables)))
	database := must(config.LoadDatabase(nil, environmentOf(o.variables)))
	blocks, end, err := openBlockStore(settings, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	o.blocks = blocks
	founded, root := date("2020-01-01"), parsec.VerifyKey(o.key.Public().(ed25519.PublicKey))
	o.change3(parsec3rules.Scope{Founding: true}, func(tx parsec3rules.Tx) {
		created := organization.Founding{}.New(organizationID(t, "Acme3"), founded)
		created.RootVerifyKey, created.BootstrappedOn, created.Generation = &root, &founded, organization.Parsec3
		tx.PutOrganization(created)
		user, signed := o.user(alice3, "Alice", parsec.ProfileAdmin, "2020-01-01")
		tx.Found(user, signed, parsec3rules.Device{ID: aliceOne3, User: alice3, CreatedOn: founded}, o.device("2020-01-01"), nil)
	})
	o.change3(parsec3rules.Scope{Common: parsec3rules.Exclusive}, func(tx parsec3rules.Tx) {
		user, signed := o.user(bob3, "Bob", parsec.ProfileStandard, "2020-01-02")
		tx.CreateUser(user, signed, parsec3rules.Device{ID: parsec3.DeviceID{0xb0, 1}, User: bob3, CreatedOn: user.CreatedOn}, o.device("2020-01-02"))
	})
	o.createRealm(acmeRealm)
	return o
}

func (o *office3) change3(scope parsec3rules.Scope, effects func(parsec3rules.Tx)) {
	o.t.Helper()
	scope.Organization = organizationID(o.t, "Acme3")
	err := o.store.Update(o.t.Context(), scope, func(tx parsec3rules.Tx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// certified returns a certificate of alice's device, which is its redacted form too.
func certified(day string, signed []byte, err error) parsec3rules.Certificate {
	return parsec3rules.Certificate{Timestamp: date(day), Author: aliceOne3, Bytes: must(signed, err), Redacted: []byte("redacted")}
}

func (o *office3) user(id parsec3.UserID, label string, profile parsec.UserProfile, day string) (parsec3rules.User, parsec3rules.Certificate) {
	handle := must(parsec.ParseHumanHandle(label+"@example.com", label))
	signed, err := certificate.User{
		Author: aliceOne3, Timestamp: date(day), UserID: id, HumanHandle: handle, PublicKey: parsec.PublicKey{1}, Profile: profile,
	}.Sign(o.key)
	return parsec3rules.User{ID: id, HumanHandle: handle, Profile: profile, CreatedOn: date(day)}, certified(day, signed, err)
}

func (o *office3) device(day string) parsec3rules.Certificate {
	signed, err := certificate.Device{
		Author: aliceOne3, Timestamp: date(day), Purpose: parsec3.PurposeStandard, UserID: alice3, DeviceID: aliceOne3,
		DeviceLabel: must(parsec3.ParseDeviceLabel("laptop")), VerifyKey: parsec.VerifyKey{1},
	}.Sign(o.key)
	return certified(day, signed, err)
}

func (o *office3) role(realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole, day string) parsec3rules.Certificate {
	signed, err := certificate.RealmRole{Author: aliceOne3, Timestamp: date(day), RealmID: realm, UserID: user, Role: role}.Sign(o.key)
	return certified(day, signed, err)
}

func onRealm3(realm parsec.RealmID) parsec3rules.Scope {
	return parsec3rules.Scope{Common: parsec3rules.Shared, Realm: realm, RealmLock: parsec3rules.Exclusive, Sequester: parsec3rules.Shared}
}

// createRealm creates a realm of alice, with a key.
func (o *office3) createRealm(realm parsec.RealmID) {
	o.t.Helper()
	o.change3(onRealm3(realm), func(tx parsec3rules.Tx) {
		tx.CreateRealm(alice3, o.role(realm, alice3, parsec.RoleOwner, "2020-01-03"))
		signed, err := certificate.RealmKeyRotation{Author: aliceOne3, Timestamp: date("2020-01-04"), RealmID: realm, KeyIndex: 1, KeyCanary: []byte{}}.Sign(o.key)
		tx.RotateKey(parsec3rules.KeyRotation{KeyIndex: 1, KeysBundle: []byte("bundle"), Participants: map[parsec3.UserID][]byte{alice3: []byte("access")}},
			certified("2020-01-04", signed, err))
	})
}

func (o *office3) setRole(realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole, day string) {
	o.t.Helper()
	o.change3(onRealm3(realm), func(tx parsec3rules.Tx) { tx.SetRole(user, role, nil, o.role(realm, user, role, day)) })
}

// write3 writes the next version of a vlob.
func (o *office3) write3(vlob byte, day, blob string) {
	o.t.Helper()
	scope := parsec3rules.Scope{Common: parsec3rules.Shared, Realm: acmeRealm, RealmLock: parsec3rules.Shared, Vlob: parsec.VlobID{vlob}}
	o.change3(scope, func(tx parsec3rules.Tx) {
		tx.WriteVlob(parsec3rules.VlobVersion{
			Vlob: parsec.VlobID{vlob}, Version: tx.Vlob() + 1, KeyIndex: 1, Author: aliceOne3, Timestamp: date(day), Blob: []byte(blob),
		})
	})
}

// upload3 creates a block, whose bytes only get to the store if it is not lost.
func (o *office3) upload3(id byte, day, data string, lost bool) {
	o.t.Helper()
	block := parsec.BlockID{id}
	if !lost {
		if err := o.blocks.Create(o.t.Context(), organizationID(o.t, "Acme3"), block, []byte(data)); err != nil {
			o.t.Fatal(err)
		}
	}
	o.change3(parsec3rules.Scope{Common: parsec3rules.Shared, Realm: acmeRealm, RealmLock: parsec3rules.Shared, Block: &block}, func(tx parsec3rules.Tx) {
		tx.CreateBlock(parsec3rules.Block{ID: block, Realm: acmeRealm, KeyIndex: 1, Author: aliceOne3, Size: uint64(len(data)), CreatedOn: date(day)})
	})
}
