package rules

import (
	"encoding/binary"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

func attemptOf(number int) (key attemptKey) {
	binary.BigEndian.PutUint64(key.attempt[:], uint64(number))
	return key
}

// readAttempt has an attempt in view of which the claimer has said something.
func readAttempt(t *testing.T, g *greetings, number int, said []byte) {
	t.Helper()
	key := attemptOf(number)
	token, err := parsec3.ParseAccessToken(parsec.UUID(key.attempt).Hex())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.read(key, parsec3.DeviceID{}, func() (Standing, Greeting, error) {
		return Standing{}, Greeting{
			InvitedStanding: InvitedStanding{&organization.Organization{}, &Invitation{Token: token}},
			Attempt:         &Attempt{ID: key.attempt, Invitation: token, Version: 1}, Greeter: &User{}, ClaimerSaid: [][]byte{said},
		}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestPartsOfViews has a part come that follows what is in view, one that does not as
// another one is missing, and one for which there is no room.
func TestPartsOfViews(t *testing.T) {
	g := newGreetings(func() parsec.DateTime { return 1 }, func() time.Duration { return 0 })
	for number := range maxViewsBytes / maxViewBytes {
		readAttempt(t, g, number, make([]byte, maxViewBytes-1))
	}
	say := func(number int, version uint64, size int) (kept bool) {
		key := attemptOf(number)
		g.said(key, notice.GreetingStepSaid{Attempt: key.attempt, Version: version, Side: protocol.Greeter, Said: make([]byte, size)})
		return g.look(key, parsec3.DeviceID{}) != nil
	}
	if !say(0, 2, 1) || say(1, 3, 1) || say(2, 2, 2) {
		t.Error("a part is missing")
	}
	for number := range maxViews / 2 {
		readAttempt(t, g, maxViews+number, nil)
	}
	for number := range maxViews / 2 {
		say(maxViews+number, 2, maxViewBytes)
	}
	if g.bytes > maxViewsBytes {
		t.Errorf("%d bytes are kept", g.bytes)
	}
}

// TestRoomForViews has what nobody polls any more make room for what somebody polls, and
// nothing else.
func TestRoomForViews(t *testing.T) {
	now := parsec.DateTime(1)
	g := newGreetings(func() parsec.DateTime { return now }, func() time.Duration { return 0 })
	isKept := func(number int) bool { return g.look(attemptOf(number), parsec3.DeviceID{}) != nil }
	read := func(number int, said []byte) {
		t.Helper()
		readAttempt(t, g, number, said)
	}
	for _, bound := range []struct{ views, said int }{{maxViews, 1}, {maxViewsBytes / maxViewBytes, maxViewBytes}} {
		for number := range bound.views {
			read(number, make([]byte, bound.said))
		}
		now = now.Add(viewIdle - 1)
		read(bound.views, make([]byte, bound.said))
		if isKept(bound.views) || !isKept(0) { // which is in use by that
			t.Error("who polls loses its place, or there is too much room")
		}
		now = now.Add(1000)
		read(bound.views, make([]byte, bound.said))
		if !isKept(bound.views) || !isKept(0) || isKept(1) {
			t.Errorf("kept: %t, who polls: %t, who does not: %t", isKept(bound.views), isKept(0), isKept(1))
		}
		g.forget(func(attemptKey, *view) bool { return true })
		if g.count != 0 || g.bytes != 0 {
			t.Errorf("%d views and %d bytes are left", g.count, g.bytes)
		}
	}
}
