package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// shamirSeen returns the certificates of the topic of Shamir recovery that a user sees.
func (o *organization) shamirSeen(id parsec3.UserID) []rules.Certificate {
	if user, found := o.users[id]; found {
		return user.shamir
	}
	return nil
}

// lastShamir returns the date of the last certificate of the topic that the user sees.
func (u *user) lastShamir() parsec.DateTime {
	if len(u.shamir) == 0 {
		return 0
	}
	return u.shamir[len(u.shamir)-1].Timestamp
}

// setup returns the setup of a user of a date, nil if there is none.
func (o *organization) setup(user parsec3.UserID, createdOn parsec.DateTime) *rules.ShamirSetup {
	for _, setup := range o.setups[user] {
		if setup.CreatedOn == createdOn {
			return setup
		}
	}
	return nil
}

// currentSetup returns the setup of a user that is not deleted, nil if there is none.
func (o *organization) currentSetup(user parsec3.UserID) *rules.ShamirSetup {
	for _, setup := range o.setups[user] {
		if setup.DeletedOn == nil {
			return setup
		}
	}
	return nil
}

// copySetup shares only bytes with the setup; nil is not found.
func copySetup(setup *rules.ShamirSetup) (*rules.ShamirSetup, bool) {
	if setup == nil {
		return nil, false
	}
	value := *setup
	value.Shares, value.DeletedOn = maps.Clone(setup.Shares), organizationstore.CopyOf(setup.DeletedOn)
	return &value, true
}

// setupOf returns the setup of an invitation, but for what it reveals; nil for another
// type.
func (o *organization) setupOf(invitation *rules.Invitation) *rules.ShamirSetup {
	if invitation.Claimer.Type != parsec.InvitationShamirRecovery {
		return nil
	}
	setup, _ := copySetup(o.setup(invitation.Claimer.User, invitation.Claimer.Setup))
	setup.RevealToken, setup.CipheredData = parsec3.AccessToken{}, nil
	return setup
}

// RevealedSetup implements rules.ShamirTx.
func (t *tx) RevealedSetup(context.Context) (*rules.ShamirSetup, []parsec.DateTime, error) {
	invitation := t.Greeting().Invitation
	if invitation == nil || invitation.Setup == nil {
		return nil, nil, nil
	}
	setup, _ := copySetup(t.organization.setup(invitation.Claimer.User, invitation.Claimer.Setup))
	return setup, slices.Clone(t.organization.wrongReveals[invitation.Token]), nil
}

// PutWrongReveals implements rules.ShamirTx.
func (t *tx) PutWrongReveals(token parsec3.AccessToken, dates []parsec.DateTime) {
	dates = slices.Clone(dates)
	t.Queue("PutWrongReveals", t.holdsInvitation(token), func() { t.organization.wrongReveals[token] = dates })
}

// CurrentShamirSetup implements rules.ShamirTx.
func (t *tx) CurrentShamirSetup(_ context.Context, user parsec3.UserID) (*rules.ShamirSetup, bool, error) {
	setup, found := copySetup(t.organization.currentSetup(user))
	return setup, found, nil
}

// ShamirFacts implements rules.ShamirTx.
func (t *tx) ShamirFacts(_ context.Context, user parsec3.UserID, recipients []parsec3.UserID, token parsec3.AccessToken) (rules.ShamirFacts, error) {
	facts := rules.ShamirFacts{Recipients: map[parsec3.UserID]rules.User{}, Exists: t.organization.currentSetup(user) != nil}
	for _, id := range recipients {
		if recipient, found := t.organization.copyUser(id); found {
			facts.Recipients[id] = *recipient
		}
	}
	for _, setups := range t.organization.setups {
		for _, setup := range setups {
			facts.TokenTaken = facts.TokenTaken || setup.RevealToken == token
		}
	}
	return facts, nil
}

// ShamirSetup implements rules.ShamirTx.
func (t *tx) ShamirSetup(_ context.Context, user parsec3.UserID, createdOn parsec.DateTime) (*rules.ShamirSetup, bool, error) {
	setup, found := copySetup(t.organization.setup(user, createdOn))
	return setup, found, nil
}

// LastShamirSeen implements rules.ShamirTx.
func (t *tx) LastShamirSeen(_ context.Context, id parsec3.UserID) (parsec.DateTime, error) {
	if user, found := t.organization.users[id]; found {
		return user.lastShamir(), nil
	}
	return 0, nil
}

// see adds a certificate of the topic of Shamir recovery to what users see.
func (o *organization) see(certificate rules.Certificate, users ...parsec3.UserID) {
	for _, id := range users {
		o.users[id].shamir = append(o.users[id].shamir, certificate)
	}
}

// knows reports whether there are all those users.
func (o *organization) knows(users []parsec3.UserID) bool {
	for _, id := range users {
		if _, found := o.users[id]; !found {
			return false
		}
	}
	return true
}

// CreateShamirSetup implements rules.ShamirTx.
func (t *tx) CreateShamirSetup(setup rules.ShamirSetup, brief rules.Certificate, shares []rules.ShamirShare) {
	added, _ := copySetup(&setup)
	added.CipheredData = own(setup.CipheredData)
	brief = copyCertificate(brief)
	given := make([]rules.Certificate, len(shares))
	possible := setup.CreatedOn == brief.Timestamp && setup.DeletedOn == nil && len(shares) == len(setup.Shares) &&
		t.organization.knows(setup.Audience()) && t.organization.currentSetup(setup.User) == nil
	for i := range shares {
		_, named := setup.Shares[shares[i].Recipient]
		possible = possible && named
		given[i] = rules.Certificate{Timestamp: brief.Timestamp, Author: brief.Author, Bytes: bytes.Clone(shares[i].Certificate)}
	}
	t.queueShamir("CreateShamirSetup", possible, brief, func() {
		o := t.organization
		o.setups[added.User] = append(o.setups[added.User], added)
		o.see(brief, added.Audience()...)
		for i := range shares {
			o.see(given[i], shares[i].Recipient)
		}
	})
}

// DeleteShamirSetup implements rules.ShamirTx.
func (t *tx) DeleteShamirSetup(setup *rules.ShamirSetup, certificate rules.Certificate) {
	certificate = copyCertificate(certificate)
	stored := t.organization.setup(setup.User, setup.CreatedOn)
	possible := stored != nil && stored.DeletedOn == nil
	t.queueShamir("DeleteShamirSetup", possible, certificate, func() {
		stored.DeletedOn, stored.CipheredData = &certificate.Timestamp, nil
		t.organization.see(certificate, stored.Audience()...)
	})
}
