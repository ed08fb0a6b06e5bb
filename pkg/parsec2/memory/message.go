package memory

import (
	"bytes"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// Messages implements rules.MessageReader.
func (s *Store) Messages(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, offset, most uint64) (messages []rules.Message, left bool, err error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	list := o.messages[user]
	list = list[min(offset, uint64(len(list))):]
	count, size := 0, uint64(0)
	for ; count < len(list); count++ {
		size += uint64(len(list[count].Body)) + protocol.MessageBytes
		if size > most && count > 0 {
			break
		}
	}
	return slices.Clone(list[:count]), count < len(list), err
}

// MessageCounts implements rules.MessageTx.
func (t *tx) MessageCounts(_ context.Context, recipients []parsec.UserID) (map[parsec.UserID]uint64, error) {
	counts := make(map[parsec.UserID]uint64, len(recipients))
	if t.indexes == nil {
		t.indexes = make(map[parsec.UserID]uint64, len(recipients))
	}
	for _, recipient := range recipients {
		counts[recipient] = uint64(len(t.organization.messages[recipient]))
		if _, counted := t.indexes[recipient]; !counted {
			t.indexes[recipient] = counts[recipient]
		}
	}
	return counts, nil
}

// AddMessage implements rules.MessageTx.
func (t *tx) AddMessage(message rules.Message) {
	message.Body = bytes.Clone(message.Body)
	last, counted := t.indexes[message.Recipient]
	t.Queue("AddMessage", counted && message.Index == last+1, func() {
		t.organization.messages[message.Recipient] = append(t.organization.messages[message.Recipient], message)
	})
	if counted {
		t.indexes[message.Recipient] = message.Index
	}
}
