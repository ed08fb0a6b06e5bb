package memory

import (
	"bytes"
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// copyConduit shares only bytes with the conduit.
func (o *organization) copyConduit(key rules.ConduitKey) (*rules.Conduit, bool) {
	stored, found := o.invitations[key.Token]
	if !found {
		return nil, false
	}
	conduit, found := stored.conduits[key.Greeter]
	return organizationstore.CopyOf(conduit), found
}

// ForgetConduits implements rules.Conduits.
func (s *Store) ForgetConduits(ctx context.Context, deleted parsec.DateTime) error {
	return s.eachInvitation(ctx, func(_ parsec.OrganizationID, _ parsec.InvitationToken, stored *invitation) {
		if on := stored.facts.DeletedOn; on == nil || *on > deleted {
			return
		}
		for _, conduit := range stored.conduits {
			conduit.Halves = [2]rules.Half{}
		}
	})
}

// TakeHeard implements rules.Conduits.
func (s *Store) TakeHeard(ctx context.Context, organization parsec.OrganizationID, key rules.ConduitKey, side rules.Side, exchange uint64) (rules.ConduitFacts, error) {
	o, err := s.lock(ctx, organization)
	defer o.Unlock()
	facts := rules.ConduitFacts{InvitationFacts: o.invitationFacts(key.Token)}
	conduit, found := o.copyConduit(key)
	if found {
		o.invitations[key.Token].conduits[key.Greeter].TakeHeard(side, exchange)
	}
	facts.Conduit = conduit
	return facts, err
}

// Conduit implements rules.ConduitTx.
func (t *tx) Conduit() (*rules.Conduit, bool) {
	return t.organization.copyConduit(rules.ConduitKey{Token: t.scope.Invitation, Greeter: t.scope.Greeter})
}

// PutConduit implements rules.ConduitTx.
func (t *tx) PutConduit(conduit rules.Conduit) {
	for i, half := range conduit.Halves {
		conduit.Halves[i] = rules.Half{
			Said: bytes.Clone(half.Said), Heard: bytes.Clone(half.Heard), Taken: bytes.Clone(half.Taken), Speaker: half.Speaker,
		}
	}
	_, found := t.Conduit()
	t.Queue("PutConduit", found, func() { *t.organization.invitations[t.scope.Invitation].conduits[t.scope.Greeter] = conduit })
}

// MarkReceived implements rules.ConduitTx.
func (t *tx) MarkReceived(connection parsec.UUID) {
	stored, found := t.organization.invitations[t.scope.Invitation]
	t.Queue("MarkReceived", found, func() {
		for _, conduit := range stored.conduits {
			if conduit.Halves[rules.ClaimerSide].Speaker == connection {
				conduit.Received = true
			}
		}
	})
}
