package rules

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/throttle"
)

const (
	// reveals is how often a wrong token may be given for an invitation at once, and
	// revealsRest how long it is until once more.
	reveals     = 10
	revealsRest = time.Hour / reveals
	// maxRevealKeys bounds the invitations that are told apart.
	maxRevealKeys = 1 << 14
)

// revealKey is an invitation.
type revealKey struct {
	organization parsec.OrganizationID
	token        parsec3.AccessToken
}

func newReveals(now func() parsec.DateTime) *throttle.Keyed[revealKey] {
	begin := now()
	return throttle.NewKeyed[revealKey](reveals, revealsRest, maxRevealKeys, func() time.Duration { return now().Sub(begin) })
}

// InviteShamirRecoveryReveal returns what the setup of the invitation keeps for whoever
// has its secret: enough recipients have given their shares
// (docs/protocol/v5/invite.md §3). After too many wrong tokens the right one is not
// looked at either.
func (r *Rules) InviteShamirRecoveryReveal(ctx context.Context, invited *Invited, request *protocol.InviteShamirRecoveryRevealRequest) (*protocol.InviteShamirRecoveryRevealReply, error) {
	standing, setup, err := r.store.RevealedSetup(ctx, invited.Organization, invited.Token)
	if err != nil {
		return nil, err
	}
	if err := standing.check(r.now()); err != nil {
		return nil, err
	}
	if setup == nil {
		return nil, protocol.Refuse(protocol.StatusBadInvitationType)
	}
	key := revealKey{invited.Organization, invited.Token}
	// It counts before it is looked at: those that are given at once are no more.
	if r.reveals.Take(key) > 0 || !setup.RevealToken.Equal(request.RevealToken) {
		return nil, protocol.Refuse(protocol.StatusBadRevealToken)
	}
	r.reveals.Return(key)
	return &protocol.InviteShamirRecoveryRevealReply{CipheredData: setup.CipheredData}, nil
}
