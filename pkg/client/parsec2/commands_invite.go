package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// InviteNew calls invite_new.
func (c Commands) InviteNew(ctx context.Context, request *protocol.InviteNewRequest) (*protocol.InviteNewReply, error) {
	return Call(ctx, c.transport, protocol.InviteNew, request)
}

// InviteDelete calls invite_delete.
func (c Commands) InviteDelete(ctx context.Context, request *protocol.InviteDeleteRequest) (*protocol.InviteDeleteReply, error) {
	return Call(ctx, c.transport, protocol.InviteDelete, request)
}

// InviteList calls invite_list.
func (c Commands) InviteList(ctx context.Context, request *protocol.InviteListRequest) (*protocol.InviteListReply, error) {
	return Call(ctx, c.transport, protocol.InviteList, request)
}

// InviteInfo calls invite_info.
func (c Commands) InviteInfo(ctx context.Context, request *protocol.InviteInfoRequest) (*protocol.InviteInfoReply, error) {
	return Call(ctx, c.transport, protocol.InviteInfo, request)
}

// Invite1GreeterWaitPeer calls invite_1_greeter_wait_peer.
func (c Commands) Invite1GreeterWaitPeer(ctx context.Context, request *protocol.Invite1GreeterWaitPeerRequest) (*protocol.Invite1GreeterWaitPeerReply, error) {
	return Call(ctx, c.transport, protocol.Invite1GreeterWaitPeer, request)
}

// Invite2aGreeterGetHashedNonce calls invite_2a_greeter_get_hashed_nonce.
func (c Commands) Invite2aGreeterGetHashedNonce(ctx context.Context, request *protocol.Invite2aGreeterGetHashedNonceRequest) (*protocol.Invite2aGreeterGetHashedNonceReply, error) {
	return Call(ctx, c.transport, protocol.Invite2aGreeterGetHashedNonce, request)
}

// Invite2bGreeterSendNonce calls invite_2b_greeter_send_nonce.
func (c Commands) Invite2bGreeterSendNonce(ctx context.Context, request *protocol.Invite2bGreeterSendNonceRequest) (*protocol.Invite2bGreeterSendNonceReply, error) {
	return Call(ctx, c.transport, protocol.Invite2bGreeterSendNonce, request)
}

// Invite3aGreeterWaitPeerTrust calls invite_3a_greeter_wait_peer_trust.
func (c Commands) Invite3aGreeterWaitPeerTrust(ctx context.Context, request *protocol.Invite3aGreeterWaitPeerTrustRequest) (*protocol.InviteTrustReply, error) {
	return Call(ctx, c.transport, protocol.Invite3aGreeterWaitPeerTrust, request)
}

// Invite3bGreeterSignifyTrust calls invite_3b_greeter_signify_trust.
func (c Commands) Invite3bGreeterSignifyTrust(ctx context.Context, request *protocol.Invite3bGreeterSignifyTrustRequest) (*protocol.InviteTrustReply, error) {
	return Call(ctx, c.transport, protocol.Invite3bGreeterSignifyTrust, request)
}

// Invite4GreeterCommunicate calls invite_4_greeter_communicate.
func (c Commands) Invite4GreeterCommunicate(ctx context.Context, request *protocol.Invite4GreeterCommunicateRequest) (*protocol.InviteCommunicateReply, error) {
	return Call(ctx, c.transport, protocol.Invite4GreeterCommunicate, request)
}

// Invite1ClaimerWaitPeer calls invite_1_claimer_wait_peer.
func (c Commands) Invite1ClaimerWaitPeer(ctx context.Context, request *protocol.Invite1ClaimerWaitPeerRequest) (*protocol.Invite1ClaimerWaitPeerReply, error) {
	return Call(ctx, c.transport, protocol.Invite1ClaimerWaitPeer, request)
}

// Invite2aClaimerSendHashedNonce calls invite_2a_claimer_send_hashed_nonce.
func (c Commands) Invite2aClaimerSendHashedNonce(ctx context.Context, request *protocol.Invite2aClaimerSendHashedNonceRequest) (*protocol.Invite2aClaimerSendHashedNonceReply, error) {
	return Call(ctx, c.transport, protocol.Invite2aClaimerSendHashedNonce, request)
}

// Invite2bClaimerSendNonce calls invite_2b_claimer_send_nonce.
func (c Commands) Invite2bClaimerSendNonce(ctx context.Context, request *protocol.Invite2bClaimerSendNonceRequest) (*protocol.InviteTrustReply, error) {
	return Call(ctx, c.transport, protocol.Invite2bClaimerSendNonce, request)
}

// Invite3aClaimerSignifyTrust calls invite_3a_claimer_signify_trust.
func (c Commands) Invite3aClaimerSignifyTrust(ctx context.Context, request *protocol.Invite3aClaimerSignifyTrustRequest) (*protocol.InviteTrustReply, error) {
	return Call(ctx, c.transport, protocol.Invite3aClaimerSignifyTrust, request)
}

// Invite3bClaimerWaitPeerTrust calls invite_3b_claimer_wait_peer_trust.
func (c Commands) Invite3bClaimerWaitPeerTrust(ctx context.Context, request *protocol.Invite3bClaimerWaitPeerTrustRequest) (*protocol.InviteTrustReply, error) {
	return Call(ctx, c.transport, protocol.Invite3bClaimerWaitPeerTrust, request)
}

// Invite4ClaimerCommunicate calls invite_4_claimer_communicate.
func (c Commands) Invite4ClaimerCommunicate(ctx context.Context, request *protocol.Invite4ClaimerCommunicateRequest) (*protocol.InviteCommunicateReply, error) {
	return Call(ctx, c.transport, protocol.Invite4ClaimerCommunicate, request)
}
