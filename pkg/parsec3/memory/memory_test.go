package memory_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/rules"
)

func TestOrganizationStore(t *testing.T) {
	organizationtest.Exercise(t, func(_ *testing.T, bus *event.Bus) organization.Store { return memory.New(organizations.New(bus)) })
}

var (
	alice, bob       = parsec3.UserID{1}, parsec3.UserID{2}
	aliceOne, bobOne = parsec3.DeviceID{1, 1}, parsec3.DeviceID{2, 1}

	realmID   = parsec.RealmID{1}
	vlobID    = parsec.VlobID{2}
	blockID   = parsec.BlockID{3}
	serviceID = parsec.SequesterServiceID{4}
)

// newStore has a sequestered organization with two users, and a realm of the first
// with a key and a vlob of one version. Its last dates are 10 and less.
func newStore(t *testing.T) (*memory.Store, func(rules.Scope, func(rules.Tx)) error) {
	t.Helper()
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := memory.New(organizations.New(bus))
	id, err := parsec.ParseOrganizationID("Org")
	if err != nil {
		t.Fatal(err)
	}
	update := func(scope rules.Scope, effects func(rules.Tx)) error {
		scope.Organization = id
		return store.Update(t.Context(), scope, func(tx rules.Tx) error {
			effects(tx)
			return nil
		})
	}
	for _, step := range []struct {
		scope   rules.Scope
		effects func(rules.Tx)
	}{
		{rules.Scope{Founding: true}, func(tx rules.Tx) {
			tx.PutOrganization(organization.Organization{ID: id})
			tx.Found(newUser(alice), dated(1), rules.Device{ID: aliceOne, User: alice}, dated(1), new(dated(1)))
		}},
		{rules.Scope{Common: rules.Exclusive}, func(tx rules.Tx) { createBob(tx, 2) }},
		{onRealm, func(tx rules.Tx) {
			tx.CreateRealm(alice, dated(3))
			tx.RotateKey(rules.KeyRotation{KeyIndex: 1}, dated(4))
		}},
		{onVlob, func(tx rules.Tx) { tx.WriteVlob(rules.VlobVersion{Vlob: vlobID, Version: 1}) }},
		{onShamir, func(tx rules.Tx) { setUp(tx, alice, 6) }},
		{rules.Scope{Sequester: rules.Exclusive}, func(tx rules.Tx) {
			tx.CreateService(rules.SequesterService{ID: serviceID}, dated(5))
		}},
	} {
		if err := update(step.scope, step.effects); err != nil {
			t.Fatal(err)
		}
	}
	return store, update
}

func dated(date parsec.DateTime) rules.Certificate { return rules.Certificate{Timestamp: date} }

func newUser(id parsec3.UserID) rules.User {
	handle, err := parsec.ParseHumanHandle(id.String()+"@example.com", "Name")
	if err != nil {
		panic(err)
	}
	return rules.User{ID: id, HumanHandle: handle}
}

func createBob(tx rules.Tx, date parsec.DateTime) {
	tx.CreateUser(newUser(bob), dated(date), rules.Device{ID: bobOne, User: bob}, dated(date))
}

