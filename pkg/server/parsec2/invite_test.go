package parsec2_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// TestBadInvitations are no messages: what is wrong is named, and nothing is
// created (docs/protocol/invite.md §2).
func TestBadInvitations(t *testing.T) {
	f := newFixture(t)
	conn := f.connect("alice@dev1", api3)
	before, err := parsec2.Call(f.ctx, conn, protocol.InviteList, &protocol.InviteListRequest{})
	f.ok(err)
	user := func(email any) []wire.Field {
		return []wire.Field{{Key: "type", Value: "USER"}, {Key: "claimer_email", Value: email}, {Key: "send_email", Value: true}}
	}
	for _, item := range []struct {
		command string
		fields  []wire.Field
		names   string
	}{
		{"invite_new", user(""), "claimer_email"},
		{"invite_new", user(nil), "claimer_email"},
		{"invite_new", user("bob@example.com\nBcc: eve@example.com"), "claimer_email"},
		{"invite_new", user("bob@example.com\r"), "claimer_email"},
		{"invite_new", user("bob\x00@example.com"), "claimer_email"},
		{"invite_new", user("bob\u0085@example.com"), "claimer_email"},
		{"invite_new", user(strings.Repeat("b", 243) + "@example.com"), "claimer_email"},
		{"invite_new", []wire.Field{{Key: "type", Value: "SHAMIR_RECOVERY"}, {Key: "send_email", Value: true}}, "claimer_user_id"},
		{"invite_new", []wire.Field{{Key: "type", Value: "user"}, {Key: "send_email", Value: true}}, "type"},
		{"invite_delete", []wire.Field{{Key: "token", Value: parsec.UUID(pendingToken)}, {Key: "reason", Value: "BORED"}}, "reason"},
		{"invite_delete", []wire.Field{{Key: "token", Value: "a1b2"}, {Key: "reason", Value: "FINISHED"}}, "token"},
	} {
		f.send(conn, item.command, item.fields...)
		reply := f.receive(conn)
		if said := fmt.Sprint(reply["reason"], reply["errors"]); reply["status"] != "bad_message" || !strings.Contains(said, item.names) || strings.Contains(said, "\n") {
			t.Errorf("%s %v: %v, want %s named", item.command, item.fields, reply, item.names)
		}
	}
	after, err := parsec2.Call(f.ctx, conn, protocol.InviteList, &protocol.InviteListRequest{})
	f.ok(err)
	if len(after.Invitations) != len(before.Invitations) {
		t.Errorf("invitations %+v, before %+v", after, before)
	}
	for _, reason := range []protocol.InvitationDeletedReason{protocol.InvitationFinished, protocol.InvitationCancelled, protocol.InvitationRotten} {
		invited, err := parsec2.Call(f.ctx, conn, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: "zack@example.com"})
		f.ok(err)
		_, err = parsec2.Call(f.ctx, conn, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: invited.Token, Reason: reason})
		f.ok(err)
	}
}

// TestDeletedWhileItWaits ends a command of a claimer over HTTP with 410
// (docs/protocol/invite.md §4).
func TestDeletedWhileItWaits(t *testing.T) {
	f := newFixture(t)
	alice := f.connect("alice@dev1", api3)
	outcome := make(chan error, 1)
	go func() {
		_, err := parsec2.Call(f.ctx, f.client.InvitedRPC(f.invitation(), api3), protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{})
		outcome <- err
	}()
	f.awaitSaid(rules.ClaimerSide)
	_, err := parsec2.Call(f.ctx, alice, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: pendingToken, Reason: protocol.InvitationCancelled})
	f.ok(err)
	f.wantStatus(<-outcome, http.StatusGone)
}
