//go:build !without_postgresql

package parsec3_test

import (
	"math/rand/v2"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	client3 "parsec-server/pkg/client/parsec3"
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
