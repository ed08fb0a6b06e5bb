package postgres

import (
	"bytes"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// authorFacts is what a transaction knows of its author, and of its realm as the author
// has it.
type authorFacts struct {
	reading
	topics rules.Topics
}

const (
	// selectAuthors reads the organization and the realm $3 for the users of the
	// devices $2.
	selectAuthors = "SELECT q.number, " + readingColumns + ", " + topicColumns + `
FROM organization o
CROSS JOIN unnest($2::uuid[]) WITH ORDINALITY q (device_id, number)` + joinAuthors + `
LEFT JOIN parsec3.realm r ON r.organization = $1 AND r.realm_id = $3
LEFT JOIN parsec3.realm_counter counter ON counter.organization = $1 AND counter.realm_id = $3
LEFT JOIN LATERAL (
    SELECT m.role FROM parsec3.realm_member m
    WHERE m.organization = $1 AND m.realm_id = $3 AND m.user_id = d.user_id LIMIT 1
) m ON true` + ofOrganization

	// selectLatest reads the latest versions of the vlobs $3 of the realm $2.
	selectLatest = `
SELECT q.number, (SELECT v.version FROM parsec3.vlob v
    WHERE v.organization = $1 AND v.realm_id = $2 AND v.vlob_id = q.vlob_id)
FROM unnest($3::uuid[]) WITH ORDINALITY q (vlob_id, number)`
)

// readAuthors reads the facts of devices, in their order; they are none if there is no
// organization.
func readAuthors(into []authorFacts, organization string, devices []pgtype.UUID, realm pgtype.UUID) database.Statement {
	return database.Statement{SQL: selectAuthors, Args: []any{organization, devices, realm}, Rows: func(rows pgx.Rows) error {
		for rows.Next() {
			var number int64
			var found authorFacts
			err := rows.Scan(slices.Concat([]any{&number}, found.targets(), topicTargets(&found.topics))...)
			if err != nil {
				return err
			}
			found.standing.found = true
			into[number-1] = found
		}
		return rows.Err()
	}}
}

// readLatest reads the latest version of vlobs, 0 for none.
func readLatest(into map[parsec.VlobID]uint32, organization string, realm pgtype.UUID, vlobs []parsec.VlobID) database.Statement {
	return database.Statement{SQL: selectLatest, Args: []any{organization, realm, keys(vlobs)}, Rows: func(rows pgx.Rows) error {
		var number int64
		var version uint32
		_, err := pgx.ForEachRow(rows, []any{&number, (*database.Number)(&version)}, func() error {
			into[vlobs[number-1]] = version
			return nil
		})
		return err
	}}
}

// distinct returns what transactions have of a kind, each once.
func distinct[K comparable](of []*tx, has func(*tx) (K, bool)) (list []K) {
	for _, t := range of {
		if key, found := has(t); found && !slices.Contains(list, key) {
			list = append(list, key)
		}
	}
	return list
}

// blocksOf returns the blocks of transactions, in the order in which they are locked.
func blocksOf(of []*tx) []parsec.BlockID {
	blocks := distinct(of, func(t *tx) (id parsec.BlockID, found bool) {
		if t.scope.Block == nil {
			return id, false
		}
		return *t.scope.Block, true
	})
	slices.SortFunc(blocks, func(a, b parsec.BlockID) int { return bytes.Compare(a[:], b[:]) })
	return blocks
}

func keys[K ~[16]byte](ids []K) []pgtype.UUID {
	list := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		list[i] = database.Key(id)
	}
	return list
}
