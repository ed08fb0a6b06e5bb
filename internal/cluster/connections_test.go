//go:build !without_postgresql

package cluster_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// The invariants of docs/protocol/commands.md §10 on connections, events and
// the invitations of API 1.

// listener is a subscribed connection.
type listener struct {
	c    *cluster
	conn *parsec2.Conn
}

func (c *cluster) listen(process int, m *member) *listener {
	c.t.Helper()
	conn, err := c.clients[process].DialAuthenticated(c.ctx, m.device)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(conn.CloseNow)
	ask(c, conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{})
	return &listener{c, conn}
}

// next waits for the next event.
func (l *listener) next() protocol.Event {
	l.c.t.Helper()
	event, err := parsec2.EventsListen(l.c.ctx, l.conn, &protocol.EventsListenRequest{Wait: true})
	if err != nil {
		l.c.t.Fatal(err)
	}
	return event
}

// wantClosed waits until the server has closed the connection.
func (l *listener) wantClosed() {
	l.c.t.Helper()
	select {
	case <-l.conn.Done():
		if websocket.CloseStatus(l.conn.Err()) != websocket.StatusNormalClosure {
			l.c.t.Errorf("closed by %v", l.conn.Err())
		}
	case <-l.c.ctx.Done():
		l.c.t.Fatal("the connection stays open")
	}
}

// invariant12SessionsEnd has one process told what ends sessions of both.
func invariant12SessionsEnd(c *cluster) {
	for i, end := range []func(process int, user *member) error{
		func(process int, user *member) error { return c.alice.revokes(process, user.id())(c.ctx) },
		func(process int, user *member) error {
			_, err := c.administration(process).Freeze(c.ctx, user.device.Organization, client.UserChoice{ID: user.id().String()}, true)
			return err
		},
	} {
		for process := range 2 {
			bob := c.addUser(fmt.Sprintf("bob%d-%d@laptop", i, process), parsec.ProfileStandard)
			listeners := []*listener{c.listen(0, bob), c.listen(1, bob)}
			if err := end(process, bob); err != nil {
				c.t.Fatal(err)
			}
			for j, reached := range c.clients {
				if got := status(send(bob.on[j], protocol.Ping, &protocol.PingRequest{})(c.ctx)); got != sessionOver {
					c.t.Errorf("a ping: %s", got)
				}
				if _, err := reached.DialAuthenticated(c.ctx, bob.device); err == nil {
					c.t.Error("connects again")
				}
				listeners[j].wantClosed()
			}
		}
	}
}

// invariant53EventsReachTheWaiters has the inviter and the invited user wait
// on either process.
func invariant53EventsReachTheWaiters(c *cluster) {
	const cancelled = "cancelled"
	for round, name := range []string{"bob", "carol", cancelled} {
		inviter, claimer := round%2, 1-round%2
		connect := func() *parsec2.Conn {
			c.t.Helper()
			conn, err := c.clients[inviter].DialAuthenticated(c.ctx, c.alice.device, parsec.APIVersion{Major: 1, Minor: 3})
			if err != nil {
				c.t.Fatal(err)
			}
			c.t.Cleanup(conn.CloseNow)
			return conn
		}
		administrator := connect()
		anonymous, err := c.clients[claimer].DialAnonymous(c.ctx, c.alice.device.Organization, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(anonymous.CloseNow)
		user, creation := c.newUser(parsec2.Person{ID: deviceID(name + "@laptop")}, parsec.ProfileStandard)
		got := c.race(
			func(ctx context.Context) error {
				invited, err := parsec2.Call(ctx, administrator, protocol.UserInvite, &protocol.InvitedUserRequest{UserID: user.id()})
				if err != nil {
					return err
				}
				if string(invited.EncryptedClaim) != name {
					return fmt.Errorf("the inviter hears %q", invited.EncryptedClaim)
				}
				if name == cancelled {
					return send(administrator, protocol.UserCancelInvitation, &protocol.InvitedUserRequest{UserID: user.id()})(ctx)
				}
				return send(administrator, protocol.UserCreateV1, testclient.UserCreateV1(creation))(ctx)
			},
			func(ctx context.Context) error {
				for {
					_, err := parsec2.Call(ctx, anonymous, protocol.UserGetInvitationCreator, &protocol.UserGetInvitationCreatorRequest{InvitedUserID: user.id()})
					if err == nil {
						break
					}
					if status(err) != protocol.StatusNotFound {
						return err
					}
				}
				reply, err := parsec2.Call(ctx, anonymous, protocol.UserClaim, &protocol.UserClaimRequest{InvitedUserID: user.id(), EncryptedClaim: []byte(name)})
				if err == nil && !bytes.Equal(reply.UserCertificate, creation.UserCertificate) {
					err = fmt.Errorf("the claimer hears of another user")
				}
				return err
			},
		)
		want := order{protocol.StatusOK, protocol.StatusOK}
		if name == cancelled {
			want = order{protocol.StatusOK, protocol.StatusDenied}
		}
		c.wantEither(got, want)
	}
}

// invariant57ExpiredOrganization tells one process, and lets the other one
// serve again.
func invariant57ExpiredOrganization(c *cluster) {
	for process := range 2 {
		listeners := []*listener{c.listen(0, c.alice), c.listen(1, c.alice)}
		expire := func(process int, expired bool) {
			c.t.Helper()
			err := c.administration(process).Update(c.ctx, c.alice.device.Organization, client.OrganizationSettings{IsExpired: &expired})
			if err != nil {
				c.t.Fatal(err)
			}
		}
		expire(process, true)
		for i, listener := range listeners {
			if got := status(send(c.alice.on[i], protocol.Ping, &protocol.PingRequest{})(c.ctx)); got != sessionOver {
				c.t.Errorf("a ping: %s", got)
			}
			listener.wantClosed()
		}
		expire(1-process, false)
		c.listen(process, c.alice)
	}
}
