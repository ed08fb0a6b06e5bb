package memory

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

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

// Recovery implements rules.InviteTx.
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
