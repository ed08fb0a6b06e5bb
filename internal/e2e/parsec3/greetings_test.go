//go:build !without_postgresql

package parsec3_test

import (
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
