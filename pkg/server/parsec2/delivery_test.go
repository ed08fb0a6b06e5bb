package parsec2_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// putWords leaves the conduit of the pending invitation in step 4, after an
// exchange in which the claimer said "lost" and the greeter "welcome", which the
// claimer has not taken.
func (f *fixture) putWords() {
	f.t.Helper()
	f.ok(f.Store.Update(f.ctx, rules.Scope{Organization: coolOrg, Invitation: pendingToken, Greeter: userID("alice")}, func(tx rules.Tx) error {
		tx.PutConduit(rules.Conduit{
			State: rules.ConduitCommunicate, Exchange: 8, Last: rules.LastExchange{State: rules.ConduitCommunicate, Number: 7},
			Halves: [2]rules.Half{{Taken: []byte("lost")}, {Heard: []byte("welcome")}},
		})
		return nil
	}))
}

func (f *fixture) finish() {
	f.t.Helper()
	_, err := parsec2.Call(f.ctx, f.connect("alice@dev1", api3), protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: pendingToken, Reason: protocol.InvitationFinished})
	f.ok(err)
}

func communicate(f *fixture, commands parsec2.Transport, said string) (string, error) {
	reply, err := parsec2.Call(f.ctx, commands, protocol.Invite4ClaimerCommunicate, &protocol.Invite4ClaimerCommunicateRequest{Payload: []byte(said)})
	if err != nil {
		return "", err
	}
	return string(reply.Payload), nil
}

// wantWelcome has the claimer ask for what it is owed.
func (f *fixture) wantWelcome(what string, commands parsec2.Transport) {
	f.t.Helper()
	if heard, err := communicate(f, commands, "lost"); err != nil || heard != "welcome" {
		f.t.Errorf("%s: %q, %v", what, heard, err)
	}
}

func (f *fixture) wantNormalClosure(what string, conn *parsec2.Conn) {
	f.t.Helper()
	select {
	case <-conn.Done():
	case <-f.ctx.Done():
		f.t.Fatalf("%s: the connection stays", what)
	}
	if code := websocket.CloseStatus(conn.Err()); code != websocket.StatusNormalClosure {
		f.t.Errorf("%s: closed with %d: %v", what, code, conn.Err())
	}
}

func (f *fixture) dialClaimer() *parsec2.Conn {
	f.t.Helper()
	conn, err := f.client.DialInvited(f.ctx, f.invitation(), api3)
	f.ok(err)
	f.t.Cleanup(conn.CloseNow)
	return conn
}

// TestDeliveryBeforeClosing closes after the reply to the step of the moment
// (docs/protocol/invite.md §4, the paragraph on FINISHED).
func TestDeliveryBeforeClosing(t *testing.T) {
	f := newFixture(t)
	f.putWords()
	f.ok(f.Store.Update(f.ctx, rules.Scope{Organization: coolOrg, Invitation: pendingToken, Greeter: userID("alice")}, func(tx rules.Tx) error {
		conduit, _ := tx.Conduit()
		conduit.Halves[rules.ClaimerSide] = rules.Half{Taken: []byte("before")}
		tx.PutConduit(*conduit)
		return nil
	}))
	claimer := f.dialClaimer()
	type outcome struct {
		heard string
		err   error
	}
	answered := make(chan outcome, 1)
	go func() {
		heard, err := communicate(f, claimer, "mine")
		answered <- outcome{heard, err}
	}()
	f.awaitSaid(rules.ClaimerSide)
	// The connection learns of the deletion before the step does.
	f.ok(f.Store.Publish(f.ctx, event.Event{Organization: coolOrg, Body: notice.InviteStatusChanged{
		Greeters: []parsec.UserID{userID("alice")}, Token: pendingToken, Status: parsec.InvitationDeleted, Owed: true,
	}}))
	f.ok(claimer.Probe(f.ctx))
	alice := f.connect("alice@dev1", api3)
	_, err := parsec2.Call(f.ctx, alice, protocol.Invite4GreeterCommunicate, &protocol.Invite4GreeterCommunicateRequest{Token: pendingToken, Payload: []byte("theirs")})
	f.ok(err)
	f.finish()
	if got := <-answered; got.err != nil || got.heard != "theirs" {
		t.Errorf("the step: %+v", got)
	}
	f.wantNormalClosure("once answered", claimer)
	// It is there, and has answered a ping: nobody else is let in.
	_, err = f.client.DialInvited(f.ctx, f.invitation(), api3)
	f.wantHelp(err, "Invalid handshake: Invitation already deleted")
}

