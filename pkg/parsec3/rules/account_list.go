package rules

import (
	"context"

	"parsec-server/pkg/parsec3/protocol"
)

// What clients 3.5 and 3.6 must be told of each organization: nothing is forbidden.
const (
	anyClientAgent = "NATIVE_OR_WEB"
	vaultAllowed   = "ALLOWED"
)

// OrganizationSelfList returns the users with the e-mail address of the account
// (docs/protocol/v5/account.md §5).
func (r *Rules) OrganizationSelfList(ctx context.Context, author *AccountAuthor, _ *protocol.OrganizationSelfListRequest) (*protocol.OrganizationSelfListReply, error) {
	now := r.now()
	standing, memberships, err := r.store.Memberships(ctx, author.Method)
	if err != nil {
		return nil, err
	}
	if err := standing.check(); err != nil {
		return nil, err
	}
	reply := &protocol.OrganizationSelfListReply{}
	for i := range memberships {
		o, user := &memberships[i].Organization, &memberships[i].User
		if user.RevokedOn != nil {
			reply.Revoked = append(reply.Revoked, protocol.RevokedSelf{
				OrganizationID: o.ID, UserID: user.ID, CreatedOn: user.CreatedOn, RevokedOn: *user.RevokedOn, CurrentProfile: user.Profile,
			})
			continue
		}
		reply.Active = append(reply.Active, protocol.ActiveSelf{
			OrganizationID: o.ID, UserID: user.ID, CreatedOn: user.CreatedOn, IsFrozen: user.Frozen, CurrentProfile: user.Profile,
			OrganizationConfig: protocol.SelfOrganizationConfig{
				IsExpired: o.Expired(now), UserProfileOutsiderAllowed: o.UserProfileOutsiderAllowed, ActiveUsersLimit: o.ActiveUsersLimit,
				AllowedClientAgent: anyClientAgent, AccountVaultStrategy: vaultAllowed,
			},
		})
	}
	return reply, nil
}

// InviteSelfList returns what the owner of the account may join, or add a device to
// (docs/protocol/v5/account.md §5).
func (r *Rules) InviteSelfList(ctx context.Context, author *AccountAuthor, _ *protocol.InviteSelfListRequest) (*protocol.InviteSelfListReply, error) {
	now := r.now()
	standing, invitations, err := r.store.OwnInvitations(ctx, author.Method)
	if err != nil {
		return nil, err
	}
	if err := standing.check(); err != nil {
		return nil, err
	}
	reply := &protocol.InviteSelfListReply{}
	for i := range invitations {
		o, invitation := &invitations[i].Organization, &invitations[i].Invitation
		if !o.Expired(now) && invitation.Status() == protocol.InvitationPending {
			reply.Invitations = append(reply.Invitations, protocol.SelfInvitation{
				OrganizationID: o.ID, Token: invitation.Token, Type: invitation.Claimer.Type,
			})
		}
	}
	return reply, nil
}
