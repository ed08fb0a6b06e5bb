package parsec2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

func TestEvents09Overflow(t *testing.T) {
	f := newFixture(t)
	other, full, over := f.connect("alice@dev1"), f.listen("bob@dev1"), f.listen("bob@dev1")
	unsubscribed := f.connect("bob@dev1")
	index := uint64(0)
	publish := func(count int) {
		for range count {
			index++
			f.Bus.Publish([]event.Event{{Organization: coolOrg, Body: notice.MessageReceived{Recipient: userID("bob"), Index: index}}})
		}
		f.flush()
	}
	publish(50)
	for range 50 {
		full.next()
	}
	publish(50) // 100 in the other queue: still open
	f.wantPong(over.conn)
	publish(1)
	f.wantClosed(over.conn, websocket.StatusNormalClosure)
	publish(49)
	for range 100 {
		full.next()
	}
	wantNoEvents(t, f, full.conn)
	f.wantPong(unsubscribed)
	f.wantPong(other)
}

// TestEvents11SessionsEnd has every cause that ends sessions: connections of
// every API close without reply to what they wait for, event streams end, and
// nobody else notices.
func TestEvents11SessionsEnd(t *testing.T) {
	for _, item := range []struct {
		name    string
		cause   func(f *fixture)
		refusal protocol.HandshakeResult
		status  int
		// others reports whether alice and the whole organization are
		// concerned.
		others bool
	}{
		{"revoked", func(f *fixture) {
			request, err := f.device("alice@dev1").RevokeUser(userID("bob"), f.now())
			f.ok(err)
			f.must(parsec2.Call(f.ctx, f.connect("alice@dev1"), protocol.UserRevoke, request))
		}, protocol.HandshakeRevokedDevice, client.StatusUserRevoked, false},
		{"frozen", func(f *fixture) {
			f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("bob").String()}, true))
		}, protocol.HandshakeFrozenUser, client.StatusUserFrozen, false},
		{"expired", func(f *fixture) { f.expire(0) }, protocol.HandshakeOrganizationExpired, client.StatusOrganizationExpired, true},
		{"expiring", func(f *fixture) {
			f.expire(50 * time.Millisecond)
			f.clock.Advance(time.Second) // the timers of sessions are of real time
		}, protocol.HandshakeOrganizationExpired, client.StatusOrganizationExpired, true},
	} {
		t.Run(item.name, func(t *testing.T) {
			f := newFixture(t)
			rpc := f.client.AuthenticatedRPC(f.device("bob@dev1"), api3)
			stream := f.stream("bob@dev1", api3)
			idle, waiting := f.connect("bob@dev1", api1), f.listen("bob@dev1", api2)
			f.send(waiting.conn, "events_listen")
			other, invited, elsewhere := f.connect("alice@dev2"), f.connectInvited(), f.connectAs(f.deviceOf(otherOrg, "bob@dev1"))

			item.cause(f)
			f.wantClosed(idle, websocket.StatusNormalClosure)
			f.wantClosed(waiting.conn, websocket.StatusNormalClosure)
			if told, err := stream.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("the stream gives %v, %v", told, err)
			}
			_, err := f.client.DialAuthenticated(f.ctx, f.device("bob@dev1"))
			wantResult(t, err, item.refusal, "")
			_, err = rpc.ServerSentEvents(f.ctx)
			f.wantStatus(err, item.status)
			f.wantPong(elsewhere)
			for _, concerned := range []*parsec2.Conn{other, invited} {
				if item.others {
					f.wantClosed(concerned, websocket.StatusNormalClosure)
				} else {
					f.wantPong(concerned)
				}
			}
		})
	}
}

// expire has CoolOrg expire after a while.
func (f *fixture) expire(after time.Duration) {
	f.t.Helper()
	date := f.clock.Now().Add(after)
	f.ok(f.Organizations.Update(f.ctx, organization.Administrator{}, coolOrg, organization.Change{Expiration: &organization.Expiration{Date: &date}}))
}

