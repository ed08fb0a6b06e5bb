//go:build !without_postgresql

package imports_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
)

// grow adds versions of vlobs, ten of each, and blocks to a realm of the sample.
var grow = []string{
	"SET session_replication_role = replica",
	`CREATE TEMP TABLE place AS SELECT r._id AS realm, 1 AS author, (SELECT max(u.index) FROM realm_vlob_update u WHERE u.realm = r._id) AS checkpoint,
    (SELECT max(_id) FROM vlob_atom) AS last FROM realm r WHERE r._id = 3`,
	`INSERT INTO vlob_atom (_id, realm, key_index, vlob_id, version, blob, size, author, created_on)
SELECT p.last + n, p.realm, 3, md5((n % ($1::int / 10))::text)::uuid, 1 + (n - 1) / ($1::int / 10), decode(repeat(md5(n::text), 63), 'hex') || 'x', 1009, p.author,
    now() + n * interval '1 microsecond'
FROM place p, generate_series(1, $1::int) n`,
	`INSERT INTO realm_vlob_update (realm, index, vlob_atom) SELECT p.realm, p.checkpoint + n, p.last + n FROM place p, generate_series(1, $1::int) n`,
	`INSERT INTO block (block_id, realm, author, size, created_on, key_index)
SELECT md5('block ' || n)::uuid, p.realm, p.author, 524288, now(), 3 FROM place p, generate_series(1, $1::int / 10) n`,
	"ANALYZE",
}

func BenchmarkImport(b *testing.B) {
	moving.Benchmark(b, wing, testkit.LoadOfficial(b, "3.9.3"), grow)
}
