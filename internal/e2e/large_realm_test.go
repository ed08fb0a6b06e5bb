//go:build !without_postgresql

package e2e_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// largeCount is more than a map may have of what a server is sent
// (docs/protocol/transport.md §5.2).
const largeCount = 40_000

// TestLargeRealm reads a realm of many vlobs, and a vlob of many versions: what
// the server says has no limit of items.
func TestLargeRealm(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		exerciseLargeRealm(t, func(_ testing.TB, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) }, fillByRules)
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		dsn := testkit.NewPostgres(t, testkit.Unsound)
		exerciseLargeRealm(t, func(t testing.TB, bus *event.Bus) rules.Store { return testkit.OpenPostgres(t, dsn, bus) },
			func(w *world, _ *parsec2.Device, realm parsec.RealmID) { fillTables(w, dsn, realm) })
	})
}

func exerciseLargeRealm(t *testing.T, open func(testing.TB, *event.Bus) rules.Store, fill func(*world, *parsec2.Device, parsec.RealmID)) {
	w := newWorld(t, testkit.InstanceOptions{Store: open})
	device, realm := inAPI3.found(w, "CoolOrg", "alice@laptop"), newRealmID()
	alice := inAPI3.connect(w, device)
	ok(w, alice, protocol.RealmCreate, must(device.NewRealm(realm, w.tick())))
	fill(w, device, realm)
	rpc := w.client.AuthenticatedRPC(device, inAPI3.version)
	for name, commands := range map[string]parsec2.Transport{"WebSocket": alice.Transport, "HTTP": rpc} {
		polled := ok(w, commands, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
		if polled.CurrentCheckpoint != 2*largeCount-1 || len(polled.Changes) != largeCount {
			t.Errorf("over %s: checkpoint %d with %d changes", name, polled.CurrentCheckpoint, len(polled.Changes))
		}
		if first, last := polled.Changes[largeID(0)], polled.Changes[largeID(largeCount-1)]; first != largeCount || last != 1 {
			t.Errorf("over %s: versions %d of the first vlob, %d of the last", name, first, last)
		}
		versions := ok(w, commands, protocol.VlobListVersions, &protocol.VlobListVersionsRequest{VlobID: largeID(0)}).Versions
		if len(versions) != largeCount || versions[largeCount].Author != device.ID {
			t.Errorf("over %s: %d versions, the last by %s", name, len(versions), versions[largeCount].Author)
		}
	}
}

// largeID numbers the vlobs; that of number 0 has all the versions.
func largeID(number uint32) parsec.VlobID {
	return parsec.VlobID{byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}
}

// fillByRules writes through the store of an instance.
func fillByRules(w *world, device *parsec2.Device, realm parsec.RealmID) {
	w.t.Helper()
	write := func(by rules.RealmScope, number, version uint32) {
		w.t.Helper()
		scope := rules.Scope{Organization: device.Organization, Author: device.ID, Realm: realm, Vlob: largeID(number), By: by}
		err := w.Store.Update(w.ctx, scope, func(tx rules.Tx) error {
			facts, _ := tx.Realm()
			tx.WriteVlob(rules.VlobVersion{Version: version, Blob: []byte("blob"), Author: device.ID, Timestamp: start}, facts.Checkpoint+1, nil)
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	for number := range uint32(largeCount) {
		write(rules.RealmVlobCreate, number, 1)
	}
	for version := uint32(2); version <= largeCount; version++ {
		write(rules.RealmVlobUpdate, 0, version)
	}
}

// fillTables writes the same into the tables: by rules it would take a minute.
func fillTables(w *world, dsn string, realm parsec.RealmID) {
	w.t.Helper()
	connection := must(pgx.Connect(w.ctx, dsn))
	defer func() { _ = connection.Close(w.ctx) }() // The statements are done.
	for _, statement := range []string{`
INSERT INTO vlob (organization, vlob_id, realm, version, updated_on, checkpoint)
SELECT r.organization, (lpad(to_hex(n), 8, '0') || repeat('0', 24))::uuid, r.id,
    CASE n WHEN 0 THEN $2 ELSE 1 END, $3, CASE n WHEN 0 THEN 2 * $2 - 1 ELSE n + 1 END
FROM realm r, generate_series(0, $2::int - 1) n WHERE r.realm_id = $1`, `
INSERT INTO vlob_atom (vlob, revision, version, author, written_on, blob)
SELECT v.id, 1, n, (SELECT min(id) FROM device), $3, 'blob'
FROM realm r JOIN vlob v ON v.realm = r.id, generate_series(1, v.version) n WHERE r.realm_id = $1 AND $2::int > 0`,
		"UPDATE realm SET checkpoint = 2 * $2::int - 1 WHERE realm_id = $1 AND $3::bigint > 0",
	} {
		must(connection.Exec(w.ctx, statement, realm.String(), largeCount, int64(start)))
	}
}
