package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// ShamirRecoverySetup calls shamir_recovery_setup.
func (c Commands) ShamirRecoverySetup(ctx context.Context, request *protocol.ShamirRecoverySetupRequest) (*protocol.ShamirRecoverySetupReply, error) {
	return Call(ctx, c.transport, protocol.ShamirRecoverySetup, request)
}

// ShamirRecoverySelfInfo calls shamir_recovery_self_info.
func (c Commands) ShamirRecoverySelfInfo(ctx context.Context, request *protocol.ShamirRecoverySelfInfoRequest) (*protocol.ShamirRecoverySelfInfoReply, error) {
	return Call(ctx, c.transport, protocol.ShamirRecoverySelfInfo, request)
}

// ShamirRecoveryOthersList calls shamir_recovery_others_list.
func (c Commands) ShamirRecoveryOthersList(ctx context.Context, request *protocol.ShamirRecoveryOthersListRequest) (*protocol.ShamirRecoveryOthersListReply, error) {
	return Call(ctx, c.transport, protocol.ShamirRecoveryOthersList, request)
}

// InviteShamirRecoveryReveal calls invite_shamir_recovery_reveal.
func (c Commands) InviteShamirRecoveryReveal(ctx context.Context, request *protocol.InviteShamirRecoveryRevealRequest) (*protocol.InviteShamirRecoveryRevealReply, error) {
	return Call(ctx, c.transport, protocol.InviteShamirRecoveryReveal, request)
}
