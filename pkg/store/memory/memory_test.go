package memory

import (
	"context"
	"strings"
	"testing"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
	"parsec-server/pkg/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Exercise(t, func(_ *testing.T, bus *event.Bus) backend.Store { return New(bus) })
}

var (
	realmID = parsec.RealmID{1}
	vlobID  = parsec.VlobID{2}

	onRealm = backend.Scope{Realm: realmID, By: backend.RealmExclusive}
)

// newStore has an organization with a realm and a vlob of one version.
func newStore(t *testing.T) (*Store, func(backend.Scope, func(backend.Tx)) error) {
	t.Helper()
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := New(bus)
	organization, err := parsec.ParseOrganizationID("Org")
	if err != nil {
		t.Fatal(err)
	}
	update := func(scope backend.Scope, effects func(backend.Tx)) error {
		scope.Organization = organization
		return store.Update(t.Context(), scope, func(tx backend.Tx) error {
			effects(tx)
			return nil
		})
	}
	for _, step := range []struct {
		scope   backend.Scope
		effects func(backend.Tx)
	}{
		{backend.Scope{LockOrganization: true}, func(tx backend.Tx) {
			tx.PutOrganization(backend.Organization{ID: organization})
		}},
		{onRealm, func(tx backend.Tx) {
			tx.CreateRealm(0)
			tx.AddRole(backend.RoleCertificate{Realm: realmID, Role: parsec.RoleReader})
		}},
		{backend.Scope{Realm: realmID, Vlob: vlobID, By: backend.RealmVlobCreate}, func(tx backend.Tx) {
			tx.WriteVlob(backend.VlobVersion{Version: 1, Blob: []byte("old")}, 1, nil)
		}},
	} {
		if err := update(step.scope, step.effects); err != nil {
			t.Fatal(err)
		}
	}
	return store, update
}

func blobUnder(t *testing.T, store *Store, revision uint64) string {
	t.Helper()
	for id := range store.organizations {
		_, version, _, err := store.ReadVlob(t.Context(), id, parsec.UserID{}, backend.VlobSelection{Vlob: vlobID, EncryptionRevision: revision})
		if err != nil {
			t.Fatal(err)
		}
		if version != nil {
			return string(version.Blob)
		}
	}
	return ""
}

func save(tx backend.Tx) {
	items := []protocol.ReencryptionItem{{VlobID: vlobID, Version: 1, Blob: []byte("new")}}
	_, _, _ = tx.SaveReencrypted(context.Background(), items)
}

func start(tx backend.Tx) {
	tx.StartMaintenance(backend.Maintenance{Type: parsec.MaintenanceReencryption})
}

func TestFinishDropsThePreviousRevision(t *testing.T) {
	store, update := newStore(t)
	for _, effects := range []func(backend.Tx){start, save, backend.Tx.FinishMaintenance} {
		if err := update(onRealm, effects); err != nil {
			t.Fatal(err)
		}
	}
	if got := blobUnder(t, store, 1); got != "" {
		t.Errorf("revision 1 still has %q", got)
	}
	if got := blobUnder(t, store, 2); got != "new" {
		t.Errorf("revision 2 has %q, want the version saved", got)
	}
}

func TestRuleThatPanics(t *testing.T) {
	store, update := newStore(t)
	if err := update(onRealm, start); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = update(onRealm, func(tx backend.Tx) {
			save(tx)
			panic("rule")
		})
	}()
	if got := blobUnder(t, store, 2); got != "" {
		t.Errorf("revision 2 has %q, saved by a rule that panics", got)
	}
	if err := update(onRealm, save); err != nil {
		t.Fatal(err)
	}
	if got := blobUnder(t, store, 2); got != "new" {
		t.Errorf("revision 2 has %q, want the version saved", got)
	}
}