// TestWaitsOverHTTPEnd has a greeter and a claimer wait over HTTP for a peer
// that does not come: what ends WebSockets ends that, too.
func TestWaitsOverHTTPEnd(t *testing.T) {
	expiring := func(f *fixture) {
		f.expire(50 * time.Millisecond)
		f.clock.Advance(time.Second) // the timers of sessions are of real time
	}
	for _, item := range []struct {
		name             string
		cause            func(f *fixture)
		greeter, claimer int
	}{
		{"frozen", func(f *fixture) {
			f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("alice").String()}, true))
		}, client.StatusUserFrozen, 0},
		{"expired", func(f *fixture) { f.expire(0) }, client.StatusOrganizationExpired, client.StatusOrganizationExpired},
		{"expiring", expiring, client.StatusOrganizationExpired, client.StatusOrganizationExpired},
	} {
		for side, status := range map[rules.Side]int{rules.GreeterSide: item.greeter, rules.ClaimerSide: item.claimer} {
			if status == 0 {
				continue
			}
			t.Run(fmt.Sprint(item.name, " ", side), func(t *testing.T) {
				f := newFixture(t)
				outcome := make(chan error, 1)
				go func() {
					var err error
					if side == rules.GreeterSide {
						_, err = parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("alice@dev1"), api3), protocol.Invite1GreeterWaitPeer, &protocol.Invite1GreeterWaitPeerRequest{Token: pendingToken})
					} else {
						_, err = parsec2.Call(f.ctx, f.client.InvitedRPC(f.invitation(), api3), protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{})
					}
					outcome <- err
				}()
				f.awaitSaid(side)
				item.cause(f)
				f.wantStatus(<-outcome, status)
			})
		}
	}
}

// awaitSaid waits until a side of the pending invitation has spoken.
func (f *fixture) awaitSaid(side rules.Side) {
	f.t.Helper()
	scope := rules.Scope{Organization: coolOrg, Invitation: pendingToken, Greeter: userID("alice")}
	for waits := false; !waits; {
		f.ok(f.Store.Update(f.ctx, scope, func(tx rules.Tx) error {
			conduit, found := tx.Conduit()
			waits = found && conduit.Halves[side].Said != nil
			return f.ctx.Err()
		}))
	}
}

func TestUnfreezingCloses(t *testing.T) {
	f := newFixture(t)
	freeze := func(frozen bool) {
		f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("bob").String()}, frozen))
	}
	freeze(true)
	_, err := f.client.DialAuthenticated(f.ctx, f.device("bob@dev1"))
	wantResult(t, err, protocol.HandshakeFrozenUser, "")
	alice := f.connect("alice@dev1")
	freeze(false)
	f.flush()
	bob := f.connect("bob@dev1")
	freeze(false)
	f.wantClosed(bob, websocket.StatusNormalClosure)
	f.wantPong(alice)
	f.wantPong(f.connect("bob@dev1"))
}

func TestExpirationPostponed(t *testing.T) {
	f := newFixture(t)
	conn := f.connect("alice@dev1")
	f.expire(time.Hour)
	f.ok(f.Organizations.Update(f.ctx, organization.Administrator{}, coolOrg, organization.Change{Expiration: &organization.Expiration{}})) // never
	f.flush()
	f.clock.Advance(2 * time.Hour)
	f.wantPong(conn)
	f.wantPong(f.connect("alice@dev1"))
}

