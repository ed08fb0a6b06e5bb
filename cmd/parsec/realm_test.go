//go:build !without_postgresql

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// estate is a database with the organizations Two, of API 1 to 3, and Three, of
// Parsec 3, and their neighbours Second and Third, and a block store. Of the users of
// Three, alice is active, bob and carol are revoked.
type estate struct {
	t         *testing.T
	variables map[string]string
	database  *pgx.Conn
	array     *blockstore.Array
	store     blockstore.Store
}

const (
	estateAlice = "a1000000-0000-0000-0000-000000000000"
	estateBob   = "b0000000-0000-0000-0000-000000000000"
	estateCarol = "c0000000-0000-0000-0000-000000000000"
	bobRevoked  = "2020-01-31T00:00:00.000000Z"
	longAgo     = "2020-03-31T00:00:00.000000Z"
	farAway     = "2999-03-31T00:00:00.000000Z"
)

// openStoreOf returns the block store of these texts, beside a database.
func openStoreOf(t *testing.T, dsn string, texts ...string) blockstore.Store {
	t.Helper()
	settings, err := config.ParseBlockstore(texts)
	if err != nil {
		t.Fatal(err)
	}
	store, end, err := openBlockStore(settings, config.Database{DSN: config.NewSecret(dsn), MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return store
}

// newEstate keeps blocks in the store of these texts, POSTGRESQL for none.
func newEstate(t *testing.T, store ...string) *estate {
	t.Helper()
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	if len(store) == 0 {
		store = []string{"POSTGRESQL"}
	}
	e := &estate{t: t, variables: map[string]string{"PARSEC_DB": dsn, "PARSEC_BLOCKSTORE": strings.Join(store, " ")}, database: testkit.Connect(t, dsn)}
	settings := must(config.ParseBlockstore(store))
	in := config.Database{DSN: config.NewSecret(dsn), MaxConnections: 2}
	e.store = openStoreOf(t, dsn, store...)
	if err := blockstore.Init(t.Context(), e.store); err != nil {
		t.Fatal(err)
	}
	array, end, err := openArray(settings, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	e.array = array
	for _, sql := range []string{
		`INSERT INTO organization (organization_id, bootstrap_token, root_verify_key, user_profile_outsider_allowed, minimum_archiving_period, created_on, bootstrapped_on, generation)
		SELECT id, '', sha256(''), true, 0, 0, 0, generation FROM (VALUES ('Three', 3), ('Two', 2), ('Third', 3), ('Second', 2)) o (id, generation)`,
		fmt.Sprintf(`INSERT INTO parsec3.user_ (organization, user_id, profile, human_email, human_label, created_on, revoked_on, frozen)
		SELECT 'Three', id::uuid, 'STANDARD', id || '@example.com', 'label', 0, revoked, false
		FROM (VALUES ('%s', NULL), ('%s', %d), ('%s', 1)) u (id, revoked)`, estateAlice, estateBob, must(parsec.ParseDateTime(bobRevoked)), estateCarol),
	} {
		testkit.Execute(t, e.database, sql)
	}
	return e
}

// estateRealm is one of an estate.
type estateRealm struct {
	organization parsec.OrganizationID
	id           parsec.RealmID
	names        []string // Of its objects, in order.
}

func (r *estateRealm) hex() string { return hexOf(r.id) }

// addRealm adds a realm with so many blocks and vlobs, of 100 bytes each, of which
// members have a role, those of Three. Its deletion is planned for a date, unless that is
// empty.
func (e *estate) addRealm(in string, planned string, blocks int, members ...string) *estateRealm {
	e.t.Helper()
	r := &estateRealm{organization: organizationID(e.t, in), id: parsec.RealmID(parsec.NewUUID())}
	archiving, deletion := "'AVAILABLE'", "NULL"
	if planned != "" {
		archiving, deletion = "'DELETION_PLANNED'", fmt.Sprint(int64(must(parsec.ParseDateTime(planned))))
	}
	statements := []string{
		`INSERT INTO realm (organization, realm_id, created_on, archiving_type, archiving_deletion_date, archiving_configured_on, archiving_configured_by, vlobs_size, blocks_size)
		SELECT id, 'REALM', 0, ARCHIVING, DELETION, 0, 'alice@one', BLOCKS * 100, BLOCKS * 100 FROM organization WHERE organization_id = 'ORGANIZATION'`,
		`INSERT INTO vlob (organization, vlob_id, realm, version, updated_on, checkpoint)
		SELECT r.organization, gen_random_uuid(), r.id, 1, 0, i FROM realm r, generate_series(1, BLOCKS) i WHERE r.realm_id = 'REALM'`,
		`INSERT INTO vlob_atom (vlob, revision, version, author, written_on, blob)
		SELECT v.id, 1, 1, 1, 0, decode(repeat('00', 100), 'hex') FROM vlob v JOIN realm r ON r.id = v.realm WHERE r.realm_id = 'REALM'`,
		`INSERT INTO sequester_copy (vlob, version, service, blob, realm, checkpoint)
		SELECT v.id, 1, 1, 'copy', v.realm, v.checkpoint FROM vlob v JOIN realm r ON r.id = v.realm WHERE r.realm_id = 'REALM'`,
		`INSERT INTO block (organization, block_id, realm, author, size, created_on)
		SELECT r.organization, gen_random_uuid(), r.id, 1, 100, 0 FROM realm r, generate_series(1, BLOCKS) WHERE r.realm_id = 'REALM'`,
	}
	selectBlocks := "SELECT block_id::text FROM block b JOIN realm r ON r.id = b.realm WHERE r.realm_id = $1 ORDER BY block_id"
	if slices.Contains([]string{"Three", "Third"}, in) {
		statements = []string{
			`INSERT INTO parsec3.realm (organization, realm_id, created_on, last_date, key_index, named, archiving, deletion_date, deleted)
			VALUES ('ORGANIZATION', 'REALM', 0, 0, 1, false, ARCHIVING, DELETION, false)`,
			`INSERT INTO parsec3.realm_counter (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size)
			VALUES ('ORGANIZATION', 'REALM', BLOCKS, 0, BLOCKS * 100, BLOCKS * 100)`,
			`INSERT INTO parsec3.vlob (organization, realm_id, vlob_id, version, checkpoint)
			SELECT 'ORGANIZATION', 'REALM', gen_random_uuid(), 1, i FROM generate_series(1, BLOCKS) i`,
			`INSERT INTO parsec3.vlob_atom (organization, realm_id, vlob_id, version, key_index, author, written_on, blob)
			SELECT 'ORGANIZATION', 'REALM', v.vlob_id, 1, 1, gen_random_uuid(), 0, decode(repeat('00', 100), 'hex') FROM parsec3.vlob v WHERE v.realm_id = 'REALM'`,
			`INSERT INTO parsec3.keys_bundle (organization, realm_id, key_index, bundle) VALUES ('ORGANIZATION', 'REALM', 1, 'bundle')`,
			`INSERT INTO parsec3.block (organization, block_id, realm_id, key_index, author, size, created_on)
			SELECT 'ORGANIZATION', gen_random_uuid(), 'REALM', 1, gen_random_uuid(), 100, 0 FROM generate_series(1, BLOCKS)`,
		}
		for _, member := range members {
			statements = append(statements, `INSERT INTO parsec3.realm_member (organization, realm_id, user_id, role, role_date, given_date, managing_date)
			VALUES ('ORGANIZATION', 'REALM', '`+member+`', 'OWNER', 0, 0, 0)`)
		}
		selectBlocks = "SELECT block_id::text FROM parsec3.block WHERE realm_id = $1 ORDER BY block_id"
	}
	words := strings.NewReplacer("REALM", parsec.UUID(r.id).String(), "ARCHIVING", archiving, "DELETION", deletion, "BLOCKS", fmt.Sprint(blocks), "ORGANIZATION", in)
	for _, sql := range statements {
		testkit.Execute(e.t, e.database, words.Replace(sql))
	}
	rows, err := e.database.Query(e.t.Context(), selectBlocks, parsec.UUID(r.id).String())
	if err != nil {
		e.t.Fatal(err)
	}
	var group errgroup.Group
	group.SetLimit(16) // Some stores take their time for each.
	for _, id := range must(pgx.CollectRows(rows, pgx.RowTo[string])) {
		r.names = append(r.names, in+"/"+id)
		block := parsec.BlockID(must(parsec.ParseUUID(id)))
		group.Go(func() error { return e.store.Create(e.t.Context(), r.organization, block, make([]byte, 100)) })
	}
	if err := group.Wait(); err != nil {
		e.t.Fatal(err)
	}
	return r
}

// run wants an exit code of `parsec realm …` and each of the texts in what is printed.
func (e *estate) run(code int, arguments []string, want ...string) outcome {
	e.t.Helper()
	got := executeWith(e.t.Context(), idle, e.variables, append([]string{"realm"}, arguments...)...)
	missing := slices.ContainsFunc(want, func(text string) bool { return !strings.Contains(got.stdout+got.stderr, text) })
	if got.code != code || missing {
		e.t.Fatalf("%q: exit code %d\n%s%s\nwant %d and %q", arguments, got.code, got.stdout, got.stderr, code, want)
	}
	return got
}

// runIdle wants nothing to be done, and nothing to be said of it to cron.
func (e *estate) runIdle(arguments ...string) {
	e.t.Helper()
	if got := e.run(0, arguments); got.stdout+got.stderr != "" {
		e.t.Errorf("%q: printed %s%s", arguments, got.stdout, got.stderr)
	}
}

// objects lists those of all nodes, each once.
func (e *estate) objects() []string {
	e.t.Helper()
	var names []string
	for _, node := range e.array.Nodes() {
		for after := ""; ; {
			page, err := node.List(e.t.Context(), "", after)
			if err != nil {
				e.t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, object := range page {
				names = append(names, object.Name)
			}
			after = page[len(page)-1].Name
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// rows counts those of what a realm holds, of either generation.
func (e *estate) rows(realm *estateRealm) (count int64) {
	e.t.Helper()
	id := parsec.UUID(realm.id).String()
	for _, table := range []string{"vlob", "vlob_atom", "block", "keys_bundle"} {
		count += testkit.Number(e.t, e.database, "SELECT count(*) FROM parsec3."+table+" WHERE realm_id = $1", id)
	}
	for _, table := range []string{"vlob", "sequester_copy", "block"} {
		count += testkit.Number(e.t, e.database, "SELECT count(*) FROM "+table+" k JOIN realm r ON r.id = k.realm WHERE r.realm_id = $1", id)
	}
	return count
}

// wantLeft wants nothing to be left but these realms, and nothing to be under way.
func (e *estate) wantLeft(realms ...*estateRealm) {
	e.t.Helper()
	var names []string
	for _, realm := range realms {
		names = append(names, realm.names...)
		if e.rows(realm) == 0 {
			e.t.Errorf("the rows of %s are gone", realm.hex())
		}
	}
	slices.Sort(names)
	if got := e.objects(); !slices.Equal(got, names) {
		e.t.Errorf("%d objects are left: %.10q\nwant %d: %.10q", len(got), got, len(names), names)
	}
	for _, count := range []string{
		"(SELECT count(*) FROM erasure)", "(SELECT count(*) FROM erasure_object)",
		"(SELECT count(*) FROM block WHERE upload_token IS NOT NULL)", "(SELECT count(*) FROM parsec3.block WHERE upload_token IS NOT NULL)",
		"(SELECT count(*) FROM vlob_atom a WHERE NOT EXISTS (SELECT FROM vlob v WHERE v.id = a.vlob))",
	} {
		if left := testkit.Number(e.t, e.database, "SELECT "+count); left != 0 {
			e.t.Errorf("%s is %d", count, left)
		}
	}
}

func TestRealmListDeletable(t *testing.T) {
	e := newEstate(t)
	planned := e.addRealm("Three", longAgo, 1, estateAlice)
	orphaned := e.addRealm("Three", farAway, 1, estateBob, estateCarol)
	e.addRealm("Three", farAway, 1, estateAlice)
	e.addRealm("Three", "", 1, estateAlice, estateBob)
	of2 := e.addRealm("Two", longAgo, 1)
	e.addRealm("Two", farAway, 1)
	e.addRealm("Two", "", 1)
	e.run(0, []string{"list-deletable", "--organization", "Three"}, "Found 2 deletable realm(s)\n",
		"\nRealm "+planned.hex()+"\n\tdeletion planned on "+longAgo+"\n", "\nRealm "+orphaned.hex()+"\n\torphaned since "+bobRevoked+"\n")
	want := []map[string]string{
		{"realm_id": planned.hex(), "kind": "deletion_planned", "deletion_date": longAgo},
		{"realm_id": orphaned.hex(), "kind": "orphaned", "orphaned_since": bobRevoked},
	}
	slices.SortFunc(want, func(a, b map[string]string) int { return strings.Compare(a["realm_id"], b["realm_id"]) })
	var got []map[string]string
	text := e.run(0, []string{"list-deletable", "--organization", "Three", "--json"}).stdout
	if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s (%v), want %v", text, err, want)
	}
	e.run(0, []string{"list-deletable", "--organization", "Two", "--json"}, `[{"realm_id":"`+of2.hex()+`","kind":"deletion_planned","deletion_date":"`+longAgo+`"}]`)
	testkit.Execute(t, e.database, "DELETE FROM vlob; DELETE FROM block; DELETE FROM realm")
	e.run(0, []string{"list-deletable", "--organization", "Two"}, "Found 0 deletable realm(s)\n")
	e.run(0, []string{"list-deletable", "--organization", "Two", "--json"}, "[]\n")
	e.run(1, []string{"list-deletable", "--organization", "Four"}, "Error: There is no organization Four in the database ")
	e.run(2, []string{"list-deletable"}, "Missing option '--organization'.")
}

// TestRealmDelete goes through the checks in their order, and has nothing change before
// all hold.
func TestRealmDelete(t *testing.T) {
	for _, in := range []string{"Three", "Two"} {
		t.Run(in, func(t *testing.T) {
			e := newEstate(t)
			due := e.addRealm(in, longAgo, 700, estateAlice)
			notDue, inUse := e.addRealm(in, farAway, 3, estateAlice), e.addRealm(in, "", 3, estateAlice)
			neighbour := e.addRealm("Three", longAgo, 3, estateAlice)
			del := func(realm string, more ...string) []string {
				return append([]string{"delete", "--organization", in, "--realm", realm}, more...)
			}
			dump, full := filepath.Join(t.TempDir(), "dump"), filepath.Join(t.TempDir(), "full")
			if err := os.WriteFile(full, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			refused := func(code int, arguments []string, want string) {
				t.Helper()
				e.run(code, arguments, want)
				e.run(code, append(arguments, "--dry-run"), want)
			}
			refused(1, []string{"delete", "--organization", "Four", "--realm", due.hex()}, "There is no organization Four in the database ")
			refused(1, del(strings.Repeat("7", 32), "--dump-realm-blocks", full), "There is no realm "+strings.Repeat("7", 32)+" in the organization "+in+".")
			refused(1, del(inUse.hex()), "Nothing is done with the realm "+inUse.hex()+" of the organization "+in+": "+organization.ErrRealmInUse.Error())
			refused(1, del(notDue.hex(), "--dump-realm-blocks", dump), "planned for "+farAway)
			refused(2, del(due.hex(), "--dump-realm-blocks", full), "it exists")
			refused(2, del(due.hex(), "--dump-realm-blocks", filepath.Join(full, "below")), "not a directory")
			refused(2, del("x"), "'--realm'")
			refused(2, []string{"delete", "--organization", in}, "Missing option '--realm'.")
			told := e.run(0, del(due.hex(), "--dry-run", "--dump-realm-blocks", dump), "Realm "+due.hex()+" would be deleted: 700 blocks, 68.4 KiB.\n")
			if got := strings.Split(told.stdout, "\n"); !slices.Equal(got[:700], due.names) {
				t.Errorf("told of %.10q, want %.10q", got, due.names)
			}
			if _, err := os.Stat(dump); err == nil {
				t.Error("the dump is written by who deletes nothing")
			}
			e.wantLeft(due, notDue, inUse, neighbour)

			e.run(0, del(due.hex(), "--dump-realm-blocks", dump), "Realm "+due.hex()+" deleted: 700 blocks, 68.4 KiB.\n")
			if got := strings.Split(string(must(os.ReadFile(dump))), "\n"); !slices.Equal(got[:len(got)-1], due.names) {
				t.Errorf("dumped %.10q, want %.10q", got, due.names)
			}
			e.wantLeft(notDue, inUse, neighbour)
			refused(1, del(due.hex(), "--dump-realm-blocks", full), organization.ErrRealmDeleted.Error())
			if string(must(os.ReadFile(full))) != "precious" {
				t.Error("the dump of before is overwritten")
			}
		})
	}
}

// TestRealmDeleteWithoutBlockStore leaves the objects to the next command.
func TestRealmDeleteWithoutBlockStore(t *testing.T) {
	e := newEstate(t)
	first, second, third := e.addRealm("Three", "", 5, estateBob), e.addRealm("Two", longAgo, 5), e.addRealm("Three", "", 5, estateAlice)
	store := e.variables["PARSEC_BLOCKSTORE"]
	delete(e.variables, "PARSEC_BLOCKSTORE")
	dump := filepath.Join(t.TempDir(), "dump")
	for _, realm := range []*estateRealm{first, second} {
		e.run(0, []string{"delete", "--organization", realm.organization.String(), "--realm", realm.hex()}, "Its 5 blocks are left in the block store")
		if rows := e.rows(realm); rows != 0 {
			t.Errorf("%d rows are left", rows)
		}
		e.run(0, []string{"delete", "--organization", realm.organization.String(), "--realm", realm.hex(), "--dump-realm-blocks", dump + realm.hex()}, "left")
		if got := strings.Fields(string(must(os.ReadFile(dump + realm.hex())))); !slices.Equal(got, realm.names) {
			t.Errorf("dumped %q, want %q", got, realm.names)
		}
	}
	if left := len(e.objects()); left != 15 {
		t.Errorf("%d objects are left", left)
	}
	e.run(2, []string{"delete-due"}, "Missing option '--blockstore'")
	e.variables["PARSEC_BLOCKSTORE"] = "MOCKED"
	e.run(2, []string{"delete-due"}, errMemoryBlockstore.Message)
	e.variables["PARSEC_BLOCKSTORE"] = store
	e.run(0, []string{"delete", "--organization", "Three", "--realm", first.hex()}, "Realm "+first.hex()+" deleted: 5 blocks, 500 bytes.\n")
	e.run(0, []string{"delete-due", "--dry-run"}, "Realm "+second.hex()+" of Two, deleted before, would be deleted: 5 blocks, 500 bytes.\n")
	e.runIdle("delete-due", "--organization", "Three")
	e.run(0, []string{"delete-due"}, "Realm "+second.hex()+" of Two, deleted before, deleted: 5 blocks, 500 bytes.\n")
	e.wantLeft(third)
}

// TestRealmDeleteDue has what is due go, what is not stay, and orphaned realms only if
// asked.
func TestRealmDeleteDue(t *testing.T) {
	e := newEstate(t)
	e.runIdle("delete-due")
	e.run(0, []string{"delete-due", "--json"}, `{"summary":{"realms":0,"blocks":0,"bytes":0,"complete":true}}`+"\n")
	three, two := e.addRealm("Three", longAgo, 4, estateAlice), e.addRealm("Two", longAgo, 5)
	orphaned := e.addRealm("Three", farAway, 6, estateBob)
	kept := []*estateRealm{e.addRealm("Three", farAway, 3, estateAlice), e.addRealm("Two", farAway, 3), e.addRealm("Two", "", 3), e.addRealm("Three", "", 3, estateAlice)}
	all := append([]*estateRealm{three, two, orphaned}, kept...)

	e.run(0, []string{"delete-due", "--dry-run"}, "Realm "+three.hex()+" of Three, deletion planned on "+longAgo+", would be deleted: 4 blocks, 400 bytes.\n", "Realm "+two.hex()+" of Two")
	got := e.run(0, []string{"delete-due", "--dry-run", "--json", "--orphaned", "--organization", "Three"},
		`{"organization_id":"Three","realm_id":"`+orphaned.hex()+`","kind":"orphaned","orphaned_since":"`+bobRevoked+`","blocks":6,"bytes":600,"deleted":false}`,
		`{"summary":{"realms":2,"blocks":10,"bytes":1000,"complete":true}}`)
	if strings.Contains(got.stdout, two.hex()) {
		t.Errorf("another organization is told of: %s", got.stdout)
	}
	e.wantLeft(all...)
	e.run(1, []string{"delete-due", "--organization", "Four"}, "There is no organization Four in the database ")
	e.run(2, []string{"delete-due", "--organization", "x x"}, "'--organization'")
	e.wantLeft(all...)

	e.run(0, []string{"delete-due", "--json"},
		`{"organization_id":"Three","realm_id":"`+three.hex()+`","kind":"deletion_planned","deletion_date":"`+longAgo+`","blocks":4,"bytes":400,"deleted":true}`,
		`{"summary":{"realms":2,"blocks":9,"bytes":900,"complete":true}}`)
	e.wantLeft(append([]*estateRealm{orphaned}, kept...)...)
	e.runIdle("delete-due")
	e.run(0, []string{"delete-due", "--orphaned"}, "Realm "+orphaned.hex()+" of Three, orphaned since "+bobRevoked+", deleted: 6 blocks, 600 bytes.\n")
	e.wantLeft(kept...)
	if deleted := testkit.Number(t, e.database, "SELECT count(*) FROM parsec3.realm WHERE deleted") + testkit.Number(t, e.database, "SELECT count(*) FROM realm WHERE deleted"); deleted != 3 {
		t.Errorf("%d realms are deleted", deleted)
	}
}

// TestRealmDeleteWhileANodeIsDown begins nothing.
func TestRealmDeleteWhileANodeIsDown(t *testing.T) {
	e := newEstate(t)
	due := e.addRealm("Three", longAgo, 5, estateAlice)
	testkit.Execute(t, e.database, "ALTER TABLE block_data RENAME TO away")
	e.run(1, []string{"delete-due"}, "Error: node 0 (PostgreSQL table block_data): ")
	e.run(1, []string{"delete", "--organization", "Three", "--realm", due.hex()}, "Error: node 0 (PostgreSQL table block_data): ")
	testkit.Execute(t, e.database, "ALTER TABLE away RENAME TO block_data")
	e.wantLeft(due)
}

// TestRealmDeletePassesOver has an object that cannot be deleted keep nothing else from
// being deleted: neither others of its realm nor other realms.
func TestRealmDeletePassesOver(t *testing.T) {
	e := newEstate(t)
	first, second := e.addRealm("Three", longAgo, 5, estateAlice), e.addRealm("Two", longAgo, 5)
	kept := e.addRealm("Two", "", 5)
	testkit.Execute(t, e.database, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'locked'; END$$")
	testkit.Execute(t, e.database, `CREATE TRIGGER refuse BEFORE DELETE ON block_data FOR EACH ROW
		WHEN (OLD.block_id = '`+strings.TrimPrefix(first.names[2], "Three/")+"') EXECUTE FUNCTION refuse()")
	e.run(1, []string{"delete-due"}, "Realm "+first.hex()+" of Three, deletion planned on "+longAgo+", is not erased: 1 objects could not be deleted",
		"Realm "+second.hex()+" of Two, deletion planned on "+longAgo+", deleted: 5 blocks", "Error: not complete: 1 objects", "; the same command goes on")
	if got := e.objects(); len(got) != 6 || e.rows(first) != 0 {
		t.Errorf("%q are left", got)
	}
	e.expireHolds()
	e.run(1, []string{"delete-due", "--json"}, `"kind":"unfinished","blocks":0,"bytes":0,"deleted":false,"error":"1 objects`, `"complete":false,"error":"not complete: `)
	e.expireHolds()
	e.run(1, []string{"delete", "--organization", "Three", "--realm", first.hex()}, "not complete: 1 objects could not be deleted")
	testkit.Execute(t, e.database, "DROP TRIGGER refuse ON block_data")
	e.expireHolds()
	e.run(0, []string{"delete-due"}, "deleted before, deleted: 1 blocks")
	e.wantLeft(kept)
}

// expireHolds has the minute pass for which who was killed holds blocks.
func (e *estate) expireHolds() {
	testkit.Execute(e.t, e.database, "UPDATE block SET upload_until = 0 WHERE upload_token IS NOT NULL")
	testkit.Execute(e.t, e.database, "UPDATE parsec3.block SET upload_until = 0 WHERE upload_token IS NOT NULL")
}

// TestRealmDeleteSparesWhatIsUploadedAgain has a block of a deleted realm be uploaded
// again, into another realm, before its object is deleted, and one be uploaded still.
func TestRealmDeleteSparesWhatIsUploadedAgain(t *testing.T) {
	for in, move := range map[string]string{
		"Three": `INSERT INTO parsec3.block (organization, block_id, realm_id, key_index, author, size, created_on) VALUES ('Three', $1, $2, 1, gen_random_uuid(), 100, 0)`,
		"Two":   `INSERT INTO block (organization, block_id, realm, author, size, created_on) SELECT r.organization, $1, r.id, 1, 100, 0 FROM realm r WHERE r.realm_id = $2`,
	} {
		e := newEstate(t)
		due, other := e.addRealm(in, longAgo, 5, estateAlice), e.addRealm(in, "", 5, estateAlice)
		store := e.variables["PARSEC_BLOCKSTORE"]
		delete(e.variables, "PARSEC_BLOCKSTORE")
		e.run(0, []string{"delete", "--organization", in, "--realm", due.hex()}, "left")
		e.variables["PARSEC_BLOCKSTORE"] = store
		again := due.names[2]
		testkit.Execute(t, e.database, move, strings.TrimPrefix(again, in+"/"), parsec.UUID(other.id).String())
		e.run(0, []string{"delete-due"}, "deleted: 5 blocks")
		other.names = append(other.names, again)
		e.wantLeft(other)
	}
}
