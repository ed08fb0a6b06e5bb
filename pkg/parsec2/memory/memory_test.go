package memory

import (
	"context"
	"strings"
	"testing"

	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var (
	realmID = parsec.RealmID{1}
	vlobID  = parsec.VlobID{2}

	onRealm = rules.Scope{Realm: realmID, By: rules.RealmExclusive}
)

// newStore has an organization with a realm and a vlob of one version.
func newStore(t *testing.T) (*Store, func(rules.Scope, func(rules.Tx)) error) {
	t.Helper()
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := New(organizationstore.New(bus))
	organization, err := parsec.ParseOrganizationID("Org")
	if err != nil {
		t.Fatal(err)
	}
	update := func(scope rules.Scope, effects func(rules.Tx)) error {
		scope.Organization = organization
		return store.Update(t.Context(), scope, func(tx rules.Tx) error {
			effects(tx)
			return nil
		})
	}
	for _, step := range []struct {
		scope   rules.Scope
		effects func(rules.Tx)
	}{
		{rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
			tx.PutOrganization(rules.Organization{ID: organization})
		}},
		{onRealm, func(tx rules.Tx) {
			tx.CreateRealm(0)
			tx.AddRole(rules.RoleCertificate{Realm: realmID, Role: parsec.RoleReader})
		}},
		{rules.Scope{Realm: realmID, Vlob: vlobID, By: rules.RealmVlobCreate}, func(tx rules.Tx) {
			tx.WriteVlob(rules.VlobVersion{Version: 1, Blob: []byte("old")}, 1, nil)
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
	for id := range store.Cells() {
		_, version, _, err := store.ReadVlob(t.Context(), id, parsec.UserID{}, rules.VlobSelection{Vlob: vlobID, EncryptionRevision: revision})
		if err != nil {
			t.Fatal(err)
		}
		if version != nil {
			return string(version.Blob)
		}
	}
	return ""
}

func save(tx rules.Tx) {
	items := []protocol.ReencryptionItem{{VlobID: vlobID, Version: 1, Blob: []byte("new")}}
	_, _, _ = tx.SaveReencrypted(context.Background(), items)
}

func start(tx rules.Tx) {
	tx.StartMaintenance(rules.Maintenance{Type: parsec.MaintenanceReencryption})
}

func TestFinishDropsThePreviousRevision(t *testing.T) {
	store, update := newStore(t)
	for _, effects := range []func(rules.Tx){start, save, rules.Tx.FinishMaintenance} {
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
		_ = update(onRealm, func(tx rules.Tx) {
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
		if err := store.Update(t.Context(), rules.Scope{Organization: id, LockOrganization: true}, func(rules.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Organization(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.Cells()) != 1 {
		t.Errorf("%d organizations, want 1", len(store.Cells()))
	}
}

// TestMisuse has what a store that locks less would not survive.
func TestMisuse(t *testing.T) {
	var (
		noScope   = rules.Scope{}
		onData    = rules.Scope{Realm: realmID, By: rules.RealmData}
		onUpdate  = rules.Scope{Vlob: vlobID, By: rules.RealmVlobUpdate}
		onCreate  = rules.Scope{Realm: realmID, Vlob: parsec.VlobID{9}, By: rules.RealmVlobCreate}
		onUnknown = rules.Scope{Realm: parsec.RealmID{9}, By: rules.RealmExclusive}
		locked    = rules.Scope{LockOrganization: true}
	)
	write := func(version uint32, checkpoint uint64) func(rules.Tx) {
		return func(tx rules.Tx) { tx.WriteVlob(rules.VlobVersion{Version: version}, checkpoint, nil) }
	}
	for _, test := range []struct {
		effect  string
		scope   rules.Scope
		effects func(rules.Tx)
	}{
		{"PutOrganization", noScope, func(tx rules.Tx) { tx.PutOrganization(rules.Organization{}) }},
		{"PutOrganization", locked, func(tx rules.Tx) { tx.PutOrganization(rules.Organization{}) }}, // of no id
		{"PutSequesterService", noScope, func(tx rules.Tx) { tx.PutSequesterService(rules.SequesterService{}) }},
		{"CreateUser", noScope, func(tx rules.Tx) { tx.CreateUser(rules.User{}) }},
		{"CreateDevice", noScope, func(tx rules.Tx) { tx.CreateDevice(rules.Device{}) }},
		{"RevokeUser", noScope, func(tx rules.Tx) { tx.RevokeUser(parsec.UserID{}, rules.Revocation{}) }},
		{"FreezeUser", noScope, func(tx rules.Tx) { tx.FreezeUser(parsec.UserID{}, true) }},
		{"CreateRealm", onRealm, func(tx rules.Tx) { tx.CreateRealm(0) }}, // exists
		{"CreateRealm", noScope, func(tx rules.Tx) { tx.CreateRealm(0) }},
		{"AddRole", onData, func(tx rules.Tx) { tx.AddRole(rules.RoleCertificate{Realm: realmID}) }},
		{"AddRole", onRealm, func(tx rules.Tx) { tx.AddRole(rules.RoleCertificate{Realm: parsec.RealmID{9}}) }},
		{"StartMaintenance", onData, start},
		{"StartMaintenance", onUnknown, start},
		{"FinishMaintenance", onUpdate, rules.Tx.FinishMaintenance},
		{"SaveReencrypted", onData, save},
		{"TouchRoleChange", onData, func(tx rules.Tx) { tx.TouchRoleChange(parsec.UserID{}, 1) }},
		{"TouchArchivingChange", noScope, func(tx rules.Tx) { tx.TouchArchivingChange(parsec.UserID{}, 1) }},
		{"AddArchiving", onData, func(tx rules.Tx) { tx.AddArchiving(rules.Archiving{}, nil) }},
		{"WriteVlob", onRealm, write(1, 2)},
		{"WriteVlob", onCreate, write(2, 2)},
		{"WriteVlob", onCreate, write(1, 1)},
		{"WriteVlob", onCreate, write(1, 3)},
		{"WriteVlob", onUpdate, write(1, 2)},
		{"WriteVlob", onUpdate, write(3, 2)},
		{"CreateBlock", onRealm, func(tx rules.Tx) { tx.CreateBlock(rules.Block{Realm: realmID}) }},
		{"CreateBlock", onData, func(tx rules.Tx) { tx.CreateBlock(rules.Block{Realm: parsec.RealmID{9}}) }},
		{"CreateBlock", onData, func(tx rules.Tx) { tx.CreateBlock(rules.Block{ID: parsec.BlockID{9}, Realm: realmID}) }},
		{"AddMessage", noScope, func(tx rules.Tx) { tx.AddMessage(rules.Message{Index: 1}) }}, // not counted
	} {
		_, update := newStore(t)
		err := update(test.scope, test.effects)
		if err == nil || !strings.HasPrefix(err.Error(), test.effect+" is not allowed") {
			t.Errorf("%s in %+v: error %v", test.effect, test.scope, err)
		}
	}
}
