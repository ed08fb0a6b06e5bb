//go:build !without_postgresql

package parsec3_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// TestStoryOnPostgreSQL has one server, and then two, on one database.
func TestStoryOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"one server": 1, "two servers": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testkit.NewPostgres(t)
			servers := make([]*testkit.Parsec, count)
			for i := range servers {
				servers[i] = testkit.StartParsec(t, program, "--db", dsn, "--blockstore", "POSTGRESQL")
			}
			tell(newWorld(t, servers...))
		})
	}
}

func TestBothGenerationsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	together(newWorld(t, testkit.StartParsec(t, program, "--db", testkit.NewPostgres(t), "--blockstore", "POSTGRESQL")))
}

// TestOrganizationsEndOnEveryServer has an organization of each generation expire, and be
// deleted, by one of two servers: streams of events and sessions end on both at once.
func TestOrganizationsEndOnEveryServer(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t)
	w := newWorld(t, testkit.StartParsec(t, program, "--db", dsn), testkit.StartParsec(t, program, "--db", dsn))
	alice := w.login("alice", w.found("alice"))
	added, err := alice.AddUser(w.ctx, person("bob"), parsec.ProfileStandard)
	w.do("add bob", err)
	peers := []*peer{alice, w.login("bob", added)}
	old := newOlder(w, newLoad())
	sessions := []*parsec2.Conn{old.writer}
	elsewhere := parsec2.New(w.addresses[1], client.Options{})
	t.Cleanup(elsewhere.Close)
	session, err := elsewhere.DialAuthenticated(w.ctx, old.device, api3)
	w.do("connect to the other server", err)
	t.Cleanup(session.CloseNow)
	sessions = append(sessions, session)

	organizations := []parsec.OrganizationID{w.organization, old.device.Organization}
	for _, id := range organizations {
		w.do("expire", w.administration().Update(w.ctx, id, client.OrganizationSettings{IsExpired: new(true)}))
	}
	for _, p := range peers {
		p.wantStop(client.StatusOrganizationExpired)
	}
	for i, session := range sessions {
		select {
		case <-session.Done():
		case <-w.ctx.Done():
			t.Fatalf("the session with server %d goes on: %v", i, session.Err())
		}
	}
	wantHandshake := func(want string) {
		t.Helper()
		for i, c := range []*parsec2.Client{old.client, elsewhere} {
			_, err := c.DialAuthenticated(w.ctx, old.device, api3)
			if refused, is := errors.AsType[*parsec2.HandshakeError](err); !is || refused.Result != want {
				t.Errorf("a handshake with server %d: %v, want %s", i, err, want)
			}
		}
	}
	wantHandshake("organization_expired")
	for _, id := range organizations {
		_, err := w.administration().Delete(w.ctx, id)
		w.do("delete", err)
	}
	testkit.Await(t, "nothing is left of them", func() bool {
		left, err := w.administration().Organizations(w.ctx)
		return err == nil && len(left) == 0
	})
	for _, p := range peers {
		w.wantHTTP(p.name+" pings", http.StatusNotFound, p.ping())
	}
	wantHandshake("bad_identity")
}

// TestJoiningOnPostgreSQL has one server, and then two, on one database.
func TestJoiningOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"one server": 1, "two servers": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, mails := testkit.NewPostgres(t), testkit.StartSMTP(t, testkit.SMTPOptions{})
			servers := make([]*testkit.Parsec, count)
			for i := range servers {
				servers[i] = startWithMails(t, mails, "--db", dsn, "--blockstore", "POSTGRESQL")
			}
			join(newWorld(t, servers...), mails)
		})
	}
}

// TestGreetingThatRestarts has both sides, on different servers, start again and again:
// they meet.
func TestGreetingThatRestarts(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t)
	w := newWorld(t, testkit.StartParsec(t, program, "--db", dsn), testkit.StartParsec(t, program, "--db", dsn))
	alice := w.login("alice", w.found("alice"))
	for range 10 {
		reply, err := client3.Call(w.ctx, alice.RPC(), protocol.InviteNewDevice, &protocol.InviteNewDeviceRequest{})
		w.do("invite", err)
		elsewhere := w.connect()
		w.logins++ // alice stays on the other server
		invited, talk := elsewhere.Invited(w.organization, reply.Token), testclient3.NewTalk()
		device, id := atOnce(w, func() (*client3.Device, error) {
			for range rand.IntN(3) {
				_, err := client3.Call(w.ctx, invited, protocol.InviteClaimerStartGreetingAttempt, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: alice.Device.User})
				if err != nil {
					return nil, err
				}
			}
			return testclient3.NewClaimer(elsewhere, w.organization, reply.Token, talk.Claimer()).ClaimDevice(w.ctx, alice.Device.User, alice.Device.Label)
		}, func() (parsec3.DeviceID, error) {
			for range rand.IntN(3) {
				_, err := client3.Call(w.ctx, alice.RPC(), protocol.InviteGreeterStartGreetingAttempt, &protocol.InviteGreeterStartGreetingAttemptRequest{Token: reply.Token})
				if err != nil {
					return parsec3.DeviceID{}, err
				}
			}
			return alice.GreetDevice(w.ctx, reply.Token, talk.Greeter())
		})
		if device.ID != id {
			t.Errorf("the device is %s, and alice knows it as %s", device.ID, id)
		}
	}
}
