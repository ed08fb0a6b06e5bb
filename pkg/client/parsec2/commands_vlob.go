package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// VlobCreate calls vlob_create.
func (c Commands) VlobCreate(ctx context.Context, request *protocol.VlobCreateRequest) (*protocol.VlobCreateReply, error) {
	return Call(ctx, c.transport, protocol.VlobCreate, request)
}

// VlobUpdate calls vlob_update.
func (c Commands) VlobUpdate(ctx context.Context, request *protocol.VlobUpdateRequest) (*protocol.VlobUpdateReply, error) {
	return Call(ctx, c.transport, protocol.VlobUpdate, request)
}

// VlobRead calls vlob_read.
func (c Commands) VlobRead(ctx context.Context, request *protocol.VlobReadRequest) (*protocol.VlobReadReply, error) {
	return Call(ctx, c.transport, protocol.VlobRead, request)
}

// VlobListVersions calls vlob_list_versions.
func (c Commands) VlobListVersions(ctx context.Context, request *protocol.VlobListVersionsRequest) (*protocol.VlobListVersionsReply, error) {
	return Call(ctx, c.transport, protocol.VlobListVersions, request)
}

// VlobPollChanges calls vlob_poll_changes.
func (c Commands) VlobPollChanges(ctx context.Context, request *protocol.VlobPollChangesRequest) (*protocol.VlobPollChangesReply, error) {
	return Call(ctx, c.transport, protocol.VlobPollChanges, request)
}

// BlockCreate calls block_create.
func (c Commands) BlockCreate(ctx context.Context, request *protocol.BlockCreateRequest) (*protocol.BlockCreateReply, error) {
	return Call(ctx, c.transport, protocol.BlockCreate, request)
}

// BlockRead calls block_read.
func (c Commands) BlockRead(ctx context.Context, request *protocol.BlockReadRequest) (*protocol.BlockReadReply, error) {
	return Call(ctx, c.transport, protocol.BlockRead, request)
}
