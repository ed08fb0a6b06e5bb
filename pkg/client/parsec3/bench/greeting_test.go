//go:build !without_postgresql

package bench_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// BenchmarkGreeting has people be invited and greeted, one after the other, each a
// moment after the other side, and measures the processor time of servers and database
// for one of them: of servers that have greeted before, without what they take when
// nobody asks anything. Then it measures the time from sending the part that a greeter
// waits for until its stream of events has told of it.
func BenchmarkGreeting(b *testing.B) {
	for _, servers := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d_servers", servers), func(b *testing.B) { measureGreetings(b, servers) })
	}
}

const (
	// calls is how many times a greeter is called to measure how long that takes.
	calls = 200
	// greetedBefore is how many are greeted before it counts: each connection to the
	// database plans each statement once.
	greetedBefore = 20
	// idlePeriod is how long nobody asks anything.
	idlePeriod = 3 * time.Second
)

// greetings are between one server and another, or the same.
type greetings struct {
	*founded
	elsewhere  *client3.Client
	greeter    *testclient3.Resident
	processors []testkit.ProcessorTime
	count      int
}

func measureGreetings(b *testing.B, servers int) {
	dsn := durable(b)
	g := &greetings{founded: found(b, startMeasured(b, "--db", dsn))}
	g.processors = []testkit.ProcessorTime{g.server.ProcessorTime, testkit.DatabaseProcessorTime(b, dsn)}
	address := g.address
	if servers > 1 {
		other := startMeasured(b, "--db", dsn)
		g.processors = append(g.processors, other.ProcessorTime)
		address = other.Address
	}
	g.elsewhere = client3.New(address, client3.LatestVersion, client.Options{})
	b.Cleanup(g.elsewhere.Close)
	g.greeter = testclient3.NewResident(client3.New(g.address, client3.LatestVersion, client.Options{}), g.device)
	check(b, g.greeter.Poll(b.Context()))
	told := readyEvents(b, g.founded)
	for range greetedBefore {
		g.greet(b)
	}
	before := g.spent(b)
	<-time.After(idlePeriod)
	idle := float64(g.spent(b)-before) / float64(idlePeriod)
	before, begun, greeted := g.spent(b), time.Now(), g.count
	for b.Loop() {
		g.greet(b)
	}
	spent := g.spent(b) - before - time.Duration(idle*float64(time.Since(begun)))
	b.ReportMetric(float64(spent.Microseconds())/float64(g.count-greeted)/1000, "cpu-ms/greeting")
	b.ReportMetric(idle*1000, "idle-cpu-ms/s")
	for len(told) > 0 {
		<-told
	}
	g.measureCalls(b, told)
}

// spent is the processor time of servers and database.
func (g *greetings) spent(b *testing.B) (sum time.Duration) {
	for _, processor := range g.processors {
		sum += processor(b)
	}
	return sum
}

// greet has one more person invited and greeted.
func (g *greetings) greet(b *testing.B) {
	b.Helper()
	email := fmt.Sprintf("p%d@example.com", g.count)
	g.count++
	token := g.invite(b, email)
	talk, claimed := testclient3.NewTalk(), make(chan error, 1)
	go func() {
		claimer := testclient3.NewClaimer(g.elsewhere, g.device.Organization, token, talk.Claimer())
		_, err := claimer.ClaimUser(b.Context(), g.device.User, client3.Person{
			Label: g.device.Label, HumanHandle: must(parsec3.ParseHumanHandle(email, "P")),
		})
		claimed <- err
	}()
	_, err := g.greeter.GreetUser(b.Context(), token, parsec.ProfileStandard, talk.Greeter())
	check(b, err)
	check(b, <-claimed)
}

// measureCalls reports how long it takes until a greeter is told that somebody waits.
func (g *greetings) measureCalls(b *testing.B, told <-chan time.Time) {
	b.Helper()
	var latencies []time.Duration
	for i := range calls {
		token := g.invite(b, fmt.Sprintf("q%d@example.com", i))
		claimer := g.elsewhere.Invited(g.device.Organization, token)
		attempt, err := client3.Call(b.Context(), claimer, protocol.InviteClaimerStartGreetingAttempt, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: g.device.User})
		check(b, err)
		begun := time.Now()
		go func() { // It is answered once the invitation is cancelled, or nobody waits any more.
			_ = call(b.Context(), claimer, protocol.InviteClaimerStep, &protocol.InviteClaimerStepRequest{
				GreetingAttempt: attempt.GreetingAttempt, ClaimerStep: protocol.ClaimerStepOf(0, make([]byte, 32)),
			})
		}()
		latencies = append(latencies, (<-told).Sub(begun))
		check(b, call(b.Context(), g.rpc, protocol.InviteCancel, &protocol.InviteCancelRequest{Token: token}))
	}
	slices.Sort(latencies)
	b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds())/1000, "ms-p99")
}

// readyEvents tells when the first device hears that somebody waits for its user.
func readyEvents(b *testing.B, o *founded) <-chan time.Time {
	b.Helper()
	events, err := o.rpc.Events(b.Context(), "")
	check(b, err)
	b.Cleanup(func() { _ = events.Close() }) // nobody reads it any more
	told := make(chan time.Time, calls)
	go func() {
		for {
			message, err := events.Next()
			if err != nil {
				return
			}
			if _, ready := message.Event.(*protocol.GreetingAttemptReadyEvent); !ready {
				continue
			}
			select {
			case told <- time.Now():
			default: // Of those that are greeted nobody asks.
			}
		}
	}()
	return told
}

func (o *founded) invite(b *testing.B, email string) parsec3.AccessToken {
	b.Helper()
	reply, err := client3.Call(b.Context(), o.rpc, protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email})
	check(b, err)
	return reply.Token
}
