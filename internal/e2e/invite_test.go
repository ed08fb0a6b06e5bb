package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/addresses"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// TestInvitations has an administrator create an organization, whose founder
// invites a colleague by e-mail, who then invites her own second device.
func TestInvitations(t *testing.T) {
	t.Parallel()
	for _, g := range generations {
		if g.version.Major == 1 {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			w := newMailedWorld(t)
			alice := g.connect(w, g.foundByREST(w, "CoolOrg", "alice@laptop"))
			bob := g.inviteUser(w, alice, "bob@desk")
			phone := g.inviteDevice(w, g.connect(w, bob), "bob@phone")
			if found := ok(w, g.connect(w, phone), protocol.UserGet, &protocol.UserGetRequest{UserID: bob.ID.User()}); len(found.DeviceCertificates) != 2 {
				t.Errorf("bob has %d devices", len(found.DeviceCertificates))
			}
			refused(w, protocol.StatusAlreadyMember, alice, protocol.InviteNew, &protocol.InviteNewRequest{
				Type: parsec.InvitationUser, ClaimerEmail: "bob@example.com", SendEmail: true,
			})
			if !w.mails.Empty() {
				t.Error("a refused invitation is sent")
			}
		})
	}
}

// link is what an invitation leads to.
var link = regexp.MustCompile(`http://\S+/redirect/\S+`)

// readInvitation returns where the link of the next e-mail leads a browser.
func (w *world) readInvitation(to string) parsec.InvitationAddress {
	w.t.Helper()
	mail := w.mails.Next(w.ctx, w.t)
	if mail.To != to {
		w.t.Errorf("e-mail to %s, want %s", mail.To, to)
	}
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, link.FindString(mail.Text), http.NoBody)
	if err != nil {
		w.t.Fatalf("%v in %s", err, mail.Text)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirection
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	address, err := addresses.ParseInvitation(response.Header.Get("Location"))
	if err != nil || response.StatusCode != http.StatusFound {
		w.t.Fatalf("HTTP %d to %q: %v", response.StatusCode, response.Header.Get("Location"), err)
	}
	return address
}

// claimant is the claimer of an invitation; conn is nil over HTTP.
type claimant struct {
	parsec2.Transport
	conn *parsec2.Conn
}

func (g generation) claim(w *world, address parsec.InvitationAddress) claimant {
	w.t.Helper()
	if g.overHTTP {
		return claimant{Transport: w.client.InvitedRPC(address, g.version)}
	}
	conn, err := w.client.DialInvited(w.ctx, address, g.version)
	if err != nil {
		w.t.Fatalf("claim: %v", err)
	}
	w.t.Cleanup(conn.CloseNow)
	return claimant{conn, conn}
}

// meet brings the two together, who compare their codes.
func meet(w *world, greeter parsec2.Transport, token parsec.InvitationToken, claimer parsec2.Transport) (greeting, claiming *testclient.Tunnel) {
	w.t.Helper()
	return meetOne(w, greeter, token, claimer, parsec.UserID{})
}

// meetOne has the claimer name the greeter.
func meetOne(w *world, greeter parsec2.Transport, token parsec.InvitationToken, claimer parsec2.Transport, to parsec.UserID) (greeting, claiming *testclient.Tunnel) {
	w.t.Helper()
	codes := make(chan testclient.Codes, 1)
	var wait sync.WaitGroup
	var claimErr error
	wait.Go(func() {
		claiming, claimErr = testclient.Claim(w.ctx, claimer, to, func(c testclient.Codes) error {
			codes <- c
			return nil
		})
	})
	compare := func(c testclient.Codes) error {
		if other := <-codes; other != c || c.Claimer == c.Greeter {
			return fmt.Errorf("codes %v and %v", c, other)
		}
		return nil
	}
	greeting, err := testclient.Greet(w.ctx, greeter, token, compare)
	if errors.Is(err, protocol.Refuse(protocol.StatusInvalidState, "")) {
		// A claimer who is gone had left its key: official clients begin again.
		greeting, err = testclient.Greet(w.ctx, greeter, token, compare)
	}
	if err != nil {
		w.t.Fatalf("greet: %v", err)
	}
	wait.Wait()
	if claimErr != nil {
		w.t.Fatalf("claim: %v", claimErr)
	}
	return greeting, claiming
}

// tell has one side of a tunnel say something to the other, which says nothing.
func tell(w *world, from, to *testclient.Tunnel, said string) string {
	w.t.Helper()
	var wait sync.WaitGroup
	wait.Go(func() {
		if heard, err := from.Exchange(w.ctx, []byte(said)); err != nil || len(heard) > 0 {
			w.t.Errorf("tell %s: %q, %v", said, heard, err)
		}
	})
	heard, err := to.Exchange(w.ctx, nil)
	if err != nil {
		w.t.Fatalf("hear %s: %v", said, err)
	}
	wait.Wait()
	return string(heard)
}

// inviteUser has a colleague claim an invitation of author.
func (g generation) inviteUser(w *world, author *peer, device string) *parsec2.Device {
	w.t.Helper()
	request := &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: "bob@example.com", SendEmail: true}
	var created *parsec2.Device
	g.throughInvitation(w, author, request, request.ClaimerEmail, device, func(name string) {
		created = createUser(w, g, author, g.person(name), parsec.ProfileAdmin)
	})
	return created
}

// inviteDevice has author add a device of its own.
func (g generation) inviteDevice(w *world, author *peer, device string) *parsec2.Device {
	w.t.Helper()
	var created *parsec2.Device
	request := &protocol.InviteNewRequest{Type: parsec.InvitationDevice, SendEmail: true}
	g.throughInvitation(w, author, request, author.device.HumanHandle.Email(), device, func(name string) {
		created = createDevice(w, g, author, deviceID(name).Name())
	})
	return created
}

