package backend

import (
	"context"

	"parsec-server/pkg/protocol"
)

// MessageGet lists the messages of the author's user
// (docs/protocol/commands.md §3).
func (b *Backend) MessageGet(ctx context.Context, author *Author, request *protocol.MessageGetRequest) (*protocol.MessageGetReply, error) {
	messages, err := b.store.Messages(ctx, author.Organization, author.User(), request.Offset)
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
	return reply, nil
}
