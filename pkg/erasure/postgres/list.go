// Package postgres keeps what is to be erased in a database.
package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ erasure.List = (*List)(nil)

// Wing is the database of one generation, as far as it is erased.
type Wing interface {
	// EraseRows is that of erasure.List. It ends with LeaveNoRows.
	EraseRows(ctx context.Context, target erasure.Target) (erased int64, left bool, err error)
	// RowsOf returns where the rows of a target are: each a table k and a condition on
	// it, in which $1 is the organization, and args are those from $3 on, none for a
	// whole organization.
	RowsOf(target erasure.Target) (tables []string, args []any)
	// HoldBlocks is Hold of erasure.List, and ReleaseBlocks ends holds.
	HoldBlocks(ctx context.Context, organization parsec.OrganizationID, blocks []parsec.BlockID, hold erasure.Hold) ([]erasure.State, error)
	ReleaseBlocks(ctx context.Context, organization parsec.OrganizationID, blocks []parsec.BlockID, hold erasure.Hold) error
	// BlocksOf lists the next blocks and uploads of a realm after one, nil for all, at
	// most a number, by id: what its deletion would make objects of.
	BlocksOf(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID, after *parsec.BlockID, most int) ([]erasure.Object, error)
}

// List implements erasure.List. Its methods are safe for concurrent use.
type List struct {
	*database.Database
	// Wings has that of each generation.
	Wings map[organization.Generation]Wing
}

const (
	// InsertRealm is what marks a realm: $1 is its organization, $2 its id, and $3 the
	// generation.
	InsertRealm = `
INSERT INTO erasure (organization_id, realm_id, generation, rows_left) VALUES ($1, $2, $3, true)`

	// ListErased goes on after a statement `erased`, which deletes rows of blocks and
	// returns block_id, size and upload_until. $2 is the number of the target.
	ListErased = `, listed AS (
    INSERT INTO erasure_object (erasure, block_id, size, due_on)
    SELECT $2, block_id, coalesce(size, 0), coalesce(upload_until, 0) FROM erased
    ON CONFLICT (erasure, block_id) DO UPDATE SET due_on = greatest(erasure_object.due_on, excluded.due_on)
)
SELECT count(*) FROM erased`

	selectTargets = `
SELECT e.id, e.organization_id, e.realm_id, e.generation, e.rows_left FROM erasure e WHERE e.id > $1 ORDER BY e.id LIMIT $2`

	selectTargetsOf = `
SELECT e.id, e.organization_id, e.realm_id, e.generation, e.rows_left FROM erasure e
WHERE e.id > $1 AND e.rows_left AND e.generation = $3 ORDER BY e.id LIMIT $2`
)

// targetPage bounds the targets that are listed at once.
const targetPage = 100

// Targets implements erasure.List.
func (l *List) Targets(ctx context.Context, after int64) ([]erasure.Target, error) {
	return targets(ctx, l.Database, selectTargets, after, targetPage)
}

// targetsWithRows is Targets for those of one generation that have rows left.
func targetsWithRows(ctx context.Context, in *database.Database, generation organization.Generation, after int64) ([]erasure.Target, error) {
	return targets(ctx, in, selectTargetsOf, after, targetPage, int16(generation))
}

func targets(ctx context.Context, in *database.Database, sql string, args ...any) (found []erasure.Target, err error) {
	err = in.One(ctx, database.Statement{SQL: sql, Args: args, Rows: func(rows pgx.Rows) error {
		found = nil
		var target erasure.Target
		var realm pgtype.UUID
		_, err := pgx.ForEachRow(rows, []any{&target.Number, database.Parsed(&target.Organization), &realm, (*uint8)(&target.Generation), &target.RowsLeft}, func() error {
			target.Realm = nil
			if realm.Valid {
				target.Realm = new(parsec.RealmID(realm.Bytes))
			}
			found = append(found, target)
			return nil
		})
		return err
	}})
	return found, err
}

// EraseRows implements erasure.List.
func (l *List) EraseRows(ctx context.Context, target erasure.Target) (erased int64, left bool, err error) {
	return l.Wings[target.Generation].EraseRows(ctx, target)
}

// noRows is the condition that no table of Wing.RowsOf has rows.
func noRows(tables []string) (condition string) {
	for _, table := range tables {
		condition += " AND NOT EXISTS (SELECT FROM " + table + ")"
	}
	return condition
}

// LeaveNoRows notes that a target has no rows left, unless there are some.
func LeaveNoRows(ctx context.Context, in *database.Database, of Wing, target erasure.Target) (left bool, err error) {
	tables, args := of.RowsOf(target)
	condition := noRows(tables)
	err = in.One(ctx, database.Only(`
WITH done AS (UPDATE erasure e SET rows_left = false WHERE e.organization_id = $1 AND e.id = $2`+condition+` RETURNING 1)
SELECT NOT EXISTS (SELECT FROM done) AND EXISTS (SELECT FROM erasure e WHERE e.id = $2)`,
		append([]any{target.Organization.String(), target.Number}, args...), &left))
	return left, err
}