// throughInvitation has a claimer, invited by an e-mail to that address, tell
// its name to author, who creates what it asks for.
func (g generation) throughInvitation(w *world, author *peer, request *protocol.InviteNewRequest, to, name string, create func(name string)) {
	w.t.Helper()
	invited := ok(w, author, protocol.InviteNew, request)
	token := invited.Token
	address := w.readInvitation(to)
	if want := w.Address.InvitationAddress(author.device.Organization, request.Type, token); address != want || invited.EmailSent != protocol.EmailSuccess {
		w.t.Errorf("invited to %s, want %s; e-mail sent: %s", address, want, invited.EmailSent)
	}
	wantStatus(w, author, token, parsec.InvitationIdle)
	claimer := g.claim(w, address)
	info := ok(w, claimer, protocol.InviteInfo, &protocol.InviteInfoRequest{})
	if info.Type != request.Type || *info.GreeterUserID != author.user() || info.GreeterHumanHandle != author.device.HumanHandle {
		w.t.Errorf("info %+v", info)
	}
	if claimer.conn != nil {
		wantStatus(w, author, token, parsec.InvitationReady)
	} else {
		wantStatus(w, author, token, parsec.InvitationIdle) // HTTP does not count
	}
	greeting, claiming := meet(w, author.Transport, token, claimer.Transport)
	asked := tell(w, claiming, greeting, name)
	create(asked)
	if got := tell(w, greeting, claiming, "welcome"); got != "welcome" {
		w.t.Errorf("the claimer hears %q", got)
	}
	ok(w, author, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
	refused(w, protocol.StatusAlreadyDeleted, author, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
	if list := ok(w, author, protocol.InviteList, &protocol.InviteListRequest{}); len(list.Invitations) > 0 {
		w.t.Errorf("left: %+v", list.Invitations)
	}
	if claimer.conn == nil {
		_, err := parsec2.Call(w.ctx, claimer, protocol.InviteInfo, &protocol.InviteInfoRequest{})
		if gone, ok := errors.AsType[*client.HTTPError](err); !ok || gone.Status != http.StatusGone {
			w.t.Errorf("after the deletion: %v", err)
		}
		return
	}
	select {
	case <-claimer.conn.Done():
	case <-w.ctx.Done():
		w.t.Fatal("the claimer stays connected")
	}
	_, err := w.client.DialInvited(w.ctx, address, g.version)
	if denied, ok := errors.AsType[*parsec2.HandshakeError](err); !ok || denied.Help != "Invalid handshake: Invitation already deleted" {
		w.t.Errorf("after the deletion: %v", err)
	}
}

func wantStatus(w *world, author *peer, token parsec.InvitationToken, want parsec.InvitationStatus) {
	w.t.Helper()
	list := ok(w, author, protocol.InviteList, &protocol.InviteListRequest{}).Invitations
	if len(list) != 1 || list[0].Token != token || list[0].Status != want {
		w.t.Errorf("invitations %+v, want one %s", list, want)
	}
}

// TestAbandonedRendezvous sends something else, and goes away, while a step
// waits.
func TestAbandonedRendezvous(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	g := inAPI3
	alice := g.connect(w, g.found(w, "CoolOrg", "alice@laptop"))
	token := ok(w, alice, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationDevice}).Token
	address := w.Address.InvitationAddress(alice.device.Organization, parsec.InvitationDevice, token)
	claimer := g.claim(w, address)
	// The step gets no reply: that to the ping is the next message.
	if err := claimer.conn.Send(w.ctx, []byte("\x82\xa3cmd\xbainvite_1_claimer_wait_peer\xb2claimer_public_key\xc4\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")); err != nil {
		t.Fatal(err)
	}
	ok(w, claimer, protocol.Ping, &protocol.PingRequest{Ping: "still there"})
	claimer.conn.CloseNow()
	greeting, claiming := meet(w, alice.Transport, token, g.claim(w, address).Transport)
	if got := tell(w, greeting, claiming, "hello"); got != "hello" {
		t.Errorf("heard %q", got)
	}
}

// TestTwoClaimers has two connections claim one invitation: they share the
// conduit, and who begins last goes on.
func TestTwoClaimers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	g := inAPI3
	alice := g.connect(w, g.found(w, "CoolOrg", "alice@laptop"))
	token := ok(w, alice, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationDevice}).Token
	address := w.Address.InvitationAddress(alice.device.Organization, parsec.InvitationDevice, token)
	first, second := g.claim(w, address), g.claim(w, address)
	outcomes := make(chan error, 2)
	for _, claimer := range []claimant{first, second} {
		go func() {
			_, err := parsec2.Call(w.ctx, claimer, protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{})
			outcomes <- err
		}()
	}
	// Whichever begins last ends the wait of the other.
	if err := <-outcomes; !errors.Is(err, protocol.Refuse(protocol.StatusInvalidState, "")) {
		t.Fatalf("the first claimer: %v", err)
	}
	ok(w, alice, protocol.Invite1GreeterWaitPeer, &protocol.Invite1GreeterWaitPeerRequest{Token: token})
	if err := <-outcomes; err != nil {
		t.Fatalf("the second claimer: %v", err)
	}
	// READY lasts as long as one of them.
	first.conn.Close()
	wantStatus(w, alice, token, parsec.InvitationReady)
	greeting, claiming := meet(w, alice.Transport, token, second.Transport)
	if got := tell(w, greeting, claiming, "hello"); got != "hello" {
		t.Errorf("heard %q", got)
	}
	ok(w, alice, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
	select {
	case <-second.conn.Done():
	case <-w.ctx.Done():
		t.Fatal("the second claimer stays connected")
	}
}
