package backend_test

import (
	"reflect"
	"testing"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

// send stores a message and gives it as its recipient gets it.
func (f *fixture) send(organization parsec.OrganizationID, recipient parsec.UserID, body string) protocol.Message {
	f.t.Helper()
	sent := protocol.Message{Sender: aliceID, Timestamp: f.clock.now(), Body: []byte(body)}
	err := f.store.Update(f.t.Context(), backend.Scope{Organization: organization}, func(tx backend.Tx) error {
		counts, err := tx.MessageCounts(f.t.Context(), []parsec.UserID{recipient})
		if err != nil {
			return err
		}
		sent.Count = counts[recipient] + 1
		tx.AddMessage(backend.Message{
			Recipient: recipient, Index: sent.Count, Sender: sent.Sender, Timestamp: sent.Timestamp, Body: sent.Body,
		})
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return sent
}

func TestMessageGet(t *testing.T) {
	f := newFixture(t)
	messages := []protocol.Message{
		f.send(acme, aliceID.User(), "one"), f.send(acme, aliceID.User(), "two"), f.send(acme, aliceID.User(), "three"),
	}
	f.send(acme, bobID.User(), "for bob")
	cases := map[string]struct {
		author *backend.Author
		offset uint64
		want   []protocol.Message
	}{
		"all":            {author: f.alice(), want: messages},
		"another device": {author: f.alice2(), offset: 1, want: messages[1:]},
		"none left":      {author: f.alice(), offset: 3, want: []protocol.Message{}},
		"beyond the end": {author: f.alice(), offset: 1 << 62, want: []protocol.Message{}},
		"of nobody":      {author: f.mallory(), want: []protocol.Message{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			reply, err := f.MessageGet(t.Context(), c.author, &protocol.MessageGetRequest{Offset: c.offset})
			if err != nil || !reflect.DeepEqual(reply.Messages, c.want) {
				t.Errorf("got %+v (%v), want %+v", reply, err, c.want)
			}
		})
	}
}
