package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

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

func scanRecipient(row pgx.CollectableRow) (recipient rules.RecoveryRecipient, err error) {
	var email string
	var label []byte
	err = row.Scan(parsed{&recipient.User}, (*text)(&email), &label, (*unsigned)(&recipient.Shares), &recipient.Revoked)
	if err == nil && email != "" {
		recipient.HumanHandle, err = parsec.ParseHumanHandle(email, string(label))
	}
	return recipient, err
}

// Recovery implements rules.InviteTx.
func (t *tx) Recovery(_ context.Context, claimer parsec.UserID) (rules.RecoveryFacts, error) {
	var claimerFound, setupFound, invitationFound bool
	var user userRow
	var invitation invitationRow
	setup := rules.ShamirSetup{Owner: claimer}
	args := []any{t.organizationName(), claimer.String()}
	err := send(t.ctx, t.connection, append(readShamirSetup(&setupFound, &setup, t.scope.Organization),
		row(&claimerFound, selectUser, args, user.targets()...),
		row(&invitationFound, selectRecoveryInvitation, args, invitation.targets()...))...)
	if err != nil || !claimerFound {
		return rules.RecoveryFacts{}, err
	}
	var facts rules.RecoveryFacts
	if setupFound {
		facts.Setup = &setup
	}
	if invitationFound {
		facts.Invitation = invitation.facts()
	}
	facts.Claimer, err = user.facts()
	return facts, err
}
