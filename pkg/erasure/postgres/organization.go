package postgres

import (
	"context"
	"slices"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

const (
	// holdErasure gives the target $1 to the token $2 until $3, unless another one has it
	// at $4.
	holdErasure = `
UPDATE erasure e SET held_by = $2, held_until = $3
WHERE e.id = $1 AND (e.held_by IS NULL OR e.held_by = $2 OR e.held_until <= $4)
RETURNING 1`

	// takeRealms has the target $1 take over the objects of the realms of its
	// organization that were deleted before.
	takeRealms = `
WITH realms AS (
    SELECT r.id FROM erasure e JOIN erasure r ON r.organization_id = e.organization_id AND r.realm_id IS NOT NULL WHERE e.id = $1
), moved AS (
    DELETE FROM erasure_object o USING realms r WHERE o.erasure = r.id RETURNING o.block_id, o.size, o.due_on
)
INSERT INTO erasure_object AS o (erasure, block_id, size, due_on)
SELECT $1, m.block_id, max(m.size), max(m.due_on) FROM moved m GROUP BY m.block_id
ON CONFLICT (erasure, block_id) DO UPDATE SET due_on = greatest(o.due_on, excluded.due_on)`

	dropRealms = `
DELETE FROM erasure r USING erasure e
WHERE e.id = $1 AND r.organization_id = e.organization_id AND r.realm_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM erasure_object o WHERE o.erasure = r.id)`

	// endErasure takes the target $2, whose organization is $1, off the list, unless
	// something is left. Rows are of CONDITION.
	endErasure = `
DELETE FROM erasure e WHERE e.organization_id = $1 AND e.id = $2 AND e.realm_id IS NULL AND NOT e.rows_left
    AND NOT EXISTS (SELECT FROM erasure_object o WHERE o.erasure = $2)CONDITION
RETURNING 1`

	// beginAgain has the rows of the target $1 be looked for again, if it is on the list.
	beginAgain = "UPDATE erasure e SET rows_left = true WHERE e.id = $1 RETURNING 1"
)

// EraseOrganization erases some rows of an organization for Wing.EraseRows: steps erase
// some of one kind each, and report how many, and whether there may be more of them.
// They are in the order in which rows refer to one another.
func EraseOrganization(ctx context.Context, in *database.Database, of Wing, target erasure.Target, steps []func(context.Context) (erased int64, more bool, err error)) (erased int64, left bool, err error) {
	for _, sql := range []string{takeRealms, dropRealms} {
		if err := in.One(ctx, database.Statement{SQL: sql, Args: []any{target.Number}}); err != nil {
			return 0, true, err
		}
	}
	for _, step := range steps {
		some, more, err := step(ctx)
		if err != nil {
			return erased, true, err
		}
		if erased += some; more {
			return erased, true, nil
		}
	}
	left, err = LeaveNoRows(ctx, in, of, target)
	return erased, left, err
}

// holdOrganization is Hold for a whole organization.
func (l *List) holdOrganization(ctx context.Context, target erasure.Target, blocks []parsec.BlockID, hold erasure.Hold) ([]erasure.State, error) {
	var held bool
	err := l.One(ctx, database.Row(&held, holdErasure,
		[]any{target.Number, database.Key(hold.Token), int64(hold.Until), int64(hold.Now)}, new(database.Integer)))
	state := erasure.Busy
	if held {
		state = erasure.Held
	}
	return slices.Repeat([]erasure.State{state}, len(blocks)), err
}

// endOrganization is End for a whole organization. Under its lock nothing comes any more,
// and who is still connected is told that it is expired.
func (l *List) endOrganization(ctx context.Context, target erasure.Target) (left bool, err error) {
	tables, _ := l.Wings[target.Generation].RowsOf(target)
	err = l.Update(ctx, func() database.Transaction {
		var expiration *parsec.DateTime
		var found bool
		id := target.Organization.String()
		return database.Transaction{
			Reads: []database.Statement{
				database.LockOrganization(target.Organization, true),
				database.Row(&found, "SELECT o.expiration_date FROM organization o WHERE o.organization_id = $1", []any{id}, database.OptionalDate(&expiration)),
			},
			Decisions: []database.Decision{func(tx *database.Tx) error {
				var ended bool
				err := tx.Ask(database.Row(&ended, strings.Replace(endErasure, "CONDITION", noRows(tables), 1), []any{id, target.Number}, new(database.Integer)))
				if err == nil && !ended {
					return tx.Ask(database.Row(&left, beginAgain, []any{target.Number}, new(database.Integer)))
				}
				if err != nil {
					return err
				}
				left = false
				tx.Queue("DELETE FROM import_organization WHERE organization = $1", id)
				tx.QueueOne("DELETE FROM organization WHERE organization_id = $1", id)
				tx.Emit(event.Event{Organization: target.Organization, Body: event.OrganizationExpiration{Date: expiration}})
				return nil
			}},
		}
	})[0]
	return left, err
}
