package memory

import (
	"context"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

// copyInvitation shares nothing with the invitation.
func (o *organization) copyInvitation(token parsec.InvitationToken) (*backend.Invitation, bool) {
	invitation, found := o.invitations[token]
	if !found {
		return nil, false
	}
	invitation.DeletedOn = copyOf(invitation.DeletedOn)
	return &invitation, true
}

func (o *organization) copyInvitationV1(invitee backend.InviteeV1) (*backend.InvitationV1, bool) {
	invitation, found := o.invitationsV1[invitee]
	if !found {
		return nil, false
	}
	return &invitation, true
}

// Invitation implements backend.OrganizationReader.
func (s *Store) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (backend.InvitationFacts, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return backend.InvitationFacts{}, err
	}
	defer o.mu.RUnlock()
	facts := backend.InvitationFacts{Organization: copyOrganization(o.facts)}
	if invitation, found := o.copyInvitation(token); found {
		facts.Invitation = invitation
		facts.Greeter, _ = o.copyUser(invitation.Greeter)
	}
	return facts, nil
}

// InvitationV1 implements backend.OrganizationReader.
func (s *Store) InvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee backend.InviteeV1) (backend.InvitationV1Facts, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return backend.InvitationV1Facts{}, err
	}
	defer o.mu.RUnlock()
	var facts backend.InvitationV1Facts
	facts.Invitation, _ = o.copyInvitationV1(invitee)
	if invitee.Device != (parsec.DeviceID{}) {
		_, facts.InviteeExists = o.devices[invitee.Device]
	} else {
		_, facts.InviteeExists = o.users[invitee.User]
	}
	return facts, nil
}

// InvitationV1 implements backend.InviteTx.
func (t *tx) InvitationV1(_ context.Context, invitee backend.InviteeV1) (*backend.InvitationV1, bool, error) {
	invitation, found := t.organization.copyInvitationV1(invitee)
	return invitation, found, nil
}

// PutInvitationV1 implements backend.InviteTx.
func (t *tx) PutInvitationV1(invitee backend.InviteeV1, invitation backend.InvitationV1) {
	t.queue("PutInvitationV1", true, func() { t.organization.invitationsV1[invitee] = invitation })
}

// DeleteInvitationV1 implements backend.InviteTx.
func (t *tx) DeleteInvitationV1(invitee backend.InviteeV1) {
	t.queue("DeleteInvitationV1", true, func() { delete(t.organization.invitationsV1, invitee) })
}

// Invitation implements backend.InviteTx.
func (t *tx) Invitation(_ context.Context, token parsec.InvitationToken) (*backend.Invitation, bool, error) {
	invitation, found := t.organization.copyInvitation(token)
	return invitation, found, nil
}

// PutInvitation implements backend.InviteTx.
func (t *tx) PutInvitation(invitation backend.Invitation) {
	invitation.DeletedOn = copyOf(invitation.DeletedOn)
	t.queue("PutInvitation", true, func() { t.organization.invitations[invitation.Token] = invitation })
}
