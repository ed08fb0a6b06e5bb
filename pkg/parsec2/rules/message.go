package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec2/protocol"
)

// maxMessagesBytes bounds the messages of one reply: some of these are made at
// a time.
const maxMessagesBytes = 4 << 20

// MessageGet lists the messages of the author's user, and has the client ask
// again when a reply does not hold all (docs/protocol/commands.md §3). Its event
// is for all connections of the user: those that listen are often not the one
// that asks, nor on the same server.
func (r *Rules) MessageGet(ctx context.Context, author *Author, request *protocol.MessageGetRequest) (*protocol.MessageGetReply, error) {
	messages, left, err := r.store.Messages(ctx, author.Organization, author.User(), request.Offset, maxMessagesBytes)
	if err != nil {
		return nil, err
	}
	reply := &protocol.MessageGetReply{Messages: make([]protocol.Message, 0, len(messages))}
	for _, message := range messages {
		reply.Messages = append(reply.Messages, protocol.Message{
			Count:     message.Index,
			Sender:    message.Sender,
			Timestamp: message.Timestamp,
			Body:      message.Body,
		})
	}
	if left {
		next := messages[len(messages)-1].Index + 1
		err = r.store.Publish(ctx, event.Event{Organization: author.Organization, Author: author.Device, Body: event.MessageReceived{
			Recipient: author.User(), Index: next,
		}})
	}
	if err != nil {
		return nil, err
	}
	return reply, nil
}
