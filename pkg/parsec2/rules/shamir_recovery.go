package rules

import (
	"context"
	"crypto/subtle"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// Recovery is a Shamir recovery as its owner sees it in an invitation.
type Recovery struct {
	Threshold uint64
	// Recipients are in order of their ids.
	Recipients []RecoveryRecipient
}

// RecoveryRecipient is a user who has shares of a recovery.
type RecoveryRecipient struct {
	User        parsec.UserID
	HumanHandle parsec.HumanHandle
	Shares      uint64
	Revoked     bool
}

// RecoveryFacts are nil for what does not exist.
type RecoveryFacts struct {
	Claimer *User
	// Setup is the current one.
	Setup *ShamirSetup
	// Invitation is that which is not deleted; its claimer has at most one.
	Invitation *Invitation
}

// findRecoveryInvitation makes the checks of invite_new for SHAMIR_RECOVERY.
// The invitation is the same whichever recipient asks for it.
func findRecoveryInvitation(ctx context.Context, tx Tx, fresh *Invitation, claimer parsec.UserID) (invitation *Invitation, to string, err error) {
	facts, err := tx.Recovery(ctx, claimer)
	if err != nil {
		return nil, "", err
	}
	if facts.Setup == nil || facts.Claimer.Revocation != nil {
		return nil, "", protocol.Refuse(protocol.StatusShamirNotSetup, "The claimer has no Shamir recovery.")
	}
	author := fresh.Greeter
	fresh.Claimer, fresh.Greeters = claimer, make([]InvitationGreeter, 0, len(facts.Setup.Shares))
	for _, share := range facts.Setup.Shares {
		fresh.Greeters = append(fresh.Greeters, InvitationGreeter{User: share.Recipient})
	}
	if fresh.greeter(author) == nil {
		return nil, "", protocol.Refuse(protocol.StatusNotAllowed, "The author has no share of the recovery.")
	}
	to = facts.Claimer.HumanHandle.Email()
	if facts.Invitation != nil {
		return facts.Invitation, to, nil
	}
	return fresh, to, nil
}

// recoveryInfo returns what the claimer must know of its recovery. Recipients
// that are revoked cannot help any more.
func recoveryInfo(recovery *Recovery) *protocol.InviteInfoReply {
	reply := &protocol.InviteInfoReply{
		Type: parsec.InvitationShamirRecovery, Threshold: &recovery.Threshold, Recipients: []protocol.RecoveryRecipient{},
	}
	for _, recipient := range recovery.Recipients {
		if !recipient.Revoked {
			reply.Recipients = append(reply.Recipients, protocol.RecoveryRecipient{
				UserID: recipient.User, HumanHandle: recipient.HumanHandle, Shares: recipient.Shares,
			})
		}
	}
	return reply
}

// InviteShamirRecoveryReveal returns to the claimer what it shared between its
// recipients, once it has rebuilt the token (docs/protocol/invite.md §8).
func (r *Rules) InviteShamirRecoveryReveal(ctx context.Context, invitee *Invitee, request *protocol.InviteShamirRecoveryRevealRequest) (*protocol.InviteShamirRecoveryRevealReply, error) {
	if invitee.Type != parsec.InvitationShamirRecovery {
		return nil, errNotRevealed
	}
	inTime, err := r.reveals.Wait(ctx, revealKey{invitee.Organization, invitee.Token}, revealLimit)
	if err != nil {
		return nil, err
	}
	if !inTime {
		return nil, errNotRevealed
	}
	facts, err := r.Invitation(ctx, invitee.Organization, invitee.Token)
	if err != nil {
		return nil, err
	}
	if facts.Invitation.over() {
		return nil, DeletedInvitation
	}
	// A setup that comes only now has another token.
	setup, found, err := r.store.ShamirSetup(ctx, invitee.Organization, invitee.Claimer)
	if err != nil {
		return nil, err
	}
	if !found || subtle.ConstantTimeCompare(setup.RevealToken[:], request.RevealToken[:]) == 0 {
		return nil, errNotRevealed
	}
	return &protocol.InviteShamirRecoveryRevealReply{CipheredData: setup.CipheredData}, nil
}

var errNotRevealed = protocol.Refuse(protocol.StatusNotFound, "No such recovery.")

const (
	// freeReveals may come at once for an invitation, and one more after each
	// revealPause.
	freeReveals = 5
	revealPause = 10 * time.Second
	// revealLimit bounds how long one waits: those beyond are not looked at.
	revealLimit = time.Minute
	// maxReveals bounds the invitations that are told apart.
	maxReveals = 10_000
)

// revealKey is an invitation whose claimer tries tokens.
type revealKey struct {
	organization parsec.OrganizationID
	token        parsec.InvitationToken
}