func TestUnknownOrganizationsLeaveNothing(t *testing.T) {
	store, _ := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		id, err := parsec.ParseOrganizationID(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Update(t.Context(), rules.Scope{Organization: id, Founding: true}, func(rules.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Authentication(t.Context(), id, aliceOne); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.Cells()) != 1 {
		t.Errorf("%d organizations, want 1", len(store.Cells()))
	}
}

// misuse is an effect that fails its transaction.
type misuse struct {
	effect  string
	scope   rules.Scope
	effects func(rules.Tx)
}

var (
	other    = parsec.RealmID{9}
	none     = rules.Scope{}
	founding = rules.Scope{Founding: true}
	common   = rules.Scope{Common: rules.Exclusive}
	shared   = rules.Scope{Common: rules.Shared}
	onRealm  = rules.Scope{Common: rules.Shared, Realm: realmID, RealmLock: rules.Exclusive, Sequester: rules.Shared}
	onOther  = rules.Scope{Common: rules.Shared, Realm: other, RealmLock: rules.Exclusive}
	onVlob   = rules.Scope{Common: rules.Shared, Realm: realmID, RealmLock: rules.Shared, Vlob: vlobID, Block: &blockID}
	onList   = rules.Scope{Sequester: rules.Exclusive}
	onShamir = rules.Scope{Common: rules.Shared, Shamir: rules.Exclusive}
)

// without returns a scope with one lock less.
func without(scope rules.Scope, change func(*rules.Scope)) rules.Scope {
	change(&scope)
	return scope
}

func noCommon(scope *rules.Scope) { scope.Common = rules.Unlocked }
func noRealm(scope *rules.Scope)  { scope.RealmLock = rules.Unlocked }
func notAlone(scope *rules.Scope) { scope.RealmLock = rules.Shared }

// TestMisuse has what a store that locks less would not survive: each effect with
// one lock less than it needs, on what does not exist, or out of sequence.
func TestMisuse(t *testing.T) {
	for _, test := range slices.Concat(misuseOfUsers(), misuseOfRealms(), misuseOfData(), misuseOfServices(), misuseOfShamir()) {
		_, update := newStore(t)
		err := update(test.scope, test.effects)
		if err == nil || !strings.HasPrefix(err.Error(), test.effect+" is not allowed") {
			t.Errorf("%s in %+v: error %v", test.effect, test.scope, err)
		}
	}
}

func misuseOfUsers() []misuse {
	found := func(tx rules.Tx) {
		tx.Found(newUser(alice), dated(1), rules.Device{ID: aliceOne, User: alice}, dated(1), nil)
	}
	createCarol := func(date parsec.DateTime) func(rules.Tx) {
		carol := parsec3.UserID{3}
		return func(tx rules.Tx) {
			tx.CreateUser(newUser(carol), dated(date), rules.Device{ID: parsec3.DeviceID{3, 1}, User: carol}, dated(date))
		}
	}
	createDevice := func(tx rules.Tx) { tx.CreateDevice(rules.Device{ID: parsec3.DeviceID{9}, User: bob}, dated(11)) }
	return []misuse{
		{"PutOrganization", common, func(tx rules.Tx) { tx.PutOrganization(organization.Organization{}) }},
		{"PutOrganization", founding, func(tx rules.Tx) { tx.PutOrganization(organization.Organization{}) }}, // of no id
		{"Found", common, found},
		{"Found", founding, found}, // exists
		{"CreateUser", shared, createCarol(11)},
		{"CreateUser", common, createCarol(2)},                          // not later
		{"CreateUser", common, func(tx rules.Tx) { createBob(tx, 11) }}, // exists
		{"CreateDevice", shared, createDevice},
		{"CreateDevice", common, func(tx rules.Tx) { createDevice(tx); createDevice(tx) }}, // of one date
		{"UpdateProfile", shared, func(tx rules.Tx) { tx.UpdateProfile(bob, parsec.ProfileOutsider, dated(11)) }},
		{"UpdateProfile", common, func(tx rules.Tx) { tx.UpdateProfile(parsec3.UserID{9}, parsec.ProfileAdmin, dated(11)) }},
		{"RevokeUser", shared, func(tx rules.Tx) { tx.RevokeUser(bob, dated(11)) }},
		{"Traces", shared, func(tx rules.Tx) { _, _ = tx.Traces(context.Background(), bob) }},
		{"FreezeUser", none, func(tx rules.Tx) { tx.FreezeUser(parsec3.UserID{9}, true) }},
		{"AcceptTOS", none, func(tx rules.Tx) { tx.AcceptTOS(parsec3.UserID{9}, 1) }},
	}
}

func misuseOfRealms() []misuse {
	create := func(tx rules.Tx) { tx.CreateRealm(alice, dated(11)) }
	share := func(date parsec.DateTime) func(rules.Tx) {
		return func(tx rules.Tx) { tx.SetRole(bob, parsec.RoleReader, []byte("access"), dated(date)) }
	}
	rotate := func(index uint64) func(rules.Tx) {
		return func(tx rules.Tx) { tx.RotateKey(rules.KeyRotation{KeyIndex: index}, dated(11)) }
	}
	archive := func(tx rules.Tx) { tx.ArchiveRealm(parsec.ArchivingArchived, nil, dated(11)) }
	return []misuse{
		{"CreateRealm", onRealm, create}, // exists
		{"CreateRealm", without(onOther, noCommon), create},
		{"CreateRealm", without(onOther, notAlone), create},
		{"SetRole", without(onRealm, noCommon), share(11)},
		{"SetRole", without(onRealm, noRealm), share(11)},
		{"SetRole", without(onRealm, notAlone), share(11)},
		{"SetRole", onOther, share(11)},
		{"SetRole", onRealm, share(4)}, // not later
		{"NameRealm", without(onRealm, notAlone), func(tx rules.Tx) { tx.NameRealm(dated(11)) }},
		{"RotateKey", without(onRealm, notAlone), rotate(2)},
		{"RotateKey", without(onRealm, func(scope *rules.Scope) { scope.Sequester = rules.Unlocked }), rotate(2)},
		{"RotateKey", onRealm, rotate(1)},
		{"RotateKey", onRealm, rotate(3)},
		{"ArchiveRealm", without(onRealm, notAlone), archive},
		{"ArchiveRealm", without(onRealm, noCommon), archive},
		{"MarkRealmDeleted", without(onRealm, notAlone), rules.Tx.MarkRealmDeleted},
		{"MarkRealmDeleted", onOther, rules.Tx.MarkRealmDeleted},
	}
}

func misuseOfData() []misuse {
	write := func(id parsec.VlobID, version uint32) func(rules.Tx) {
		return func(tx rules.Tx) { tx.WriteVlob(rules.VlobVersion{Vlob: id, Version: version}) }
	}
	reserve := func(id parsec.BlockID) func(rules.Tx) {
		return func(tx rules.Tx) { tx.ReserveBlock(rules.BlockUpload{ID: id}) }
	}
	create := func(id parsec.BlockID, realm parsec.RealmID) func(rules.Tx) {
		return func(tx rules.Tx) { tx.CreateBlock(rules.Block{ID: id, Realm: realm}) }
	}
	register := func(replaced *rules.CryptpadSession) func(rules.Tx) {
		return func(tx rules.Tx) { tx.PutCryptpadSession(rules.CryptpadSession{}, replaced) }
	}
	return []misuse{
		{"WriteVlob", without(onVlob, noCommon), write(vlobID, 2)},
		{"WriteVlob", without(onVlob, noRealm), write(vlobID, 2)},
		{"WriteVlob", onVlob, write(vlobID, 1)},
		{"WriteVlob", onVlob, write(vlobID, 3)},
		{"WriteVlob", onVlob, write(parsec.VlobID{9}, 1)},
		{"ReserveBlock", without(onVlob, noCommon), reserve(blockID)},
		{"ReserveBlock", without(onVlob, noRealm), reserve(blockID)},
		{"ReserveBlock", onVlob, reserve(parsec.BlockID{9})},
		{"CreateBlock", without(onVlob, noCommon), create(blockID, realmID)},
		{"CreateBlock", without(onVlob, noRealm), create(blockID, realmID)},
		{"CreateBlock", onVlob, create(blockID, other)},
		{"PutCryptpadSession", without(onVlob, noCommon), register(nil)},
		{"PutCryptpadSession", without(onVlob, noRealm), register(nil)},
		{"PutCryptpadSession", onVlob, register(&rules.CryptpadSession{})}, // there is none
		{"CreateBlock", onVlob, create(parsec.BlockID{9}, realmID)},
	}
}

func misuseOfServices() []misuse {
	create := func(date parsec.DateTime) func(rules.Tx) {
		return func(tx rules.Tx) {
			tx.CreateService(rules.SequesterService{ID: parsec.SequesterServiceID{9}}, dated(date))
		}
	}
	return []misuse{
		{"CreateService", onRealm, create(11)},
		{"CreateService", onList, create(5)}, // not later
		{"RevokeService", onRealm, func(tx rules.Tx) { tx.RevokeService(serviceID, dated(11)) }},
		{"RevokeService", onList, func(tx rules.Tx) { tx.RevokeService(parsec.SequesterServiceID{9}, dated(11)) }},
		{"ConfigureService", none, func(tx rules.Tx) { tx.ConfigureService(parsec.SequesterServiceID{9}, "") }},
	}
}

// setUp has the other user hold a share.
func setUp(tx rules.Tx, user parsec3.UserID, date parsec.DateTime) {
	recipient := map[parsec3.UserID]parsec3.UserID{alice: bob, bob: alice}[user]
	tx.CreateShamirSetup(rules.ShamirSetup{User: user, CreatedOn: date, Shares: map[parsec3.UserID]uint8{recipient: 1}}, dated(date),
		[]rules.ShamirShare{{Recipient: recipient}})
}

func misuseOfShamir() []misuse {
	create := func(user parsec3.UserID, date parsec.DateTime) func(rules.Tx) {
		return func(tx rules.Tx) { setUp(tx, user, date) }
	}
	remove := func(user parsec3.UserID, of, date parsec.DateTime) func(rules.Tx) {
		return func(tx rules.Tx) { tx.DeleteShamirSetup(&rules.ShamirSetup{User: user, CreatedOn: of}, dated(date)) }
	}
	return []misuse{
		{"CreateShamirSetup", without(onShamir, noCommon), create(bob, 11)},
		{"CreateShamirSetup", without(onShamir, func(scope *rules.Scope) { scope.Shamir = rules.Shared }), create(bob, 11)},
		{"CreateShamirSetup", onShamir, create(bob, 6)},    // not later
		{"CreateShamirSetup", onShamir, create(alice, 11)}, // exists
		{"CreateShamirSetup", onShamir, func(tx rules.Tx) {
			tx.CreateShamirSetup(rules.ShamirSetup{User: bob, CreatedOn: 11}, dated(11), []rules.ShamirShare{{Recipient: alice}})
		}},
		{"DeleteShamirSetup", without(onShamir, noCommon), remove(alice, 6, 11)},
		{"DeleteShamirSetup", onShamir, remove(alice, 7, 11)},
		{"DeleteShamirSetup", onShamir, remove(alice, 6, 6)},
	}
}
