package postgres

import (
	"bytes"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// authorFacts is what a transaction knows of its author, and of its realm as the author
// has it.
type authorFacts struct {
	reading
	topics rules.Topics
}

// authorInRealm is an author, and the realm that a transaction is on, if it is.
type authorInRealm struct {
	device parsec3.DeviceID
	realm  parsec.RealmID
}

const (
	// selectAuthors reads the organization and the realms $3 for the users of the
	// devices $2.
	selectAuthors = "SELECT q.number, " + readingColumns + ", " + topicColumns + `
FROM organization o
CROSS JOIN unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY q (device_id, realm_id, number)` + joinAuthors + joinRealms + ofOrganization

	// selectLatest reads the latest versions of the vlobs $3 of the realms $2.
	selectLatest = `
SELECT q.number, (SELECT v.version FROM parsec3.vlob v
    WHERE v.organization = $1 AND v.realm_id = q.realm_id AND v.vlob_id = q.vlob_id)
FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY q (realm_id, vlob_id, number)`
)

// readAuthors reads the facts of authors, in their order; they are none if there is no
// organization.
func readAuthors(into []authorFacts, organization string, authors []authorInRealm) database.Statement {
	devices, realms := make([]pgtype.UUID, len(authors)), make([]pgtype.UUID, len(authors))
	for i, author := range authors {
		devices[i], realms[i] = database.Key(author.device), database.Key(author.realm)
	}
	return database.Statement{SQL: selectAuthors, Args: []any{organization, devices, realms}, Rows: func(rows pgx.Rows) error {
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
func readLatest(into map[vlobInRealm]uint32, organization string, vlobs []vlobInRealm) database.Statement {
	realms, ids := make([]pgtype.UUID, len(vlobs)), make([]pgtype.UUID, len(vlobs))
	for i, one := range vlobs {
		realms[i], ids[i] = database.Key(one.realm), database.Key(one.vlob)
	}
	return database.Statement{SQL: selectLatest, Args: []any{organization, realms, ids}, Rows: func(rows pgx.Rows) error {
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

// datesOf and fromDates are for columns of several dates.
func datesOf(column []int64) []parsec.DateTime {
	var dates []parsec.DateTime
	for _, date := range column {
		dates = append(dates, parsec.DateTime(date))
	}
	return dates
}

func fromDates(dates []parsec.DateTime) []int64 {
	column := make([]int64, len(dates))
	for i, date := range dates {
		column[i] = int64(date)
	}
	return column
}