func TestUnknownOrganizationsLeaveNothing(t *testing.T) {
	store, _ := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		id, err := parsec.ParseOrganizationID(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Update(t.Context(), backend.Scope{Organization: id, LockOrganization: true}, func(backend.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Organization(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.organizations) != 1 {
		t.Errorf("%d organizations, want 1", len(store.organizations))
	}
}

// TestMisuse has what a store that locks less would not survive.
func TestMisuse(t *testing.T) {
	var (
		noScope   = backend.Scope{}
		onData    = backend.Scope{Realm: realmID, By: backend.RealmData}
		onUpdate  = backend.Scope{Vlob: vlobID, By: backend.RealmVlobUpdate}
		onCreate  = backend.Scope{Realm: realmID, Vlob: parsec.VlobID{9}, By: backend.RealmVlobCreate}
		onUnknown = backend.Scope{Realm: parsec.RealmID{9}, By: backend.RealmExclusive}
		locked    = backend.Scope{LockOrganization: true}
	)
	write := func(version uint32, checkpoint uint64) func(backend.Tx) {
		return func(tx backend.Tx) { tx.WriteVlob(backend.VlobVersion{Version: version}, checkpoint, nil) }
	}
	for _, test := range []struct {
		effect  string
		scope   backend.Scope
		effects func(backend.Tx)
	}{
		{"PutOrganization", noScope, func(tx backend.Tx) { tx.PutOrganization(backend.Organization{}) }},
		{"PutOrganization", locked, func(tx backend.Tx) { tx.PutOrganization(backend.Organization{}) }}, // of no id
		{"PutSequesterService", noScope, func(tx backend.Tx) { tx.PutSequesterService(backend.SequesterService{}) }},
		{"CreateUser", noScope, func(tx backend.Tx) { tx.CreateUser(backend.User{}) }},
		{"CreateDevice", noScope, func(tx backend.Tx) { tx.CreateDevice(backend.Device{}) }},
		{"RevokeUser", noScope, func(tx backend.Tx) { tx.RevokeUser(parsec.UserID{}, backend.Revocation{}) }},
		{"FreezeUser", noScope, func(tx backend.Tx) { tx.FreezeUser(parsec.UserID{}, true) }},
		{"CreateRealm", onRealm, func(tx backend.Tx) { tx.CreateRealm(0) }}, // exists
		{"CreateRealm", noScope, func(tx backend.Tx) { tx.CreateRealm(0) }},
		{"AddRole", onData, func(tx backend.Tx) { tx.AddRole(backend.RoleCertificate{Realm: realmID}) }},
		{"AddRole", onRealm, func(tx backend.Tx) { tx.AddRole(backend.RoleCertificate{Realm: parsec.RealmID{9}}) }},
		{"StartMaintenance", onData, start},
		{"StartMaintenance", onUnknown, start},
		{"FinishMaintenance", onUpdate, backend.Tx.FinishMaintenance},
		{"SaveReencrypted", onData, save},
		{"TouchRoleChange", onData, func(tx backend.Tx) { tx.TouchRoleChange(parsec.UserID{}, 1) }},
		{"TouchArchivingChange", noScope, func(tx backend.Tx) { tx.TouchArchivingChange(parsec.UserID{}, 1) }},
		{"AddArchiving", onData, func(tx backend.Tx) { tx.AddArchiving(backend.Archiving{}, nil) }},
		{"WriteVlob", onRealm, write(1, 2)},
		{"WriteVlob", onCreate, write(2, 2)},
		{"WriteVlob", onCreate, write(1, 1)},
		{"WriteVlob", onCreate, write(1, 3)},
		{"WriteVlob", onUpdate, write(1, 2)},
		{"WriteVlob", onUpdate, write(3, 2)},
		{"CreateBlock", onRealm, func(tx backend.Tx) { tx.CreateBlock(backend.Block{Realm: realmID}) }},
		{"CreateBlock", onData, func(tx backend.Tx) { tx.CreateBlock(backend.Block{Realm: parsec.RealmID{9}}) }},
		{"CreateBlock", onData, func(tx backend.Tx) { tx.CreateBlock(backend.Block{ID: parsec.BlockID{9}, Realm: realmID}) }},
		{"AddMessage", noScope, func(tx backend.Tx) { tx.AddMessage(backend.Message{Index: 1}) }}, // not counted
	} {
		_, update := newStore(t)
		err := update(test.scope, test.effects)
		if err == nil || !strings.HasPrefix(err.Error(), test.effect+" is not allowed") {
			t.Errorf("%s in %+v: error %v", test.effect, test.scope, err)
		}
	}
}
