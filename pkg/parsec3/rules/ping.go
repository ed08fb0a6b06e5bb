package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// Ping answers with the text of the request, and tells the organization if the
// settings say so (docs/protocol/v5/commands.md §8.8).
func (r *Rules) Ping(ctx context.Context, author *Author, request *protocol.PingRequest) (*protocol.PingReply, error) {
	reply := &protocol.PingReply{Pong: request.Ping}
	if !r.options.Debug {
		return reply, nil
	}
	return reply, r.store.Publish(ctx, event.Event{
		Organization: author.Organization, Body: notice.Pinged{ID: notice.NewID(), Ping: request.Ping},
	})
}

// PingAnonymous answers with the text of the request. An organization does not
// begin by it.
func (r *Rules) PingAnonymous(ctx context.Context, anonymous *Anonymous, request *protocol.PingRequest) (*protocol.PingReply, error) {
	_, found, err := r.store.Organization(ctx, anonymous.Organization)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, OrganizationNotFound
	}
	return &protocol.PingReply{Pong: request.Ping}, nil
}
