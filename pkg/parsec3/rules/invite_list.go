package rules

import (
	"cmp"
	"context"
	"slices"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// endedInvitations is how long an invitation that has ended is listed.
const endedInvitations = 90 * 24 * time.Hour

// InviteList lists the invitations whose claimers the author may greet, those that
// have ended lately too (docs/protocol/v5/invite.md §2).
func (r *Rules) InviteList(ctx context.Context, author *Author, _ *protocol.InviteListRequest) (*protocol.InviteListReply, error) {
	now := r.now()
	standing, invitations, err := r.store.Invitations(ctx, author.Organization, author.Device, now.Add(-endedInvitations))
	if err != nil {
		return nil, err
	}
	if err := standing.check(now); err != nil {
		return nil, err
	}
	reply := &protocol.InviteListReply{}
	for i := range invitations {
		if invitations[i].greets(standing.User) {
			reply.Invitations = append(reply.Invitations, listed(&invitations[i]))
		}
	}
	return reply, nil
}

// listed returns an invitation as greeters see it.
func listed(invitation *Invitation) protocol.InviteListItem {
	item := protocol.InviteListItem{
		Type: invitation.Claimer.Type, Token: invitation.Token, CreatedOn: invitation.CreatedOn,
		CreatedBy: protocol.InvitationOfUser(invitation.CreatedBy.User, invitation.CreatedBy.HumanHandle),
		Status:    invitation.Status(),
	}
	switch item.Type {
	case parsec.InvitationUser:
		item.ClaimerEmail = &invitation.Claimer.Email
	case parsec.InvitationShamirRecovery:
		item.ClaimerUserID, item.ShamirRecoveryCreatedOn = &invitation.Claimer.User, &invitation.Claimer.Setup
	}
	return item
}

// InviteInfo tells a claimer who may greet it (docs/protocol/v5/invite.md §3).
func (r *Rules) InviteInfo(ctx context.Context, invited *Invited, _ *protocol.InviteInfoRequest) (*protocol.InviteInfoReply, error) {
	standing, greeters, err := r.store.InvitationGreeters(ctx, invited.Organization, invited.Token)
	if err != nil {
		return nil, err
	}
	if err := standing.check(r.now()); err != nil {
		return nil, err
	}
	invitation := standing.Invitation
	reply := &protocol.InviteInfoReply{
		Type:      invitation.Claimer.Type,
		CreatedBy: protocol.InvitationOfUser(invitation.CreatedBy.User, invitation.CreatedBy.HumanHandle),
	}
	if reply.Type == parsec.InvitationUser {
		reply.ClaimerEmail, reply.Administrators = &invitation.Claimer.Email, r.administrators(greeters)
		return reply, nil
	}
	reply.ClaimerUserID, reply.ClaimerHumanHandle = &invitation.ClaimerUser.ID, &invitation.ClaimerUser.HumanHandle
	if setup := invitation.Setup; setup != nil {
		reply.ShamirRecoveryCreatedOn, reply.Threshold, reply.Recipients = &setup.CreatedOn, &setup.Threshold, r.recipients(setup, greeters)
	}
	return reply, nil
}

// recipients are sorted by name, and all there: the claimer counts their shares. Who is
// frozen cannot greet.
func (r *Rules) recipients(setup *ShamirSetup, greeters []InvitationGreeter) []protocol.InviteRecipient {
	list := []protocol.InviteRecipient{}
	for i := range greeters {
		recipient := protocol.InviteRecipient{
			UserID: greeters[i].ID, HumanHandle: greeters[i].HumanHandle, Shares: setup.Shares[greeters[i].ID],
			RevokedOn: greeters[i].RevokedOn, OnlineStatus: r.onlineStatus(&greeters[i]),
		}
		list = append(list, recipient)
	}
	slices.SortFunc(list, func(a, b protocol.InviteRecipient) int {
		return cmp.Or(cmp.Compare(a.HumanHandle.Label(), b.HumanHandle.Label()), compareUsers(a.UserID, b.UserID))
	})
	return list
}

// administrators are sorted by name. Who is frozen cannot greet.
func (r *Rules) administrators(greeters []InvitationGreeter) []protocol.InviteAdministrator {
	list := []protocol.InviteAdministrator{}
	for i := range greeters {
		if greeters[i].Frozen {
			continue
		}
		list = append(list, protocol.InviteAdministrator{
			UserID: greeters[i].ID, HumanHandle: greeters[i].HumanHandle, OnlineStatus: r.onlineStatus(&greeters[i]),
			LastGreetingAttemptJoinedOn: greeters[i].LastJoined,
		})
	}
	slices.SortFunc(list, func(a, b protocol.InviteAdministrator) int {
		return cmp.Or(cmp.Compare(a.HumanHandle.Label(), b.HumanHandle.Label()), compareUsers(a.UserID, b.UserID))
	})
	return list
}

// onlineStatus returns whether a greeter may be met, as far as this is told to whoever
// holds the link. Who is frozen may not, even with a stream that is about to end.
func (r *Rules) onlineStatus(greeter *InvitationGreeter) protocol.OnlineStatus {
	switch {
	case greeter.Frozen:
		return protocol.Offline
	case !r.options.OnlineStatus:
		return protocol.OnlineUnknown
	default:
		return greeter.Online
	}
}

func compareUsers(a, b parsec3.UserID) int { return slices.Compare(a[:], b[:]) }
