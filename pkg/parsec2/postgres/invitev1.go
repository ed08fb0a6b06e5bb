package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// inviteeText returns how the invitee of an API 1 invitation is stored: no user
// id looks like a device id.
func inviteeText(invitee rules.InviteeV1) string {
	if invitee.Device != (parsec.DeviceID{}) {
		return invitee.Device.String()
	}
	return invitee.User.String()
}

// InvitationV1 implements rules.InviteV1Reader.
func (s *Store) InvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee rules.InviteeV1) (rules.InvitationV1Facts, error) {
	var exists bool
	var invitation rules.InvitationV1
	user, device := invitee.User, invitee.Device.Name().String()
	if device != "" {
		user = invitee.Device.User()
	}
	err := s.One(ctx, database.Only(`
SELECT i.creator, i.created_on, EXISTS (
    SELECT FROM user_ u LEFT JOIN device d ON d.user_ = u.id AND d.name = $4
    WHERE u.organization = o.id AND u.user_id = $3 AND ($4 = '' OR d.id IS NOT NULL))
FROM organization o
LEFT JOIN invitation_v1 i ON i.organization = o.id AND i.invitee = $2
WHERE o.organization_id = $1`,
		[]any{organization.String(), inviteeText(invitee), user.String(), device},
		database.Parsed(&invitation.Creator), (*database.Integer)(&invitation.CreatedOn), &exists))
	facts := rules.InvitationV1Facts{InviteeExists: exists}
	if invitation.Creator != (parsec.DeviceID{}) {
		facts.Invitation = &invitation
	}
	return facts, err
}

// InvitationV1 implements rules.InviteV1Tx.
func (t *tx) InvitationV1(_ context.Context, invitee rules.InviteeV1) (*rules.InvitationV1, bool, error) {
	var found bool
	var invitation rules.InvitationV1
	err := t.Ask(database.Row(&found, `
SELECT i.creator, i.created_on
FROM organization o JOIN invitation_v1 i ON i.organization = o.id
WHERE o.organization_id = $1 AND i.invitee = $2`,
		[]any{t.organizationName(), inviteeText(invitee)}, database.Parsed(&invitation.Creator), (*database.Integer)(&invitation.CreatedOn)))
	if err != nil || !found {
		return nil, false, err
	}
	return &invitation, true, nil
}

// PutInvitationV1 implements rules.InviteV1Tx.
func (t *tx) PutInvitationV1(invitee rules.InviteeV1, invitation rules.InvitationV1) {
	t.QueueOne(`
INSERT INTO invitation_v1 (organization, invitee, creator, created_on)
SELECT o.id, $2, $3, $4 FROM organization o WHERE o.organization_id = $1
ON CONFLICT (organization, invitee) DO UPDATE SET creator = excluded.creator, created_on = excluded.created_on`,
		t.organizationName(), inviteeText(invitee), invitation.Creator.String(), int64(invitation.CreatedOn))
}

// DeleteInvitationV1 implements rules.InviteV1Tx.
func (t *tx) DeleteInvitationV1(invitee rules.InviteeV1) {
	t.Queue(`
DELETE FROM invitation_v1 i USING organization o
WHERE o.organization_id = $1 AND i.organization = o.id AND i.invitee = $2`,
		t.organizationName(), inviteeText(invitee))
}
