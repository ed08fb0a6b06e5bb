package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

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
	facts.DeletedOn = copyOf(facts.DeletedOn)
	facts.Greeters = slices.Clone(facts.Greeters)
	for i := range facts.Greeters {
		greeter := &facts.Greeters[i]
		greeter.Revoked = o.users[greeter.User].Revocation != nil
		greeter.Owes = stored.conduits[greeter.User].Owes()
	}
	return &facts, true
}

// copyConduit shares only bytes with the conduit.
func (o *organization) copyConduit(key rules.ConduitKey) (*rules.Conduit, bool) {
	stored, found := o.invitations[key.Token]
	if !found {
		return nil, false
	}
	conduit, found := stored.conduits[key.Greeter]
	if !found {
		return nil, false
	}
	return new(*conduit), true
}

func (o *organization) copyInvitationV1(invitee rules.InviteeV1) (*rules.InvitationV1, bool) {
	invitation, found := o.invitationsV1[invitee]
	if !found {
		return nil, false
	}
	return &invitation, true
}

// Invitation implements rules.OrganizationReader.
func (s *Store) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (rules.InvitationFacts, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return rules.InvitationFacts{}, err
	}
	defer o.mu.RUnlock()
	return o.invitationFacts(token), nil
}

func (o *organization) invitationFacts(token parsec.InvitationToken) rules.InvitationFacts {
	facts := rules.InvitationFacts{Organization: copyOrganization(o.facts)}
	if found, ok := o.copyInvitation(token); ok {
		facts.Invitation = found
		facts.Greeter, _ = o.copyUser(found.Greeter)
		facts.Recovery = o.recovery(found.Claimer)
	}
	return facts
}

// Invitations implements rules.OrganizationReader.
func (s *Store) Invitations(ctx context.Context, organization parsec.OrganizationID, greeter parsec.UserID, now parsec.DateTime) ([]rules.PendingInvitation, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return nil, err
	}
	defer o.mu.RUnlock()
	var list []rules.PendingInvitation
	for token, stored := range o.invitations {
		if _, among := stored.conduits[greeter]; among && stored.facts.DeletedOn == nil {
			facts, _ := o.copyInvitation(token)
			list = append(list, rules.PendingInvitation{Invitation: *facts, Ready: stored.present(now, parsec.UUID{}) > 0})
		}
	}
	slices.SortFunc(list, func(a, b rules.PendingInvitation) int { return compareInvitations(&a.Invitation, &b.Invitation) })
	return list, nil
}

// compareInvitations orders by date.
func compareInvitations(a, b *rules.Invitation) int {
	return cmp.Or(cmp.Compare(a.CreatedOn, b.CreatedOn), bytes.Compare(a.Token[:], b.Token[:]))
}

// LapsedPresences implements rules.OrganizationReader.
func (s *Store) LapsedPresences(ctx context.Context, now parsec.DateTime) ([]rules.LapsedPresence, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var lapsed []rules.LapsedPresence
	s.eachInvitation(func(id parsec.OrganizationID, token parsec.InvitationToken, stored *invitation) {
		for _, until := range stored.presences {
			if until <= now {
				lapsed = append(lapsed, rules.LapsedPresence{Organization: id, Token: token})
				return
			}
		}
	})
	return lapsed, nil
}

// RenewPresences implements rules.Store.
func (s *Store) RenewPresences(ctx context.Context, connections []parsec.UUID, until parsec.DateTime) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.eachInvitation(func(_ parsec.OrganizationID, _ parsec.InvitationToken, stored *invitation) {
		for _, connection := range connections {
			if _, found := stored.presences[connection]; found {
				stored.presences[connection] = until
			}
		}
	})
	return nil
}

// ForgetConduits implements rules.Store.
func (s *Store) ForgetConduits(ctx context.Context, deleted parsec.DateTime) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.eachInvitation(func(_ parsec.OrganizationID, _ parsec.InvitationToken, stored *invitation) {
		if on := stored.facts.DeletedOn; on == nil || *on > deleted {
			return
		}
		for _, conduit := range stored.conduits {
			conduit.Halves = [2]rules.Half{}
		}
	})
	return nil
}