// PruneRows erases the rows of all targets of a generation. Those that other erasers have
// under way are left to them.
func PruneRows(ctx context.Context, in *database.Database, generation organization.Generation, wing Wing) error {
	for after := int64(0); ; {
		page, err := targetsWithRows(ctx, in, generation, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, target := range page {
			for erased, left := int64(1), true; left && erased > 0; {
				if erased, left, err = wing.EraseRows(ctx, target); err != nil {
					return err
				}
			}
			after = target.Number
		}
	}
}

// Remains implements erasure.List.
func (l *List) Remains(ctx context.Context, target erasure.Target) (remains erasure.Remains, err error) {
	err = l.One(ctx, database.Only("SELECT count(*), coalesce(sum(o.size), 0)::bigint FROM erasure_object o WHERE o.erasure = $1",
		[]any{target.Number}, &remains.Objects, &remains.Bytes))
	return remains, err
}

// Objects implements erasure.List.
func (l *List) Objects(ctx context.Context, target erasure.Target, after *parsec.BlockID, most int) (objects []erasure.Object, err error) {
	condition, args := "", []any{target.Number, most}
	if after != nil {
		condition, args = " AND o.block_id > $3", append(args, database.Key(*after))
	}
	err = l.One(ctx, database.List(&objects, `
SELECT o.block_id, o.size, o.due_on FROM erasure_object o WHERE o.erasure = $1`+condition+`
ORDER BY o.block_id LIMIT $2`, args, objectTargets))
	return objects, err
}

func objectTargets(o *erasure.Object) []any {
	return []any{(*database.UUID)(&o.Block), &o.Size, (*database.Integer)(&o.DueOn)}
}

// BlocksOf implements the method of Wing by a statement, which reads the id, the size and
// the date of an object for the organization $1, the realm $2, after $3, at most $4.
func BlocksOf(ctx context.Context, in *database.Database, sql string, organization parsec.OrganizationID, realm parsec.RealmID, after *parsec.BlockID, most int) (objects []erasure.Object, err error) {
	from := pgtype.UUID{}
	if after != nil {
		from = database.Key(*after)
	}
	err = in.One(ctx, database.List(&objects, sql, []any{organization.String(), database.Key(realm), from, most}, objectTargets))
	return objects, err
}

// Hold implements erasure.List.
func (l *List) Hold(ctx context.Context, target erasure.Target, blocks []parsec.BlockID, hold erasure.Hold) ([]erasure.State, error) {
	saving, err := l.IsSaved(ctx)
	if err != nil {
		return nil, err
	}
	if saving { // The blocks that a backup names stay until it has them.
		return make([]erasure.State, len(blocks)), nil
	}
	if target.Realm == nil {
		return l.holdOrganization(ctx, target, blocks, hold)
	}
	return l.Wings[target.Generation].HoldBlocks(ctx, target.Organization, blocks, hold)
}

// Forget implements erasure.List. Objects that are no longer listed are those of whoever
// uploads them next: they are released last.
func (l *List) Forget(ctx context.Context, target erasure.Target, blocks []parsec.BlockID, hold erasure.Hold) error {
	if target.Realm != nil { // An organization is held until its end, or until it may be.
		// First the holds: of a process that is killed in between nothing is left but
		// what the next one goes over again.
		if err := l.Wings[target.Generation].ReleaseBlocks(ctx, target.Organization, blocks, hold); err != nil {
			return err
		}
	}
	return l.One(ctx, database.Statement{
		SQL:  "DELETE FROM erasure_object o WHERE o.erasure = $1 AND o.block_id = ANY ($2::uuid[])",
		Args: []any{target.Number, database.Keys(blocks)},
	})
}

// End implements erasure.List.
func (l *List) End(ctx context.Context, target erasure.Target) (left bool, err error) {
	if target.Realm == nil {
		return l.endOrganization(ctx, target)
	}
	return false, l.One(ctx, database.Statement{
		SQL: `
DELETE FROM erasure e
WHERE e.id = $1 AND NOT e.rows_left AND NOT EXISTS (SELECT FROM erasure_object o WHERE o.erasure = $1)`,
		Args: []any{target.Number},
	})
}

// States returns a statement that reads what became of a hold: for each block, in order,
// whether it is held and whether it is known.
func States(states *[]erasure.State, sql string, args ...any) database.Statement {
	return database.Statement{SQL: sql, Args: args, Rows: func(rows pgx.Rows) error {
		*states = nil
		var held, known bool
		_, err := pgx.ForEachRow(rows, []any{&held, &known}, func() error {
			state := erasure.Busy
			switch {
			case known:
				state = erasure.Known
			case held:
				state = erasure.Held
			}
			*states = append(*states, state)
			return nil
		})
		return err
	}}
}
