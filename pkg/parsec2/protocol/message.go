package protocol

import "parsec-server/pkg/parsec"

// MessageGetRequest skips the messages up to Offset.
type MessageGetRequest struct {
	Offset uint64 `wire:"offset"`
}

// MessageGetReply holds the next messages, all unless they are too long.
type MessageGetReply struct {
	Messages []Message `wire:"messages"`
}

// Message is one message; Count is its position from 1 in its recipient's
// list.
type Message struct {
	Count     uint64          `wire:"count"`
	Sender    parsec.DeviceID `wire:"sender"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	Body      []byte          `wire:"body"`
}

// Size implements rpc.Sized.
func (r *MessageGetReply) Size() int {
	size := 0
	for i := range r.Messages {
		size += len(r.Messages[i].Body) + MessageBytes
	}
	return size
}
