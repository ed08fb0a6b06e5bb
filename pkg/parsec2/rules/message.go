package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Message is one message for a user.
type Message struct {
	Recipient parsec.UserID
	// Index is its position from 1 in the recipient's list.
	Index     uint64
	Sender    parsec.DeviceID
	Timestamp parsec.DateTime
	Body      []byte
}

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
		err = r.store.Publish(ctx, event.Event{Organization: author.Organization, Author: author.Device, Body: notice.MessageReceived{
			Recipient: author.User(), Index: next,
		}})
	}
	return reply, err
}

// MessageReader reads messages.
type MessageReader interface {
	// Messages lists the messages of user after the first offset ones, in order:
	// as many as fit in so many bytes (protocol.Message), but at least one,
	// whatever its size. left reports whether there are more.
	Messages(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, offset, bytes uint64) (messages []Message, left bool, err error)
}

// MessageTx is for messages.
type MessageTx interface {
	// MessageCounts locks the lists of the recipients, in order of their ids,
	// and returns the number of messages in each.
	MessageCounts(ctx context.Context, recipients []parsec.UserID) (map[parsec.UserID]uint64, error)
	AddMessage(message Message)
}
