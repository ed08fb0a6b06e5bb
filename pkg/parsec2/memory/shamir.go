package memory

import (
	"bytes"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// ShamirSetup implements rules.ShamirReader.
func (s *Store) ShamirSetup(ctx context.Context, organization parsec.OrganizationID, owner parsec.UserID) (*rules.ShamirSetup, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	setup := o.copyShamirSetup(owner)
	return setup, setup != nil, err
}

// copyShamirSetup shares only bytes with the current setup, nil without.
func (o *organization) copyShamirSetup(owner parsec.UserID) *rules.ShamirSetup {
	for _, setup := range o.shamirs {
		if setup.Owner == owner {
			setup.Shares = slices.Clone(setup.Shares)
			return &setup
		}
	}
	return nil
}

// ShamirSetupsHeld implements rules.ShamirReader.
func (s *Store) ShamirSetupsHeld(ctx context.Context, organization parsec.OrganizationID, recipient parsec.UserID) ([]rules.ShamirHeld, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var held []rules.ShamirHeld
	for _, setup := range o.shamirs {
		for _, share := range setup.Shares {
			if share.Recipient == recipient {
				held = append(held, rules.ShamirHeld{BriefCertificate: setup.BriefCertificate, ShareCertificate: share.Certificate})
			}
		}
	}
	return held, err
}

// ActiveAmong implements rules.ShamirTx.
func (t *tx) ActiveAmong(_ context.Context, users []parsec.UserID) (int, error) {
	active := map[parsec.UserID]bool{}
	for _, id := range users {
		if user, found := t.organization.users[id]; found && user.Revocation == nil {
			active[id] = true
		}
	}
	return len(active), nil
}

// ShamirRevealTokenUsed implements rules.ShamirTx.
func (t *tx) ShamirRevealTokenUsed(_ context.Context, token parsec.UUID) (bool, error) {
	return t.organization.revealTokens[token], nil
}

// EndShamirSetup implements rules.ShamirTx.
func (t *tx) EndShamirSetup(owner parsec.UserID) {
	t.Queue("EndShamirSetup", t.scope.LockOrganization, func() {
		t.organization.shamirs = slices.DeleteFunc(t.organization.shamirs, func(setup rules.ShamirSetup) bool {
			return setup.Owner == owner
		})
	})
}

// CreateShamirSetup implements rules.ShamirTx.
func (t *tx) CreateShamirSetup(setup rules.ShamirSetup) {
	setup.CipheredData = bytes.Clone(setup.CipheredData)
	setup.BriefCertificate = bytes.Clone(setup.BriefCertificate)
	setup.Shares = slices.Clone(setup.Shares)
	for i := range setup.Shares {
		setup.Shares[i].Certificate = bytes.Clone(setup.Shares[i].Certificate)
	}
	t.Queue("CreateShamirSetup", t.scope.LockOrganization && !t.organization.revealTokens[setup.RevealToken], func() {
		t.organization.shamirs = append(t.organization.shamirs, setup)
		t.organization.revealTokens[setup.RevealToken] = true
	})
}

// recovery is nil for a claimer without current setup.
func (o *organization) recovery(claimer parsec.UserID) *rules.Recovery {
	setup := o.copyShamirSetup(claimer)
	if setup == nil {
		return nil
	}
	recovery := &rules.Recovery{Threshold: setup.Threshold}
	for _, share := range setup.Shares {
		user := o.users[share.Recipient]
		recovery.Recipients = append(recovery.Recipients, rules.RecoveryRecipient{
			User: user.ID, HumanHandle: user.HumanHandle, Shares: share.Shares, Revoked: user.Revocation != nil,
		})
	}
	return recovery
}

// Recovery implements rules.ShamirTx.
func (t *tx) Recovery(_ context.Context, claimer parsec.UserID) (facts rules.RecoveryFacts, err error) {
	user, found := t.organization.copyUser(claimer)
	if !found {
		return facts, nil
	}
	facts.Claimer, facts.Setup = user, t.organization.copyShamirSetup(claimer)
	for token, stored := range t.organization.invitations {
		if stored.facts.Claimer == claimer && stored.facts.DeletedOn == nil {
			facts.Invitation, _ = t.organization.copyInvitation(token)
		}
	}
	return facts, nil
}