// TestDeliveryOverWebSocket has a claimer that is in no step when the invitation
// ends, and others that come afterwards.
func TestDeliveryOverWebSocket(t *testing.T) {
	f := newFixture(t)
	f.putWords()
	idle := f.dialClaimer()
	f.finish()
	late, curious, impatient := f.dialClaimer(), f.dialClaimer(), f.dialClaimer()
	if _, err := parsec2.Call(f.ctx, curious, protocol.InviteInfo, &protocol.InviteInfoRequest{}); err == nil {
		t.Error("a late claimer is told of the invitation")
	}
	f.wantNormalClosure("a late claimer that asks for something else", curious)
	if _, err := parsec2.Call(f.ctx, impatient, protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{}); err == nil {
		t.Error("a late claimer begins again")
	}
	f.wantNormalClosure("a late claimer that begins again", impatient)
	_, err := parsec2.Call(f.ctx, idle, protocol.InviteInfo, &protocol.InviteInfoRequest{})
	f.ok(err)
	f.wantWelcome("a late claimer", late)
	f.wantWelcome("who was connected", idle)
	f.wantNormalClosure("the late claimer", late)
	f.wantNormalClosure("who was connected", idle)

	f.clock.Advance(time.Minute)
	_, err = f.client.DialInvited(f.ctx, f.invitation(), api3)
	f.wantHelp(err, "Invalid handshake: Invitation already deleted")
}

// TestDeliveryOverHTTP lets a claimer ask for its step only.
func TestDeliveryOverHTTP(t *testing.T) {
	f := newFixture(t)
	f.putWords()
	f.finish()
	claimer := f.client.InvitedRPC(f.invitation(), api3)
	for range 2 {
		f.wantWelcome("within a minute", claimer)
	}
	for name, send := range map[string]func() error{
		"other words": func() error { _, err := communicate(f, claimer, "other"); return err },
		"info": func() error {
			_, err := parsec2.Call(f.ctx, claimer, protocol.InviteInfo, &protocol.InviteInfoRequest{})
			return err
		},
		"ping": func() error {
			_, err := parsec2.Call(f.ctx, claimer, protocol.Ping, &protocol.PingRequest{})
			return err
		},
		"step 1": func() error {
			_, err := parsec2.Call(f.ctx, claimer, protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{})
			return err
		},
		"an unknown command": func() error { _, err := claimer.RoundTrip(f.ctx, []byte("\x81\xa3cmd\xa4none")); return err },
	} {
		if err := send(); err == nil {
			t.Errorf("%s is answered", name)
		} else {
			f.wantStatus(err, http.StatusGone)
		}
	}
	f.clock.Advance(time.Minute)
	_, err := communicate(f, claimer, "lost")
	f.wantStatus(err, http.StatusGone)
}

// TestDeliveryOfOtherDeletions ends everything at once.
func TestDeliveryOfOtherDeletions(t *testing.T) {
	for _, reason := range []protocol.InvitationDeletedReason{protocol.InvitationCancelled, protocol.InvitationRotten} {
		f := newFixture(t)
		f.putWords()
		idle := f.dialClaimer()
		_, err := parsec2.Call(f.ctx, f.connect("alice@dev1", api3), protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: pendingToken, Reason: reason})
		f.ok(err)
		f.wantNormalClosure(string(reason), idle)
		_, err = f.client.DialInvited(f.ctx, f.invitation(), api3)
		f.wantHelp(err, "Invalid handshake: Invitation already deleted")
		_, err = communicate(f, f.client.InvitedRPC(f.invitation(), api3), "lost")
		f.wantStatus(err, http.StatusGone)
	}
}

// wantHelp wants a refused handshake.
func (f *fixture) wantHelp(err error, help string) {
	f.t.Helper()
	if refused, ok := errors.AsType[*parsec2.HandshakeError](err); !ok || refused.Help != help {
		f.t.Errorf("handshake: %v, want %q", err, help)
	}
}
