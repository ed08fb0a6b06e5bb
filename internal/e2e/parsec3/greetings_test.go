//go:build !without_postgresql

package parsec3_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// TestManyGreetings has many people join at the same time, each greeted by one of a few
// administrators on the other one of two servers.
func TestManyGreetings(t *testing.T) {
	t.Parallel()
	count := 24
	if testkit.Long() {
		count = 500
	}
	dsn := testkit.NewPostgres(t)
	w := newWorld(t, testkit.StartParsec(t, program, "--db", dsn), testkit.StartParsec(t, program, "--db", dsn))
	administrators := []*peer{w.login("alice", w.found("alice"))}
	for i := range 3 {
		device, err := administrators[0].AddUser(w.ctx, person(fmt.Sprintf("administrator%d", i)), parsec.ProfileAdmin)
		w.do("add an administrator", err)
		administrators = append(administrators, w.login("administrator", device))
	}
	servers := []*client3.Client{w.connect(), w.connect()}
	tokens := make([]parsec3.AccessToken, count)
	for i := range tokens {
		reply, err := client3.Call(w.ctx, administrators[0].RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email(fmt.Sprintf("p%d", i))})
		w.do("invite", err)
		tokens[i] = reply.Token
	}
	joined := make([]parsec3.UserID, count)
	begin := time.Now()
	var greetings sync.WaitGroup
	for i, token := range tokens {
		greeter := administrators[i%len(administrators)]
		talk := testclient3.NewTalk()
		greetings.Go(func() {
			if _, err := greeter.GreetUser(w.ctx, token, parsec.ProfileStandard, talk.Greeter()); err != nil {
				t.Errorf("greeter of %d: %v", i, err)
			}
		})
		greetings.Go(func() {
			claimer := testclient3.NewClaimer(servers[(i+1)%len(servers)], w.organization, token, talk.Claimer())
			device, err := claimer.ClaimUser(w.ctx, greeter.Device.User, person(fmt.Sprintf("p%d", i)))
			if err != nil {
				t.Errorf("claimer %d: %v", i, err)
				return
			}
			joined[i] = device.User
		})
	}
	greetings.Wait()
	t.Logf("%d greetings took %s", count, time.Since(begin))
	w.do("poll", administrators[0].Poll(w.ctx))
	for i, user := range joined {
		if administrators[0].Knowledge().User(user) == nil {
			t.Errorf("claimer %d is not in", i)
		}
	}
}

// halted is somebody who says that the time has come to hear codes, and goes on when
// something is over.
type halted struct {
	testclient3.Person
	ready chan<- struct{}
	over  <-chan struct{}
}

func (h halted) halt() {
	h.ready <- struct{}{}
	<-h.over
}

func (h halted) Say(code testclient3.SASCode) {
	h.halt()
	h.Person.Say(code)
}

func (h halted) Pick(ctx context.Context, codes []testclient3.SASCode) testclient3.SASCode {
	h.halt()
	return h.Person.Pick(ctx, codes)
}

// TestGreetingOverRestarts has the servers of both sides down when half of the greeting
// is done, after step 3: what was said is in the database, and the same attempt ends
// well.
func TestGreetingOverRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testkit.Parsec) error{
		"stopped": (*testkit.Parsec).Stop,
		"killed":  func(server *testkit.Parsec) error { server.Kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testkit.NewPostgres(t)
			servers := []*testkit.Parsec{testkit.StartParsec(t, program, "--db", dsn), testkit.StartParsec(t, program, "--db", dsn)}
			w := newWorld(t, servers...)
			alice := w.login("alice", w.found("alice"))
			reply, err := client3.Call(w.ctx, alice.RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email("bob")})
			w.do("invite", err)
			elsewhere, talk := w.connect(), testclient3.NewTalk()
			const halts = 4 // two of each
			ready := make(chan struct{}, halts)
			restart, over := context.WithCancel(w.ctx)
			defer over()
			var user parsec3.UserID
			var device *client3.Device
			ends := make(chan error, 2)
			go func() {
				var err error
				user, err = alice.GreetUser(w.ctx, reply.Token, parsec.ProfileStandard, halted{talk.Greeter(), ready, restart.Done()})
				ends <- err
			}()
			go func() {
				claimer := testclient3.NewClaimer(elsewhere, w.organization, reply.Token, halted{talk.Claimer(), ready, restart.Done()})
				var err error
				device, err = claimer.ClaimUser(w.ctx, alice.Device.User, person("bob"))
				ends <- err
			}()
			for range 2 {
				select {
				case <-ready:
				case err := <-ends:
					t.Fatalf("the greeting ends before the restart: %v", err)
				}
			}
			for _, server := range servers {
				w.do("end", end(server))
			}
			for _, server := range servers {
				server.Start()
			}
			over()
			for range 2 {
				w.do("greet", <-ends)
			}
			if device.User != user {
				t.Errorf("bob is %s, and alice knows him as %s", device.User, user)
			}
			bob := w.login("bob", device)
			w.do("poll", bob.Poll(w.ctx))
			if known := bob.Knowledge().User(user); known == nil || known.PublicKey != device.PublicKey() {
				t.Errorf("bob knows of himself %+v", known)
			}
			if err := alice.Err(); err != nil {
				t.Errorf("alice: %v", err)
			}
		})
	}
}
