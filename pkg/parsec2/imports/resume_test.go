//go:build !without_postgresql

package imports_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/imports"
)

// TestKilledImports has an import end at random points, and go on: in the end it is that of
// one run. Until then each version is found by its vlob.
func TestKilledImports(t *testing.T) {
	t.Parallel()
	from, _ := testkit.NewOfficial(t, testkit.LoadOfficial(t, "2.17"))
	whole, parts := testkit.NewPostgres(t), testkit.NewPostgres(t)
	moving.Move(t, wing, from, whole, imports.Choices{})
	connection := testkit.Connect(t, parts)
	random := rand.New(rand.NewPCG(1, 2))
	choices := imports.Choices{RangeRows: 7}
	runs := 5
	if testkit.Long() {
		runs = 100
	}
	for run := range runs { // What is done counts as steps too.
		ctx, cancel := context.WithCancel(t.Context())
		err := moving.Run(ctx, t, wing, from, parts, choices, &moving.Killer{Left: 1 + random.IntN(20*(run+1)), Kill: cancel})
		cancel()
		if lost := testkit.Number(t, connection, "SELECT count(*) FROM vlob_atom a WHERE NOT EXISTS (SELECT FROM vlob v WHERE v.id = a.vlob)"); lost > 0 {
			t.Fatalf("%d versions are of no vlob", lost)
		}
		if err == nil {
			break
		}
	}
	moving.Move(t, wing, from, parts, imports.Choices{RangeRows: 7})
	if want, have := moving.Dump(t, whole), moving.Dump(t, parts); want != have {
		t.Errorf("it is another one:\n%s", moving.Difference(want, have))
	}
}

// TestDifference imports a database while much of it is missing, in no order, and one of its
// realms is not reencrypted yet; and then the whole of it.
func TestDifference(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "2.17"))
	whole, parts := testkit.NewPostgres(t), testkit.NewPostgres(t, testkit.Unsound)
	moving.Move(t, wing, from, whole, imports.Choices{})
	connection := testkit.Connect(t, owner)
	for _, statement := range []string{
		"SET session_replication_role = replica", // No references.
		"CREATE SCHEMA stash",
		`CREATE TABLE stash.revision AS SELECT v.* FROM vlob_encryption_revision v JOIN realm r ON r._id = v.realm
            WHERE v.encryption_revision = 2 AND r.encryption_revision = 2 AND r.maintenance_type IS NULL`,
		"CREATE TABLE stash.vlob_atom AS SELECT x.* FROM vlob_atom x WHERE x.vlob_encryption_revision IN (SELECT _id FROM stash.revision)",
		`INSERT INTO stash.vlob_atom SELECT x.* FROM vlob_atom x WHERE x._id > 60 AND x.version > 1
            AND x.vlob_encryption_revision NOT IN (SELECT _id FROM stash.revision)`,
		"CREATE TABLE stash.realm_vlob_update AS SELECT u.* FROM realm_vlob_update u WHERE u.vlob_atom IN (SELECT _id FROM stash.vlob_atom)",
		"CREATE TABLE stash.sequester_service_vlob_atom AS SELECT y.* FROM sequester_service_vlob_atom y WHERE y.vlob_atom IN (SELECT _id FROM stash.vlob_atom)",
		"CREATE TABLE stash.message AS SELECT m.* FROM message m WHERE m._id % 3 = 0",
		"CREATE TABLE stash.block AS SELECT b.* FROM block b WHERE b._id % 3 = 0",
		"CREATE TABLE stash.realm_user_role AS SELECT x.* FROM realm_user_role x WHERE x._id = (SELECT max(_id) FROM realm_user_role)",
	} {
		testkit.Execute(t, connection, statement)
	}
	tables := map[string]string{
		"revision": "vlob_encryption_revision", "vlob_atom": "vlob_atom", "realm_vlob_update": "realm_vlob_update",
		"sequester_service_vlob_atom": "sequester_service_vlob_atom", "message": "message", "block": "block", "realm_user_role": "realm_user_role",
	}
	for stash, table := range tables {
		testkit.Execute(t, connection, "DELETE FROM "+table+" WHERE _id IN (SELECT _id FROM stash."+stash+")")
	}
	testkit.Execute(t, connection, "UPDATE realm SET encryption_revision = 1 WHERE _id IN (SELECT realm FROM stash.revision)")
	if err := moving.Run(t.Context(), t, wing, from, parts, imports.Choices{RangeRows: 5}, nil); err != nil {
		t.Fatal(err)
	}
	for stash, table := range tables {
		testkit.Execute(t, connection, "INSERT INTO "+table+" SELECT * FROM stash."+stash)
	}
	testkit.Execute(t, connection, "UPDATE realm SET encryption_revision = 2 WHERE _id IN (SELECT realm FROM stash.revision)")
	moving.Move(t, wing, from, parts, imports.Choices{RangeRows: 5})
	if want, have := moving.Dump(t, whole), moving.Dump(t, parts); want != have {
		t.Errorf("it is another one:\n%s", moving.Difference(want, have))
	}
}
