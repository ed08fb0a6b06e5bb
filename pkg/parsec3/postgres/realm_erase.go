package postgres

import (
	"context"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

const (
	// eraseBatch bounds the rows that one transaction erases.
	eraseBatch = 500
	// erasePage bounds the realms that are looked for at once.
	erasePage = 100
)

// ofRealms are the tables of what goes with a realm that is deleted.
var ofRealms = []string{
	"parsec3.vlob_atom", "parsec3.vlob", "parsec3.block", "parsec3.keys_bundle_access", "parsec3.sequester_access", "parsec3.keys_bundle",
	"parsec3.cryptpad_session",
}

const (
	// markDeleted and the statements after it are the effects of MarkRealmDeleted.
	markDeleted = `
UPDATE parsec3.realm r SET deleted = true WHERE r.organization = $1 AND r.realm_id = $2 AND NOT r.deleted`

	clearCounter = `
UPDATE parsec3.realm_counter c SET vlobs_size = 0, blocks_size = 0, unsummed = true WHERE c.organization = $1 AND c.realm_id = $2`

	insertToErase = `
INSERT INTO parsec3.realm_to_erase (organization, realm_id) VALUES ($1, $2)`

	selectToErase = `
SELECT e.organization, e.realm_id FROM parsec3.realm_to_erase e
WHERE (e.organization, e.realm_id) > ($1, $2)
ORDER BY e.organization, e.realm_id LIMIT $3`

	// eraseSome deletes at most $3 rows of a table.
	eraseSome = `
WITH erased AS (
    DELETE FROM TABLE d WHERE d.organization = $1 AND d.realm_id = $2 AND d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM TABLE k WHERE k.organization = $1 AND k.realm_id = $2 LIMIT $3
    ))
    RETURNING 1
)
SELECT count(*) FROM erased`
)

// forgetErased deletes the row of a realm of which nothing is left.
var forgetErased = func() string {
	sql := `
DELETE FROM parsec3.realm_to_erase e WHERE e.organization = $1 AND e.realm_id = $2`
	for _, table := range ofRealms {
		sql += `
    AND NOT EXISTS (SELECT FROM ` + table + ` d WHERE d.organization = $1 AND d.realm_id = $2)`
	}
	return sql
}()

// MarkRealmDeleted implements rules.RealmTx. What the realm holds is erased later,
// bit by bit: see eraseRealms.
func (t *tx) MarkRealmDeleted() {
	for _, sql := range []string{markDeleted, clearCounter, insertToErase} {
		t.QueueOne(sql, t.realmArgs()...)
	}
}

// realmToErase is a realm that is deleted, and of which something is left.
type realmToErase struct {
	organization parsec.OrganizationID
	id           parsec.RealmID
}

func (r *realmToErase) args() []any { return []any{r.organization.String(), database.Key(r.id)} }

// eraseRealms erases what is left of the realms that are deleted, of every
// organization, in small transactions. When it fails, or its server dies, the next
// one goes on; several at once do no harm.
func (s *Store) eraseRealms(ctx context.Context) error {
	for after := (realmToErase{}); ; {
		var page []realmToErase
		err := s.One(ctx, database.List(&page, selectToErase, append(after.args(), erasePage), func(r *realmToErase) []any {
			return []any{database.Parsed(&r.organization), (*database.UUID)(&r.id)}
		}))
		if err != nil {
			return err
		}
		for _, realm := range page {
			if err := s.eraseRealm(ctx, realm); err != nil {
				return err
			}
			after = realm
		}
		if len(page) < erasePage {
			return nil
		}
	}
}

func (s *Store) eraseRealm(ctx context.Context, realm realmToErase) error {
	for _, table := range ofRealms {
		sql := strings.ReplaceAll(eraseSome, "TABLE", table)
		for erased := int64(1); erased > 0; {
			if err := s.One(ctx, database.Only(sql, append(realm.args(), eraseBatch), &erased)); err != nil {
				return err
			}
		}
	}
	return s.One(ctx, database.Statement{SQL: forgetErased, Args: realm.args()})
}
