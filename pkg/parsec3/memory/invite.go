package memory

import (
	"cmp"
	"context"
	"slices"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// copyInvitation shares only bytes with the invitation.
func (o *organization) copyInvitation(token parsec3.AccessToken) *rules.Invitation {
	stored, found := o.invitations[token]
	if !found {
		return nil
	}
	value := *stored
	value.End = organizationstore.CopyOf(value.End)
	value.ClaimerUser, _ = o.copyUser(value.Claimer.User)
	value.Setup = o.setupOf(&value)
	return &value
}

// invitationsOf returns copies of those that are chosen, in the order of their
// creation. It scans them.
func (o *organization) invitationsOf(isChosen func(*rules.Invitation) bool) []rules.Invitation {
	var list []rules.Invitation
	for _, token := range o.tokens {
		if isChosen(o.invitations[token]) {
			list = append(list, *o.copyInvitation(token))
		}
	}
	slices.SortStableFunc(list, func(a, b rules.Invitation) int { return cmp.Compare(a.CreatedOn, b.CreatedOn) })
	return list
}

func (o *organization) invited(token parsec3.AccessToken) rules.InvitedStanding {
	return rules.InvitedStanding{Organization: o.Organization(), Invitation: o.copyInvitation(token)}
}

// Invited implements rules.InvitationReader.
func (s *Store) Invited(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (rules.InvitedStanding, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.invited(token), err
}

// InvitationGreeters implements rules.InvitationReader.
func (s *Store) InvitationGreeters(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (rules.InvitedStanding, []rules.InvitationGreeter, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	standing := o.invited(token)
	var greeters []rules.InvitationGreeter
	if standing.Invitation == nil {
		return standing, nil, err
	}
	for _, id := range o.ids {
		if user, _ := o.copyUser(id); isGreeter(standing.Invitation, user) {
			greeters = append(greeters, rules.InvitationGreeter{
				User: *user, LastJoined: o.lastJoined(token, id),
				Online: s.presence.onlineStatus(rules.Present{Organization: organization, User: id}),
			})
		}
	}
	return standing, greeters, err
}

// Invitations implements rules.InvitationReader.
func (s *Store) Invitations(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, ended parsec.DateTime) (rules.Standing, []rules.Invitation, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	user := o.userOf(author)
	return o.standing(author), o.invitationsOf(func(i *rules.Invitation) bool {
		isOver := func(on *parsec.DateTime) bool { return on != nil && *on < ended }
		if i.End != nil && isOver(&i.End.On) {
			return false
		}
		switch i.Claimer.Type {
		case parsec.InvitationUser:
			return true
		case parsec.InvitationDevice:
			return i.Claimer.User == user
		default:
			setup := o.setup(i.Claimer.User, i.Claimer.Setup)
			_, isRecipient := setup.Shares[user]
			return isRecipient && !isOver(setup.DeletedOn)
		}
	}), err
}

// isGreeter chooses as rules.InvitationReader says.
func isGreeter(of *rules.Invitation, user *rules.User) bool {
	switch of.Claimer.Type {
	case parsec.InvitationUser:
		return user.Profile == parsec.ProfileAdmin && user.RevokedOn == nil
	case parsec.InvitationShamirRecovery:
		_, isRecipient := of.Setup.Shares[user.ID]
		return isRecipient
	default:
		return false
	}
}

// PendingInvitations implements rules.InvitationTx.
func (t *tx) PendingInvitations(_ context.Context, claimer rules.Claimer) ([]rules.Invitation, error) {
	pending := t.organization.invitationsOf(func(i *rules.Invitation) bool {
		return i.End == nil && sameClaimer(i.Claimer, claimer)
	})
	for i := range pending {
		t.invitations[pending[i].Token] = true
	}
	return pending, nil
}

func sameClaimer(a, b rules.Claimer) bool {
	a.Email, b.Email = parsec3.Mailbox(a.Email), parsec3.Mailbox(b.Email)
	return a == b
}

// IsEnrolled implements rules.InvitationTx. It scans the users.
func (t *tx) IsEnrolled(_ context.Context, email string) (bool, error) {
	for taken := range t.organization.humans {
		if parsec3.Mailbox(taken) == parsec3.Mailbox(email) {
			return true, nil
		}
	}
	return false, nil
}

// CreateInvitation implements rules.InvitationTx.
func (t *tx) CreateInvitation(created rules.Invitation) {
	_, exists := t.organization.invitations[created.Token]
	possible := !exists && created.End == nil && t.scope.Invitations == rules.Exclusive &&
		(created.Claimer.Type != parsec.InvitationShamirRecovery || t.organization.setup(created.Claimer.User, created.Claimer.Setup) != nil)
	t.Queue("CreateInvitation", possible, func() {
		t.organization.invitations[created.Token] = &created
		t.organization.tokens = append(t.organization.tokens, created.Token)
	})
}

// EndInvitation implements rules.InvitationTx.
func (t *tx) EndInvitation(token parsec3.AccessToken, end rules.InvitationEnd) {
	stored, found := t.organization.invitations[token]
	t.Queue("EndInvitation", found && stored.End == nil && t.holdsInvitation(token), func() { stored.End = &end })
}

// holdsInvitation reports whether the row of an invitation is locked.
func (t *tx) holdsInvitation(token parsec3.AccessToken) bool {
	if t.scope.Invitation != nil || t.scope.Attempt != nil {
		if of := t.Greeting().Invitation; of != nil && of.Token == token {
			return true
		}
	}
	return t.invitations[token]
}
