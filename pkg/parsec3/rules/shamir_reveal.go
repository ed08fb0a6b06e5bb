package rules

import (
	"context"
	"slices"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// maxWrongReveals is how many wrong tokens may be given for an invitation in
	// wrongRevealsPeriod, over all servers.
	maxWrongReveals    = 10
	wrongRevealsPeriod = time.Hour
)

// InviteShamirRecoveryReveal returns what the setup of the invitation keeps for whoever
// has its secret: enough recipients have given their shares
// (docs/protocol/v5/invite.md §3). After too many wrong tokens the right one is not
// looked at either. They count while the invitation is locked: those that are given at
// once are no more, and nobody's count but the invitation's own.
func (r *Rules) InviteShamirRecoveryReveal(ctx context.Context, invited *Invited, request *protocol.InviteShamirRecoveryRevealRequest) (*protocol.InviteShamirRecoveryRevealReply, error) {
	now := r.now()
	var reply *protocol.InviteShamirRecoveryRevealReply
	err := r.updateInvited(ctx, invited, now, Scope{}, func(tx Tx) error {
		reply = nil
		greeting := tx.Greeting()
		if err := greeting.check(now); err != nil {
			return err
		}
		setup, wrong, err := tx.RevealedSetup(ctx)
		switch {
		case err != nil:
			return err
		case setup == nil:
			return protocol.Refuse(protocol.StatusBadInvitationType)
		case setup.DeletedOn != nil: // a moment ago
			return InvitationOver
		}
		wrong = slices.DeleteFunc(wrong, func(on parsec.DateTime) bool { return on <= now.Add(-wrongRevealsPeriod) })
		switch {
		case len(wrong) >= maxWrongReveals:
		case setup.RevealToken.Equal(request.RevealToken):
			reply = &protocol.InviteShamirRecoveryRevealReply{CipheredData: setup.CipheredData}
		default:
			tx.PutWrongReveals(invited.Token, append(wrong, now))
		}
		return nil
	})
	if err == nil && reply == nil {
		err = protocol.Refuse(protocol.StatusBadRevealToken)
	}
	return reply, err
}
