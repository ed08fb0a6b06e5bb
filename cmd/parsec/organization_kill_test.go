//go:build !without_postgresql

package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/parsec"
	parsec2postgres "parsec-server/pkg/parsec2/postgres"
	parsec3postgres "parsec-server/pkg/parsec3/postgres"
)

// leftOf counts what is still to be erased of an organization: rows, its own and objects
// that are listed included.
func (e *estate) leftOf(name string) (count int64) {
	e.t.Helper()
	target := erasure.Target{Organization: organizationID(e.t, name)}
	for _, rows := range []func(erasure.Target) ([]string, []any){(&parsec2postgres.Store{}).RowsOf, (&parsec3postgres.Store{}).RowsOf} {
		tables, _ := rows(target)
		for _, table := range tables {
			count += testkit.Number(e.t, e.database, "SELECT count(*) FROM "+table, name)
		}
	}
	for _, sql := range []string{
		"SELECT count(*) FROM organization WHERE organization_id = $1",
		"SELECT count(*) FROM erasure e JOIN erasure_object o ON o.erasure = e.id WHERE e.organization_id = $1",
		"SELECT count(*) FROM erasure WHERE organization_id = $1",
	} {
		count += testkit.Number(e.t, e.database, sql, name)
	}
	return count
}

// administration is that of a server on an estate.
func administrationOf(t *testing.T, address parsec.ServerAddress) *client.Administration {
	t.Helper()
	reached := parsec2.New(address, client.Options{})
	t.Cleanup(reached.Close)
	return reached.Administration(testkit.AdministrationToken)
}

// killWhileErasing has an organization of each generation be deleted, and kills the server
// at points by chance: between rows, between rows and objects, between objects. The next
// one goes on, and in the end all is gone and nothing else is. Objects of a realm that was
// deleted before, and of uploads, go too.
func killWhileErasing(e *estate, blocks, kills int) {
	t := e.t
	for _, in := range []string{"Two", "Three"} {
		e.addRealm(in, "", blocks, estateAlice)
		before := e.addRealm(in, longAgo, 7)
		store := e.variables["PARSEC_BLOCKSTORE"]
		delete(e.variables, "PARSEC_BLOCKSTORE")
		e.run(0, []string{"delete", "--organization", in, "--realm", before.hex()}, "Its 7 blocks are left")
		e.variables["PARSEC_BLOCKSTORE"] = store
	}
	kept := []*estateRealm{e.addRealm("Second", "", 10), e.addRealm("Third", "", 10)}
	var environment []string
	for name, value := range e.variables {
		environment = append(environment, name+"="+value)
	}
	server := testkit.StartParsecIn(t, e.program(), environment)
	administration := administrationOf(t, server.Address)
	// Organizations that were imported go like others.
	if _, err := e.database.Exec(t.Context(), `WITH i AS (INSERT INTO import (source, generation, base, began_on, completed_on) VALUES ('x', 2, 0, 0, 0) RETURNING id)
INSERT INTO import_organization (organization, import) SELECT unnest(ARRAY['Two', 'Three']), id FROM i`); err != nil {
		t.Fatal(err)
	}
	left := func() int64 { return e.leftOf("Two") + e.leftOf("Three") }
	for _, in := range []string{"Two", "Three"} {
		id := organizationID(t, in)
		if _, err := administration.Delete(t.Context(), id); err == nil {
			t.Fatal("an organization is deleted that is not expired")
		}
		expired := true
		if err := administration.Update(t.Context(), id, client.OrganizationSettings{IsExpired: &expired}); err != nil {
			t.Fatal(err)
		}
		if _, err := administration.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for range kills {
		begin := left()
		below := begin - rand.Int64N(begin/int64(kills)+1)
		testkit.Await(t, "some of it goes", func() bool { return left() < below || begin == 0 })
		server.Kill()
		t.Logf("killed with %d of %d left", left(), begin)
		if begin > 0 {
			if _, err := e.database.Exec(t.Context(), "UPDATE erasure SET held_until = 0 WHERE held_by IS NOT NULL"); err != nil {
				t.Fatal(err)
			}
		}
		server.Start()
	}
	// A slow store takes its time, but goes on. The organization goes last.
	number := func(sql string) int64 { return testkit.Number(t, e.database, sql) }
	isGone := func() bool {
		return number("SELECT count(*) FROM organization WHERE organization_id IN ('Two', 'Three')") == 0
	}
	for !isGone() {
		before := number("SELECT count(*) FROM erasure_object")
		testkit.Await(t, "it goes on", func() bool { return isGone() || number("SELECT count(*) FROM erasure_object") != before })
	}
	if rest := left(); rest != 0 {
		t.Errorf("%d are left of organizations that are gone", rest)
	}
	e.wantLeft(kept...)
	for _, in := range []string{"Two", "Three"} {
		if _, err := administration.Create(t.Context(), organizationID(t, in), client.OrganizationSettings{}); err != nil {
			t.Errorf("the name %s is not free: %v", in, err)
		}
	}
}

// sized is the first number, or with larger numbers the second one.
func sized(short, long int) int {
	if testkit.Long() {
		return long
	}
	return short
}

// TestOrganizationDeleteKilled is killWhileErasing with the blocks in the database.
func TestOrganizationDeleteKilled(t *testing.T) {
	killWhileErasing(newEstate(t), sized(300, 10_000), sized(4, 12))
}

// TestEveryTableIsErased wants each table to be that of an organization which is erased,
// or to be known as none.
func TestEveryTableIsErased(t *testing.T) {
	e := newEstate(t)
	others := []string{
		"organization", "erasure", "erasure_object", "block_data", "event_outbox", "instance", "goose_db_version", // Of both generations, and of the server.
		"vlob_atom",                                                          // Goes with its vlob.
		"parsec3.account", "parsec3.account_vault", "parsec3.account_method", // Of no organization.
		"parsec3.account_item", "parsec3.account_code", "parsec3.account_mail",
		"import_organization",    // Goes with the organization.
		"import", "import_range", // Of no organization.
	}
	erased := others
	for _, rows := range []func(erasure.Target) ([]string, []any){(&parsec2postgres.Store{}).RowsOf, (&parsec3postgres.Store{}).RowsOf} {
		tables, _ := rows(erasure.Target{})
		for _, table := range tables {
			name, _, _ := strings.Cut(table, " ")
			erased = append(erased, name)
		}
	}
	found, err := e.database.Query(t.Context(), "SELECT CASE schemaname WHEN 'public' THEN '' ELSE schemaname || '.' END || tablename FROM pg_tables WHERE schemaname IN ('public', 'parsec3')")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	count := 0
	for found.Next() {
		var table string
		if err := found.Scan(&table); err != nil {
			t.Fatal(err)
		}
		if count++; !slices.Contains(erased, table) {
			t.Errorf("nobody erases the table %s", table)
		}
	}
	if count != len(erased) {
		t.Errorf("%d tables, %d are erased or not of organizations", count, len(erased))
	}
}
