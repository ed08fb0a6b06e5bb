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
// for one of them. Then it measures the time from sending the part that a greeter waits
// for until its stream of events has told of it.
func BenchmarkGreeting(b *testing.B) {
	for _, servers := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d_servers", servers), func(b *testing.B) { measureGreetings(b, servers) })
	}
}

// calls is how many times a greeter is called to measure how long that takes.
const calls = 200

func measureGreetings(b *testing.B, servers int) {
	dsn := durable(b)
	o := found(b, startMeasured(b, "--db", dsn))
	processors := []testkit.ProcessorTime{o.server.ProcessorTime, testkit.DatabaseProcessorTime(b, dsn)}
	address := o.address
	if servers > 1 {
		other := startMeasured(b, "--db", dsn)
		processors = append(processors, other.ProcessorTime)
		address = other.Address
	}
	elsewhere := client3.New(address, client3.LatestVersion, client.Options{})
	b.Cleanup(elsewhere.Close)
	greeter := testclient3.NewResident(client3.New(o.address, client3.LatestVersion, client.Options{}), o.device)
	check(b, greeter.Poll(b.Context()))
	told := readyEvents(b, o)
	spent := func() (sum time.Duration) {
		for _, processor := range processors {
			sum += processor(b)
		}
		return sum
	}
	before, count := spent(), 0
	for ; b.Loop(); count++ {
		token := o.invite(b, fmt.Sprintf("p%d@example.com", count))
		talk, claimed := testclient3.NewTalk(), make(chan error, 1)
		go func() {
			claimer := testclient3.NewClaimer(elsewhere, o.device.Organization, token, talk.Claimer())
			_, err := claimer.ClaimUser(b.Context(), o.device.User, client3.Person{
				Label: o.device.Label, HumanHandle: must(parsec3.ParseHumanHandle(fmt.Sprintf("p%d@example.com", count), "P")),
			})
			claimed <- err
		}()
		_, err := greeter.GreetUser(b.Context(), token, parsec.ProfileStandard, talk.Greeter())
		check(b, err)
		check(b, <-claimed)
	}
	b.ReportMetric(float64((spent()-before).Microseconds())/float64(count)/1000, "cpu-ms/greeting")
	for len(told) > 0 {
		<-told
	}
	var latencies []time.Duration
	for i := range calls {
		token := o.invite(b, fmt.Sprintf("q%d@example.com", i))
		claimer := elsewhere.Invited(o.device.Organization, token)
		attempt, err := client3.Call(b.Context(), claimer, protocol.InviteClaimerStartGreetingAttempt, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: o.device.User})
		check(b, err)
		begun := time.Now()
		go func() { // It is answered once the invitation is cancelled, or nobody waits any more.
			_ = call(b.Context(), claimer, protocol.InviteClaimerStep, &protocol.InviteClaimerStepRequest{
				GreetingAttempt: attempt.GreetingAttempt, ClaimerStep: protocol.ClaimerStepOf(0, make([]byte, 32)),
			})
		}()
		latencies = append(latencies, (<-told).Sub(begun))
		check(b, call(b.Context(), o.rpc, protocol.InviteCancel, &protocol.InviteCancelRequest{Token: token}))
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
