//go:build !without_postgresql

package imports_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
)

// grow adds versions of vlobs, ten of each, and blocks to a realm of a database of 2.17.
var grow = []string{
	"SET session_replication_role = replica",
	`CREATE TEMP TABLE place AS SELECT r._id AS realm, r.organization, v._id AS revision, (SELECT d._id FROM realm_user_role x JOIN device d ON d.user_ = x.user_ WHERE x.realm = r._id ORDER BY d._id LIMIT 1) AS author,
    coalesce((SELECT max(u.index) FROM realm_vlob_update u WHERE u.realm = r._id), 0) AS checkpoint, (SELECT max(_id) FROM vlob_atom) AS last
FROM realm r JOIN vlob_encryption_revision v ON v.realm = r._id AND v.encryption_revision = r.encryption_revision
WHERE r.maintenance_type IS NULL AND r.encryption_revision = 1 AND EXISTS (SELECT FROM realm_user_role x WHERE x.realm = r._id) ORDER BY r._id LIMIT 1`,
	`INSERT INTO vlob_atom (_id, organization, vlob_encryption_revision, vlob_id, version, blob, size, author, created_on)
SELECT p.last + n, p.organization, p.revision, md5((n % ($1::int / 10))::text)::uuid, 1 + (n - 1) / ($1::int / 10), decode(repeat(md5(n::text), 63), 'hex') || 'x', 1009, p.author, now() + n * interval '1 microsecond'
FROM place p, generate_series(1, $1::int) n`,
	`INSERT INTO realm_vlob_update (realm, index, vlob_atom) SELECT p.realm, p.checkpoint + n, p.last + n FROM place p, generate_series(1, $1::int) n`,
	`INSERT INTO block (organization, block_id, realm, author, size, created_on)
SELECT p.organization, md5('block ' || n)::uuid, p.realm, p.author, 524288, now() FROM place p, generate_series(1, $1::int / 10) n`,
	"ANALYZE",
}

func BenchmarkImport(b *testing.B) {
	moving.Benchmark(b, wing, testkit.LoadOfficial(b, "2.17"), grow)
}
