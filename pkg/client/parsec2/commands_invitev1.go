package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// UserInvite calls user_invite.
func (c Commands) UserInvite(ctx context.Context, request *protocol.UserInviteRequest) (*protocol.UserInviteReply, error) {
	return Call(ctx, c.transport, protocol.UserInvite, request)
}

// UserCancelInvitation calls user_cancel_invitation.
func (c Commands) UserCancelInvitation(ctx context.Context, request *protocol.UserCancelInvitationRequest) (*protocol.UserCancelInvitationReply, error) {
	return Call(ctx, c.transport, protocol.UserCancelInvitation, request)
}

// UserGetInvitationCreator calls user_get_invitation_creator.
func (c Commands) UserGetInvitationCreator(ctx context.Context, request *protocol.UserGetInvitationCreatorRequest) (*protocol.InvitationCreatorReply, error) {
	return Call(ctx, c.transport, protocol.UserGetInvitationCreator, request)
}

// UserClaim calls user_claim.
func (c Commands) UserClaim(ctx context.Context, request *protocol.UserClaimRequest) (*protocol.UserClaimReply, error) {
	return Call(ctx, c.transport, protocol.UserClaim, request)
}

// DeviceInvite calls device_invite.
func (c Commands) DeviceInvite(ctx context.Context, request *protocol.DeviceInviteRequest) (*protocol.DeviceInviteReply, error) {
	return Call(ctx, c.transport, protocol.DeviceInvite, request)
}

// DeviceCancelInvitation calls device_cancel_invitation.
func (c Commands) DeviceCancelInvitation(ctx context.Context, request *protocol.DeviceCancelInvitationRequest) (*protocol.DeviceCancelInvitationReply, error) {
	return Call(ctx, c.transport, protocol.DeviceCancelInvitation, request)
}

// DeviceGetInvitationCreator calls device_get_invitation_creator.
func (c Commands) DeviceGetInvitationCreator(ctx context.Context, request *protocol.DeviceGetInvitationCreatorRequest) (*protocol.InvitationCreatorReply, error) {
	return Call(ctx, c.transport, protocol.DeviceGetInvitationCreator, request)
}

// DeviceClaim calls device_claim.
func (c Commands) DeviceClaim(ctx context.Context, request *protocol.DeviceClaimRequest) (*protocol.DeviceClaimReply, error) {
	return Call(ctx, c.transport, protocol.DeviceClaim, request)
}