// eachInvitation visits every invitation, under the lock of its organization.
func (s *Store) eachInvitation(visit func(parsec.OrganizationID, parsec.InvitationToken, *invitation)) {
	s.mu.RLock()
	all := maps.Clone(s.organizations)
	s.mu.RUnlock()
	for id, o := range all {
		o.mu.Lock()
		for token, stored := range o.invitations {
			visit(id, token, stored)
		}
		o.mu.Unlock()
	}
}

// TakeHeard implements rules.Store.
func (s *Store) TakeHeard(ctx context.Context, organization parsec.OrganizationID, key rules.ConduitKey, side rules.Side, exchange uint64) (rules.ConduitFacts, error) {
	if err := ctx.Err(); err != nil {
		return rules.ConduitFacts{}, err
	}
	o, found := s.lookup(organization)
	if !found {
		return rules.ConduitFacts{}, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	facts := rules.ConduitFacts{InvitationFacts: o.invitationFacts(key.Token)}
	facts.Conduit, found = o.copyConduit(key)
	if found && facts.Conduit.Ended(side, exchange) {
		half := &o.invitations[key.Token].conduits[key.Greeter].Halves[side]
		half.Heard, half.Taken = nil, half.Heard
	}
	return facts, nil
}

// InvitationV1 implements rules.OrganizationReader.
func (s *Store) InvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee rules.InviteeV1) (rules.InvitationV1Facts, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return rules.InvitationV1Facts{}, err
	}
	defer o.mu.RUnlock()
	var facts rules.InvitationV1Facts
	facts.Invitation, _ = o.copyInvitationV1(invitee)
	if invitee.Device != (parsec.DeviceID{}) {
		_, facts.InviteeExists = o.devices[invitee.Device]
	} else {
		_, facts.InviteeExists = o.users[invitee.User]
	}
	return facts, nil
}

// InvitationV1 implements rules.InviteTx.
func (t *tx) InvitationV1(_ context.Context, invitee rules.InviteeV1) (*rules.InvitationV1, bool, error) {
	invitation, found := t.organization.copyInvitationV1(invitee)
	return invitation, found, nil
}

// PutInvitationV1 implements rules.InviteTx.
func (t *tx) PutInvitationV1(invitee rules.InviteeV1, invitation rules.InvitationV1) {
	t.queue("PutInvitationV1", true, func() { t.organization.invitationsV1[invitee] = invitation })
}

// DeleteInvitationV1 implements rules.InviteTx.
func (t *tx) DeleteInvitationV1(invitee rules.InviteeV1) {
	t.queue("DeleteInvitationV1", true, func() { delete(t.organization.invitationsV1, invitee) })
}

// Invitation implements rules.InviteTx.
func (t *tx) Invitation() (*rules.Invitation, bool) {
	return t.organization.copyInvitation(t.scope.Invitation)
}

// Conduit implements rules.InviteTx.
func (t *tx) Conduit() (*rules.Conduit, bool) {
	return t.organization.copyConduit(rules.ConduitKey{Token: t.scope.Invitation, Greeter: t.scope.Greeter})
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
	facts.DeletedOn, facts.Greeters = copyOf(facts.DeletedOn), slices.Clone(facts.Greeters)
	t.queue("PutInvitation", true, func() {
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

// PutConduit implements rules.InviteTx.
func (t *tx) PutConduit(conduit rules.Conduit) {
	for i, half := range conduit.Halves {
		conduit.Halves[i] = rules.Half{
			Said: bytes.Clone(half.Said), Heard: bytes.Clone(half.Heard), Taken: bytes.Clone(half.Taken), Speaker: half.Speaker,
		}
	}
	_, found := t.Conduit()
	t.queue("PutConduit", found, func() { *t.organization.invitations[t.scope.Invitation].conduits[t.scope.Greeter] = conduit })
}

// MarkReceived implements rules.InviteTx.
func (t *tx) MarkReceived(connection parsec.UUID) {
	stored, found := t.organization.invitations[t.scope.Invitation]
	t.queue("MarkReceived", found, func() {
		for _, conduit := range stored.conduits {
			if conduit.Halves[rules.ClaimerSide].Speaker == connection {
				conduit.Received = true
			}
		}
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
	t.queue(name, found, func() { effect(stored) })
}