func TestDeletedInvitationClosesItsClaimers(t *testing.T) {
	f := newFixture(t)
	const second = "5fb8bfa5-38b1-4e64-94d1-6da08c7f6f3b"
	f.update(coolOrg, func(tx rules.Tx) {
		tx.PutInvitation(rules.Invitation{
			Token: parsec.InvitationToken(must(parsec.ParseUUID(second))), Type: parsec.InvitationUser,
			Greeter: userID("alice"), Greeters: []rules.InvitationGreeter{{User: userID("alice")}},
		})
	})
	claimer, again := f.connectInvited(api2), f.connectInvited(api3)
	other, err := f.client.DialInvited(f.ctx, f.Address.InvitationAddress(coolOrg, parsec.InvitationUser, parsec.InvitationToken(must(parsec.ParseUUID(second)))))
	f.ok(err)
	defer other.CloseNow()
	f.flush()
	greeter, elsewhere := f.listen("alice@dev1"), f.connectAs(f.deviceOf(otherOrg, "alice@dev1"))

	for _, status := range []parsec.InvitationStatus{parsec.InvitationReady, parsec.InvitationDeleted} {
		f.update(coolOrg, func(tx rules.Tx) {
			if status == parsec.InvitationDeleted {
				deletedOn := f.clock.Now()
				tx.PutInvitation(rules.Invitation{
					Token: pendingToken, Type: parsec.InvitationUser, DeletedOn: &deletedOn,
					Greeter: userID("alice"), Greeters: []rules.InvitationGreeter{{User: userID("alice")}},
				})
			}
			tx.Emit(event.Event{Organization: coolOrg, Body: notice.InviteStatusChanged{
				Greeters: []parsec.UserID{userID("alice")}, Token: pendingToken, Status: status,
			}})
		})
		f.flush()
		if status == parsec.InvitationReady {
			f.wantPong(claimer)
		}
	}
	f.wantClosed(claimer, websocket.StatusNormalClosure)
	f.wantClosed(again, websocket.StatusNormalClosure)
	f.wantPong(other)
	f.wantPong(elsewhere)
	f.mark(coolOrg)
	greeter.want(
		&protocol.InviteStatusChangedEvent{Token: pendingToken, Status: parsec.InvitationReady},
		&protocol.InviteStatusChangedEvent{Token: pendingToken, Status: parsec.InvitationDeleted},
	)
	_, err = f.client.DialInvited(f.ctx, f.invitation())
	wantResult(t, err, protocol.HandshakeBadIdentity, "Invalid handshake: Invitation already deleted")
}

// A command that runs when its session ends gets no reply, even if it
// succeeds.
func TestRunningCommandOfAnEndedSession(t *testing.T) {
	f, g := gated(t)
	conn := f.connect("bob@dev1")
	f.send(conn, "organization_stats")
	f.await(g.entered)
	f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("bob").String()}, true))
	f.wantClosed(conn, websocket.StatusNormalClosure)
	close(g.opened)
}

// A write of an author that may not act any more closes, whatever the events.
func TestWriteAfterRevocation(t *testing.T) {
	f := newFixture(t)
	bob := f.device("bob@dev1")
	conn := f.connect("bob@dev1")
	request, err := bob.NewRealm(realmID(1), f.now())
	f.ok(err)
	f.update(coolOrg, func(tx rules.Tx) { tx.FreezeUser(userID("bob"), true) }) // without event
	f.send(conn, "realm_create", wire.Field{Key: "role_certificate", Value: request.RoleCertificate})
	f.wantClosed(conn, websocket.StatusNormalClosure)
	_, err = parsec2.Call(f.ctx, f.client.AuthenticatedRPC(bob, api3), protocol.RealmCreate, request)
	f.wantStatus(err, client.StatusUserFrozen)
}

// Over HTTP the author may lose its rights between its checks and its command.
func TestSessionOverOverHTTP(t *testing.T) {
	f := newFixture(t)
	f.Parsec2.SetHandler(protocol.RealmStatus.Form, func(context.Context) (any, error) {
		f.update(coolOrg, func(tx rules.Tx) { tx.FreezeUser(userID("bob"), true) })
		return nil, rules.ErrSessionOver
	})
	_, err := parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("bob@dev1"), api3), protocol.RealmStatus, &protocol.RealmStatusRequest{})
	f.wantStatus(err, client.StatusUserFrozen)
}
