package storetest

import (
	"fmt"
	"math"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var messageChecks = []check{
	{"lists", messageLists},
	{"several in a transaction", severalMessages},
	{"so many bytes of them", messageBytes},
}

// send adds one message to each recipient.
func (f *fixture) send(text string, recipients ...parsec.UserID) {
	f.Helper()
	body := []byte(text)
	f.update(onOrganization(), func(tx rules.Tx) error {
		counts, err := tx.MessageCounts(f.Context(), recipients)
		if err != nil {
			return err
		}
		for _, recipient := range recipients {
			tx.AddMessage(rules.Message{
				Recipient: recipient, Index: counts[recipient] + 1, Sender: aliceOne, Timestamp: at(1), Body: body,
			})
		}
		clear(counts)
		return nil
	})
	clear(body) // What the caller reuses is not what is stored.
}

// wantMessages wants the texts after an offset, numbered from offset + 1.
func (f *fixture) wantMessages(user parsec.UserID, offset uint64, texts ...string) {
	f.Helper()
	var want []rules.Message
	for i, text := range texts {
		want = append(want, rules.Message{
			Recipient: user, Index: offset + uint64(i) + 1, Sender: aliceOne, Timestamp: at(1), Body: []byte(text),
		})
	}
	got, left, err := f.store.Messages(f.Context(), f.organization, user, offset, math.MaxUint64)
	f.no(err)
	equal(f, "messages left", left, false)
	equalList(f, fmt.Sprint("messages of ", user, " after ", offset), got, want)
	for i := range got {
		got[i] = rules.Message{} // The list is the caller's.
	}
}

func messageLists(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	f.send("to bob", bob)
	f.send("to all", carol, alice, bob)
	f.send("to both", bob, carol)
	f.wantMessages(alice, 0, "to all")
	f.wantMessages(bob, 0, "to bob", "to all", "to both")
	f.wantMessages(bob, 1, "to all", "to both")
	f.wantMessages(bob, 2, "to both")
	f.wantMessages(bob, 3)
	f.wantMessages(bob, 4)
	f.wantMessages(bob, math.MaxInt64)
	f.wantMessages(carol, 0, "to all", "to both")
	f.wantMessages(userID("nobody"), 0)
	f.update(rules.Scope{}, func(tx rules.Tx) error {
		counts, err := tx.MessageCounts(f.Context(), []parsec.UserID{carol, bob, bob, alice})
		if err != nil {
			return err
		}
		equal(f, "counts", counts, map[parsec.UserID]uint64{alice: 1, bob: 3, carol: 2})
		return nil
	})
}

func severalMessages(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.send("first", bob)
	f.update(onOrganization(), func(tx rules.Tx) error {
		counts, err := tx.MessageCounts(f.Context(), []parsec.UserID{bob})
		if err != nil {
			return err
		}
		for i := range uint64(3) {
			tx.AddMessage(rules.Message{
				Recipient: bob, Index: counts[bob] + 1 + i, Sender: aliceOne, Timestamp: at(1), Body: fmt.Append(nil, "more ", i),
			})
		}
		counts, err = tx.MessageCounts(f.Context(), []parsec.UserID{bob})
		if err != nil {
			return err
		}
		equal(f, "counts before the end of the rule", counts[bob], 1)
		return nil
	})
	f.wantMessages(bob, 0, "first", "more 0", "more 1", "more 2")
}

// messageBytes bounds the messages by their sizes.
func messageBytes(f *fixture) {
	f.bootstrap()
	lengths := []int{10, 5000, 200_000, 0, 10, 1} // some in the row, others beside it
	for _, length := range lengths {
		f.send(strings.Repeat("x", length), alice)
	}
	want := func(offset, bytes uint64, want int) {
		f.Helper()
		messages, left, err := f.store.Messages(f.Context(), f.organization, alice, offset, bytes)
		f.no(err)
		what := fmt.Sprint("messages after ", offset, " of ", bytes, " bytes")
		equal(f, what, len(messages), want)
		equal(f, what+": some left", left, int(offset)+want < len(lengths))
		for i, message := range messages {
			equal(f, what+": index", message.Index, offset+uint64(i)+1)
			equal(f, what+": length", len(message.Body), lengths[message.Index-1])
		}
	}
	for offset := range lengths {
		want(uint64(offset), 0, 1)
		all := uint64(0)
		for i, length := range lengths[offset:] {
			all += uint64(length) + protocol.MessageBytes
			want(uint64(offset), all, i+1)
			want(uint64(offset), all-1, max(i, 1))
		}
	}
	want(uint64(len(lengths)), 0, 0)
	want(math.MaxInt64, math.MaxUint64, 0)
}
