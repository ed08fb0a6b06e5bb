package memory

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

func (o *organization) copyInvitationV1(invitee rules.InviteeV1) (*rules.InvitationV1, bool) {
	invitation, found := o.invitationsV1[invitee]
	if !found {
		return nil, false
	}
	return &invitation, true
}

// InvitationV1 implements rules.InviteV1Reader.
func (s *Store) InvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee rules.InviteeV1) (rules.InvitationV1Facts, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var facts rules.InvitationV1Facts
	facts.Invitation, _ = o.copyInvitationV1(invitee)
	if invitee.Device != (parsec.DeviceID{}) {
		_, facts.InviteeExists = o.devices[invitee.Device]
	} else {
		_, facts.InviteeExists = o.users[invitee.User]
	}
	return facts, err
}

// InvitationV1 implements rules.InviteV1Tx.
func (t *tx) InvitationV1(_ context.Context, invitee rules.InviteeV1) (*rules.InvitationV1, bool, error) {
	invitation, found := t.organization.copyInvitationV1(invitee)
	return invitation, found, nil
}

// PutInvitationV1 implements rules.InviteV1Tx.
func (t *tx) PutInvitationV1(invitee rules.InviteeV1, invitation rules.InvitationV1) {
	t.Queue("PutInvitationV1", true, func() { t.organization.invitationsV1[invitee] = invitation })
}

// DeleteInvitationV1 implements rules.InviteV1Tx.
func (t *tx) DeleteInvitationV1(invitee rules.InviteeV1) {
	t.Queue("DeleteInvitationV1", true, func() { delete(t.organization.invitationsV1, invitee) })
}
