package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// Commands has one method for each form of each command, named as in the table
// of package protocol: what may be called depends on the connection. Errors
// are those of Call.
type Commands struct{ transport Transport }

// Ping calls ping.
func (c Commands) Ping(ctx context.Context, request *protocol.PingRequest) (*protocol.PingReply, error) {
	return Call(ctx, c.transport, protocol.Ping, request)
}

// EventsSubscribe calls events_subscribe.
func (c Commands) EventsSubscribe(ctx context.Context, request *protocol.EventsSubscribeRequest) (*protocol.EventsSubscribeReply, error) {
	return Call(ctx, c.transport, protocol.EventsSubscribe, request)
}

// EventsListen calls events_listen. Without wait, a refusal with status
// no_events tells that there is none.
func (c Commands) EventsListen(ctx context.Context, request *protocol.EventsListenRequest) (protocol.Event, error) {
	reply, err := roundTrip(ctx, c.transport, protocol.EventsListen.Name, request)
	if err != nil {
		return nil, err
	}
	return decodeEvent(reply)
}
