package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
)

var oldInvitationTable = &imports.Table{
	Name: "invitation_v1", Columns: []string{"organization", "invitee", "creator", "created_on"}, Key: []string{"organization", "invitee"},
}

type oldInvitationRow struct {
	invitee, creator string
	createdOn        int64
}

func (r *oldInvitationRow) targets() []any { return []any{&r.invitee, &r.creator, &r.createdOn} }

// oldInvitations are those of API 1.
func (c *converter) oldInvitations(ctx context.Context) error {
	if c.from.Step >= 8 {
		return nil
	}
	return each(ctx, c, `
SELECT i.user_id::text, d.device_id::text, `+micro("i.created_on")+` FROM user_invitation i JOIN device d ON d._id = i.creator WHERE i.organization = $1::bigint
UNION ALL
SELECT i.device_id::text, d.device_id::text, `+micro("i.created_on")+` FROM device_invitation i JOIN device d ON d._id = i.creator WHERE i.organization = $1::bigint`,
		(*oldInvitationRow).targets, func(row *oldInvitationRow) error {
			return c.into.Put(ctx, oldInvitationTable, int32(c.number), row.invitee, row.creator, row.createdOn)
		})
}

var (
	invitationTable = &imports.Table{
		Name:    "invitation",
		Columns: []string{"id", "organization", "token", "type", "greeter", "claimer_email", "created_on", "deleted_on", "deleted_reason", "claimer"},
		Key:     []string{"id"},
	}
	conduitTable = &imports.Table{Name: "conduit", Columns: []string{"invitation", "greeter", "pending"}, Key: []string{"invitation", "greeter"}}
)

type invitationRow struct {
	key        int64
	token      database.UUID
	kind       string
	greeter    int64
	email      []byte
	createdOn  int64
	deletedOn  *int64
	reason     *string
	claimer    *int64
	recipients []int64
}

func (r *invitationRow) targets() []any {
	return []any{&r.key, &r.token, &r.kind, &r.greeter, &r.email, &r.createdOn, &r.deletedOn, &r.reason, &r.claimer, &r.recipients}
}

// invitations come without the exchanges that were under way: clients begin them again.
func (c *converter) invitations(ctx context.Context) error {
	if c.from.Step < 4 {
		return nil
	}
	recovering := map[int64]bool{}
	shamir := c.from.Since(13, `s.user_::bigint, CASE WHEN i.shamir_recovery IS NULL THEN NULL ELSE
        (SELECT array_agg(h.recipient::bigint) FROM shamir_recovery_share h WHERE h.shamir_recovery = i.shamir_recovery) END`, "NULL::bigint, NULL::bigint[]")
	return each(ctx, c, `
SELECT i._id::bigint, i.token, i.type::text, i.greeter::bigint, CASE WHEN i.type = 'USER' THEN coalesce(i.claimer_email, '') ELSE '' END::text::bytea,
    `+micro("i.created_on")+`, `+micro("i.deleted_on")+`, i.deleted_reason::text, `+shamir+`
FROM invitation i`+c.from.Since(13, " LEFT JOIN shamir_recovery_setup s ON s._id = i.shamir_recovery", "")+`
WHERE i.organization = $1::bigint ORDER BY i._id`,
		(*invitationRow).targets, func(row *invitationRow) error {
			if row.claimer != nil && row.deletedOn == nil {
				if recovering[*row.claimer] {
					row.deletedOn, row.reason = new(int64(c.choices.At)), new("ROTTEN")
					c.one.Repair("recovery_invited_twice", "invitation "+parsec.UUID(row.token).Hex(), "its claimer has another one, so it is over")
				}
				recovering[*row.claimer] = true
			}
			return c.putInvitation(ctx, row)
		})
}

func (c *converter) putInvitation(ctx context.Context, row *invitationRow) error {
	var claimer *int64
	if row.claimer != nil {
		claimer = new(c.into.Number(*row.claimer))
	}
	number := c.into.Number(row.key)
	err := c.into.Put(ctx, invitationTable, number, int32(c.number), [16]byte(row.token), row.kind, c.into.Number(row.greeter),
		database.NotNull(row.email), row.createdOn, row.deletedOn, row.reason, claimer)
	if err != nil {
		return err
	}
	if row.claimer == nil {
		row.recipients = []int64{row.greeter}
	}
	for _, greeter := range row.recipients {
		if err := c.into.Put(ctx, conduitTable, number, c.into.Number(greeter), row.deletedOn == nil); err != nil {
			return err
		}
	}
	return nil
}
