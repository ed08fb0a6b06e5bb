package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// UserGet calls user_get.
func (c Commands) UserGet(ctx context.Context, request *protocol.UserGetRequest) (*protocol.UserGetReply, error) {
	return Call(ctx, c.transport, protocol.UserGet, request)
}

// UserCreate calls user_create.
func (c Commands) UserCreate(ctx context.Context, request *protocol.UserCreateRequest) (*protocol.UserCreateReply, error) {
	return Call(ctx, c.transport, protocol.UserCreate, request)
}

// UserCreateV1 calls user_create (the form of API 1).
func (c Commands) UserCreateV1(ctx context.Context, request *protocol.UserCreateV1Request) (*protocol.UserCreateReply, error) {
	return Call(ctx, c.transport, protocol.UserCreateV1, request)
}

// UserRevoke calls user_revoke.
func (c Commands) UserRevoke(ctx context.Context, request *protocol.UserRevokeRequest) (*protocol.UserRevokeReply, error) {
	return Call(ctx, c.transport, protocol.UserRevoke, request)
}

// UserFind calls user_find.
func (c Commands) UserFind(ctx context.Context, request *protocol.UserFindRequest) (*protocol.UserFindReply, error) {
	return Call(ctx, c.transport, protocol.UserFind, request)
}

// HumanFind calls human_find.
func (c Commands) HumanFind(ctx context.Context, request *protocol.HumanFindRequest) (*protocol.HumanFindReply, error) {
	return Call(ctx, c.transport, protocol.HumanFind, request)
}

// DeviceCreate calls device_create.
func (c Commands) DeviceCreate(ctx context.Context, request *protocol.DeviceCreateRequest) (*protocol.DeviceCreateReply, error) {
	return Call(ctx, c.transport, protocol.DeviceCreate, request)
}

// DeviceCreateV1 calls device_create (the form of API 1).
func (c Commands) DeviceCreateV1(ctx context.Context, request *protocol.DeviceCreateV1Request) (*protocol.DeviceCreateReply, error) {
	return Call(ctx, c.transport, protocol.DeviceCreateV1, request)
}

// MessageGet calls message_get.
func (c Commands) MessageGet(ctx context.Context, request *protocol.MessageGetRequest) (*protocol.MessageGetReply, error) {
	return Call(ctx, c.transport, protocol.MessageGet, request)
}
