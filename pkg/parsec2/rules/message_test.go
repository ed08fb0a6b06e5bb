package rules_test

import (
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// send stores a message and returns it as its recipient gets it.
func (f *fixture) send(organization parsec.OrganizationID, recipient parsec.UserID, body string) protocol.Message {
	f.t.Helper()
	sent := protocol.Message{Sender: aliceID, Timestamp: f.clock.now(), Body: []byte(body)}
	err := f.store.Update(f.t.Context(), rules.Scope{Organization: organization}, func(tx rules.Tx) error {
		counts, err := tx.MessageCounts(f.t.Context(), []parsec.UserID{recipient})
		if err != nil {
			return err
		}
		sent.Count = counts[recipient] + 1
		tx.AddMessage(rules.Message{
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
		author *rules.Author
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

// TestMessageGetIsBounded has more messages than one reply holds, one of which
// is longer than any that is sent today. The client does as official ones: it
// asks once, then each time that it is told of a message.
func TestMessageGetIsBounded(t *testing.T) {
	const most = 4 << 20
	f := newFixture(t)
	want := uint64(0)
	for _, size := range []int{1 << 20, 60 << 10, 60 << 10, 1 << 20} {
		for range 40 {
			want = f.send(acme, bobID.User(), strings.Repeat("x", size)).Count
		}
	}
	session, over := f.session(f.Rules, f.bob())
	f.ok(f.EventsSubscribe(t.Context(), session, nil))
	other, _ := f.session(f.Rules, f.alice())
	f.ok(f.EventsSubscribe(t.Context(), other, nil))
	count, asked := uint64(0), 0
	for again := true; again; asked++ {
		reply := must(f.MessageGet(t.Context(), f.bob(), &protocol.MessageGetRequest{Offset: count}))
		encoded := must(wire.Marshal(reply))
		if len(encoded) > most || len(reply.Messages) == 0 {
			t.Fatalf("%d messages in %d bytes after %d", len(reply.Messages), len(encoded), count)
		}
		for _, message := range reply.Messages {
			if count++; message.Count != count {
				t.Fatalf("message %d in the place of %d", message.Count, count)
			}
		}
		told := f.listenAll(session)
		if again = len(told) > 0; again != (count < want) {
			t.Fatalf("told %v after %d of %d messages", told, count, want)
		}
		if again && !reflect.DeepEqual(told, []protocol.Event{&protocol.MessageReceivedEvent{Index: count + 1}}) {
			t.Errorf("told %v after %d messages", told, count)
		}
	}
	if longest := (1<<20)*80 + (60<<10)*80; count != want || asked < longest/most || asked > 2*longest/most {
		t.Errorf("asked %d times for %d of %d messages", asked, count, want)
	}
	for range 200 { // who asks for the same again and again fills no queue
		f.ok(f.MessageGet(t.Context(), f.bob(), &protocol.MessageGetRequest{Offset: want - 10}))
	}
	if told := f.listenAll(session); f.isOver(over) || len(told) != 1 {
		t.Errorf("told %v", told)
	}
	if told := f.listenAll(other); len(told) > 0 {
		t.Errorf("others are told %v", told)
	}
}
