package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// invitation is an invitation with what lives as long.
type invitation struct {
	facts rules.Invitation
	// conduits are those of the greeters.
	conduits map[parsec.UserID]*rules.Conduit
	// presences are the leases of the connections.
	presences map[parsec.UUID]parsec.DateTime
}

// present counts the leases that last beyond now, but for one.
func (i *invitation) present(now parsec.DateTime, but parsec.UUID) (count uint64) {
	for connection, until := range i.presences {
		if until > now && connection != but {
			count++
		}
	}
	return count
}

// copyInvitation shares nothing with the invitation.
func (o *organization) copyInvitation(token parsec.InvitationToken) (*rules.Invitation, bool) {
	stored, found := o.invitations[token]
	if !found {
		return nil, false
	}
	facts := stored.facts
	facts.DeletedOn = organizationstore.CopyOf(facts.DeletedOn)
	facts.Greeters = slices.Clone(facts.Greeters)
	for i := range facts.Greeters {
		greeter := &facts.Greeters[i]
		greeter.Revoked = o.users[greeter.User].Revocation != nil
		greeter.Owes = stored.conduits[greeter.User].Owes()
	}
	return &facts, true
}

// Invitation implements rules.InviteReader.
func (s *Store) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (rules.InvitationFacts, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.invitationFacts(token), err
}

func (o *organization) invitationFacts(token parsec.InvitationToken) rules.InvitationFacts {
	facts := rules.InvitationFacts{Organization: o.Organization()}
	if found, ok := o.copyInvitation(token); ok {
		facts.Invitation = found
		facts.Greeter, _ = o.copyUser(found.Greeter)
		facts.Recovery = o.recovery(found.Claimer)
	}
	return facts
}

// Invitations implements rules.InviteReader.
func (s *Store) Invitations(ctx context.Context, organization parsec.OrganizationID, greeter parsec.UserID, now parsec.DateTime) ([]rules.PendingInvitation, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var list []rules.PendingInvitation
	for token, stored := range o.invitations {
		if _, among := stored.conduits[greeter]; among && stored.facts.DeletedOn == nil {
			facts, _ := o.copyInvitation(token)
			list = append(list, rules.PendingInvitation{Invitation: *facts, Ready: stored.present(now, parsec.UUID{}) > 0})
		}
	}
	slices.SortFunc(list, func(a, b rules.PendingInvitation) int { return compareInvitations(&a.Invitation, &b.Invitation) })
	return list, err
}

// compareInvitations orders by date.
func compareInvitations(a, b *rules.Invitation) int {
	return cmp.Or(cmp.Compare(a.CreatedOn, b.CreatedOn), bytes.Compare(a.Token[:], b.Token[:]))
}

// LapsedPresences implements rules.InviteReader.
func (s *Store) LapsedPresences(ctx context.Context, now parsec.DateTime) ([]rules.LapsedPresence, error) {
	var lapsed []rules.LapsedPresence
	err := s.eachInvitation(ctx, func(id parsec.OrganizationID, token parsec.InvitationToken, stored *invitation) {
		for _, until := range stored.presences {
			if until <= now {
				lapsed = append(lapsed, rules.LapsedPresence{Organization: id, Token: token})
				return
			}
		}
	})
	return lapsed, err
}

// RenewPresences implements rules.Presences.
func (s *Store) RenewPresences(ctx context.Context, connections []parsec.UUID, until parsec.DateTime) error {
	return s.eachInvitation(ctx, func(_ parsec.OrganizationID, _ parsec.InvitationToken, stored *invitation) {
		for _, connection := range connections {
			if _, found := stored.presences[connection]; found {
				stored.presences[connection] = until
			}
		}
	})
}

// eachInvitation visits every invitation, under the lock of its organization.
func (s *Store) eachInvitation(ctx context.Context, visit func(parsec.OrganizationID, parsec.InvitationToken, *invitation)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for id, cell := range s.Cells() {
		cell.Lock()
		for token, stored := range stateOf(cell).invitations {
			visit(id, token, stored)
		}
		cell.Unlock()
	}
	return nil
}

// Invitation implements rules.InviteTx.
func (t *tx) Invitation() (*rules.Invitation, bool) {
	return t.organization.copyInvitation(t.scope.Invitation)
}

// PendingInvitation implements rules.InviteTx.
func (t *tx) PendingInvitation(_ context.Context, kind parsec.InvitationType, greeter parsec.UserID, claimerEmail string) (*rules.Invitation, bool, error) {
	var oldest *rules.Invitation
	for token, stored := range t.organization.invitations {
		i := &stored.facts
		if i.Type != kind || i.Greeter != greeter || i.ClaimerEmail != claimerEmail || i.DeletedOn != nil {
			continue
		}
		if oldest == nil || compareInvitations(i, oldest) < 0 {
			oldest, _ = t.organization.copyInvitation(token)
		}
	}
	return oldest, oldest != nil, nil
}

// Presences implements rules.InviteTx.
func (t *tx) Presences(_ context.Context, now parsec.DateTime, but parsec.UUID) (uint64, error) {
	stored, found := t.organization.invitations[t.scope.Invitation]
	if !found {
		return 0, nil
	}
	return stored.present(now, but), nil
}

// PutInvitation implements rules.InviteTx.
func (t *tx) PutInvitation(facts rules.Invitation) {
	facts.DeletedOn, facts.Greeters = organizationstore.CopyOf(facts.DeletedOn), slices.Clone(facts.Greeters)
	t.Queue("PutInvitation", true, func() {
		stored, found := t.organization.invitations[facts.Token]
		if !found {
			stored = &invitation{conduits: map[parsec.UserID]*rules.Conduit{}, presences: map[parsec.UUID]parsec.DateTime{}}
			for _, greeter := range facts.Greeters {
				stored.conduits[greeter.User] = new(rules.NewConduit())
			}
			t.organization.invitations[facts.Token] = stored
		}
		stored.facts = facts
	})
}

// AddPresence implements rules.InviteTx.
func (t *tx) AddPresence(connection parsec.UUID, until parsec.DateTime) {
	t.presence("AddPresence", func(stored *invitation) { stored.presences[connection] = until })
}

// RemovePresence implements rules.InviteTx.
func (t *tx) RemovePresence(connection parsec.UUID) {
	t.presence("RemovePresence", func(stored *invitation) { delete(stored.presences, connection) })
}

// DropPresences implements rules.InviteTx.
func (t *tx) DropPresences(now parsec.DateTime) {
	t.presence("DropPresences", func(stored *invitation) {
		maps.DeleteFunc(stored.presences, func(_ parsec.UUID, until parsec.DateTime) bool { return until <= now })
	})
}

func (t *tx) presence(name string, effect func(*invitation)) {
	stored, found := t.organization.invitations[t.scope.Invitation]
	t.Queue(name, found, func() { effect(stored) })
}
