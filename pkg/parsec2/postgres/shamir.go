package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	selectShamirSetup = `
SELECT s.reveal_token, s.ciphered_data, s.brief_certificate, s.threshold, s.created_on
FROM organization o
JOIN user_ u ON u.organization = o.id
JOIN shamir_recovery s ON s.owner = u.id AND s.current
WHERE o.organization_id = $1 AND u.user_id = $2`

	selectShamirShares = `
SELECT r.user_id, h.shares, h.certificate
FROM organization o
JOIN user_ u ON u.organization = o.id
JOIN shamir_recovery s ON s.owner = u.id AND s.current
JOIN shamir_recovery_share h ON h.setup = s.id
JOIN user_ r ON r.id = h.recipient
WHERE o.organization_id = $1 AND u.user_id = $2
ORDER BY r.user_id`

	selectShamirHeld = `
SELECT s.brief_certificate, h.certificate
FROM organization o
JOIN user_ u ON u.organization = o.id
JOIN shamir_recovery_share h ON h.recipient = u.id
JOIN shamir_recovery s ON s.id = h.setup AND s.current
WHERE o.organization_id = $1 AND u.user_id = $2
ORDER BY s.id`
)

// ShamirSetup implements rules.ShamirReader.
func (s *Store) ShamirSetup(ctx context.Context, organization parsec.OrganizationID, owner parsec.UserID) (*rules.ShamirSetup, bool, error) {
	var found bool
	setup := rules.ShamirSetup{Owner: owner}
	if err := s.Snapshot(ctx, readShamirSetup(&found, &setup, organization)...); err != nil || !found {
		return nil, false, err
	}
	return &setup, true, nil
}

// readShamirSetup reads the current setup of setup.Owner.
func readShamirSetup(found *bool, setup *rules.ShamirSetup, organization parsec.OrganizationID) []database.Statement {
	args := []any{organization.String(), setup.Owner.String()}
	return []database.Statement{
		database.Row(found, selectShamirSetup, args, (*database.UUID)(&setup.RevealToken), &setup.CipheredData, &setup.BriefCertificate,
			(*database.Unsigned)(&setup.Threshold), (*database.Integer)(&setup.CreatedOn)),
		database.List(&setup.Shares, selectShamirShares, args, func(share *rules.ShamirShare) []any {
			return []any{database.Parsed(&share.Recipient), (*database.Unsigned)(&share.Shares), &share.Certificate}
		}),
	}
}

// ShamirSetupsHeld implements rules.ShamirReader.
func (s *Store) ShamirSetupsHeld(ctx context.Context, organization parsec.OrganizationID, recipient parsec.UserID) ([]rules.ShamirHeld, error) {
	var held []rules.ShamirHeld
	err := s.One(ctx, database.List(&held, selectShamirHeld, []any{organization.String(), recipient.String()},
		func(held *rules.ShamirHeld) []any { return []any{&held.BriefCertificate, &held.ShareCertificate} }))
	return held, err
}

// ActiveAmong implements rules.ShamirTx.
func (t *tx) ActiveAmong(_ context.Context, users []parsec.UserID) (int, error) {
	ids := make([]string, len(users))
	for i, user := range users {
		ids[i] = user.String()
	}
	var active uint64
	err := t.Ask(database.Only(`
SELECT count(*) FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.user_id = ANY ($2::text[]) AND u.revoked_on IS NULL`,
		[]any{t.organizationName(), ids}, (*database.Unsigned)(&active)))
	return int(active), err
}

// ShamirRevealTokenUsed implements rules.ShamirTx.
func (t *tx) ShamirRevealTokenUsed(_ context.Context, token parsec.UUID) (bool, error) {
	var used bool
	err := t.Ask(database.Row(&used, `
SELECT 1 FROM organization o JOIN shamir_recovery s ON s.organization = o.id
WHERE o.organization_id = $1 AND s.reveal_token = $2`,
		[]any{t.organizationName(), database.Key(token)}, new(database.Integer)))
	return used, err
}

// EndShamirSetup implements rules.ShamirTx.
func (t *tx) EndShamirSetup(owner parsec.UserID) {
	t.Queue(`
UPDATE shamir_recovery SET current = false
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.user_id = $2 AND owner = u.id AND current`,
		t.organizationName(), owner.String())
}

// CreateShamirSetup implements rules.ShamirTx.
func (t *tx) CreateShamirSetup(setup rules.ShamirSetup) {
	t.QueueOne(`
INSERT INTO shamir_recovery (organization, owner, current, reveal_token, ciphered_data, brief_certificate, threshold, created_on)
SELECT o.id, u.id, true, $3, $4, $5, $6, $7
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.user_id = $2`,
		t.organizationName(), setup.Owner.String(), database.Key(setup.RevealToken), database.NotNull(setup.CipheredData),
		database.NotNull(setup.BriefCertificate), database.Bounded(setup.Threshold), int64(setup.CreatedOn))
	for _, share := range setup.Shares {
		t.QueueOne(`
INSERT INTO shamir_recovery_share (setup, recipient, shares, certificate)
SELECT s.id, u.id, $4, $5
FROM organization o
JOIN shamir_recovery s ON s.organization = o.id AND s.reveal_token = $2
JOIN user_ u ON u.organization = o.id AND u.user_id = $3
WHERE o.organization_id = $1`,
			t.organizationName(), database.Key(setup.RevealToken), share.Recipient.String(), database.Bounded(share.Shares), database.NotNull(share.Certificate))
	}
}

const (
	// selectRecipients are of the recovery of an invitation's claimer.
	selectRecipients = `
SELECT r.user_id, r.human_email, r.human_label, h.shares, r.revoked_on IS NOT NULL
FROM organization o
JOIN invitation i ON i.organization = o.id
JOIN shamir_recovery s ON s.owner = i.claimer AND s.current
JOIN shamir_recovery_share h ON h.setup = s.id
JOIN user_ r ON r.id = h.recipient
WHERE o.organization_id = $1 AND i.token = $2
ORDER BY r.user_id`

	selectRecoveryInvitation = "SELECT " + invitationColumns + `
FROM organization o
JOIN user_ c ON c.organization = o.id
JOIN invitation i ON i.claimer = c.id AND i.deleted_on IS NULL
JOIN user_ u ON u.id = i.greeter
WHERE o.organization_id = $1 AND c.user_id = $2`
)

func recipientTargets(r *rules.RecoveryRecipient) []any {
	h := &handle{into: &r.HumanHandle}
	return []any{database.Parsed(&r.User), (*database.Text)(&h.email), h, (*database.Unsigned)(&r.Shares), &r.Revoked}
}

// Recovery implements rules.ShamirTx.
func (t *tx) Recovery(_ context.Context, claimer parsec.UserID) (rules.RecoveryFacts, error) {
	var claimerFound, setupFound, invitationFound bool
	var user rules.User
	var invitation invitationRow
	setup := rules.ShamirSetup{Owner: claimer}
	args := []any{t.organizationName(), claimer.String()}
	err := t.Ask(append(readShamirSetup(&setupFound, &setup, t.scope.Organization),
		database.Row(&claimerFound, selectUser, args, userTargets(&user)...),
		database.Row(&invitationFound, selectRecoveryInvitation, args, invitation.targets()...))...)
	if err != nil || !claimerFound {
		return rules.RecoveryFacts{}, err
	}
	facts := rules.RecoveryFacts{Claimer: &user}
	if setupFound {
		facts.Setup = &setup
	}
	if invitationFound {
		facts.Invitation = invitation.facts()
	}
	return facts, nil
}
