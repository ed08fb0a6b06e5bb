//go:build !without_postgresql

package bench_test

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// simultaneousRendezvous is how many pairs meet at once.
const simultaneousRendezvous = 500

// rendezvousPair is a greeter connected to one instance and a claimer
// connected to another.
type rendezvousPair struct {
	token           parsec.InvitationToken
	greeter, claims *parsec2.Conn
}

// newRendezvous makes pairs on two instances over one database.
func newRendezvous(b *testing.B, pairs int) (*organization, []rendezvousPair) {
	b.Helper()
	dsn := testkit.NewPostgres(b, testkit.Unsound)
	here, there := newOrganization(b, startOn(b, dsn)), startOn(b, dsn)
	remote := parsec2.New(there.Address, client.Options{})
	b.Cleanup(remote.Close)
	made := make([]rendezvousPair, pairs)
	for i := range made {
		greeter := must(here.client.DialAuthenticated(b.Context(), here.device))(b)
		b.Cleanup(greeter.CloseNow)
		token := must(parsec2.Call(b.Context(), greeter, protocol.InviteNew, &protocol.InviteNewRequest{
			Type: parsec.InvitationUser, ClaimerEmail: strconv.Itoa(i) + "@example.com",
		}))(b).Token
		address := there.Address.InvitationAddress(here.device.Organization, parsec.InvitationUser, token)
		claimer := must(remote.DialInvited(b.Context(), address))(b)
		b.Cleanup(claimer.CloseNow)
		made[i] = rendezvousPair{token, greeter, claimer}
	}
	return here, made
}

// talked waits until the greeter has spoken.
func (o *organization) talked(b *testing.B, token parsec.InvitationToken) {
	b.Helper()
	scope := rules.Scope{Organization: o.device.Organization, Invitation: token, Greeter: o.device.ID.User()}
	for said := false; !said; {
		err := o.Store.Update(b.Context(), scope, func(tx rules.Tx) error {
			conduit, _ := tx.Conduit()
			said = conduit.Halves[rules.GreeterSide].Said != nil
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRendezvous has every pair go through every step at once.
func BenchmarkRendezvous(b *testing.B) {
	_, pairs := newRendezvous(b, simultaneousRendezvous)
	trust := func(testclient.Codes) error { return nil }
	for b.Loop() {
		var all sync.WaitGroup
		for _, pair := range pairs {
			all.Go(func() {
				if _, err := testclient.Greet(b.Context(), pair.greeter, pair.token, trust); err != nil {
					b.Errorf("greet: %v", err)
				}
			})
			all.Go(func() {
				if _, err := testclient.Claim(b.Context(), pair.claims, parsec.UserID{}, trust); err != nil {
					b.Errorf("claim: %v", err)
				}
			})
		}
		all.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/all-pairs")
}

// BenchmarkRendezvousWake measures how long after the second speaker is
// answered the first one is, on the other instance.
func BenchmarkRendezvousWake(b *testing.B) {
	o, pairs := newRendezvous(b, 1)
	pair := pairs[0]
	var waits []time.Duration
	for b.Loop() {
		type woken struct {
			at  time.Time
			err error
		}
		first := make(chan woken, 1)
		go func() {
			_, err := parsec2.Call(b.Context(), pair.greeter, protocol.Invite1GreeterWaitPeer, &protocol.Invite1GreeterWaitPeerRequest{Token: pair.token})
			first <- woken{time.Now(), err}
		}()
		o.talked(b, pair.token)
		if _, err := parsec2.Call(b.Context(), pair.claims, protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{}); err != nil {
			b.Fatal(err)
		}
		answered := time.Now()
		w := <-first
		if w.err != nil {
			b.Fatal(w.err)
		}
		waits = append(waits, w.at.Sub(answered))
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
}
