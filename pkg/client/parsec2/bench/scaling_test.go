package bench_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// The two amounts of data that a command is compared with, none of which it
// asks for.
const (
	fewVlobs     = 100
	fewMessages  = 10
	manyVlobs    = 100_000
	manyMessages = 100_000
)

// BenchmarkOtherRealms compares an organization with few vlobs in other realms
// and one with many: a read must not notice.
func BenchmarkOtherRealms(b *testing.B) {
	for _, item := range []struct {
		name        string
		newExchange func(*testing.B, *organization) *exchange
	}{
		{"vlob_read", vlobReads},
		{"vlob_poll_changes", vlobPolls},
	} {
		b.Run(item.name, func(b *testing.B) {
			newSide := func(name string, vlobs int) *side {
				o := newOrganization(b, testkit.Start(b, testkit.InstanceOptions{}))
				s := &side{name: name}
				for range benchmarkConnections {
					s.exchanges = append(s.exchanges, item.newExchange(b, o))
				}
				o.fillOtherRealms(b, vlobs)
				return s
			}
			compare(b, "ratio-many-to-few", newSide("few", fewVlobs), newSide("many", manyVlobs))
		})
	}
}

// vlobPolls asks for the one change after a checkpoint.
func vlobPolls(b *testing.B, o *organization) *exchange {
	realm := o.newRealm(b)
	for range 10 {
		o.newVlob(b, realm, 1)
	}
	return newExchange(o.dial(b), encode(b, protocol.VlobPollChanges.Form, &protocol.VlobPollChangesRequest{
		RealmID: realm, LastCheckpoint: 9,
	}))
}

// fillOtherRealms spreads the vlobs over ten realms.
func (o *organization) fillOtherRealms(b *testing.B, vlobs int) {
	b.Helper()
	const realms = 10
	author := o.author()
	for range realms {
		realm := o.newRealm(b)
		for range vlobs / realms {
			must(o.Rules.VlobCreate(b.Context(), author, &protocol.VlobCreateRequest{
				RealmID: realm, EncryptionRevision: 1, VlobID: parsec.VlobID(parsec.NewUUID()), Timestamp: now(), Blob: []byte{1},
			}))(b)
		}
	}
}

func (o *organization) author() *rules.Author {
	return &rules.Author{
		Organization: o.device.Organization,
		Device:       o.device.ID,
		Profile:      o.device.Profile,
		VerifyKey:    o.device.VerifyKey(),
		API:          api,
	}
}

// BenchmarkMessageOffset compares a user with few messages before the one that
// it asks for and a user with many.
func BenchmarkMessageOffset(b *testing.B) {
	newSide := func(name string, offset int) *side {
		o := newOrganization(b, testkit.Start(b, testkit.InstanceOptions{}))
		o.fillMessages(b, offset+1)
		s := &side{name: name}
		for range benchmarkConnections {
			s.exchanges = append(s.exchanges, newExchange(o.dial(b), encode(b, protocol.MessageGet.Form, &protocol.MessageGetRequest{
				Offset: uint64(offset),
			})))
		}
		return s
	}
	compare(b, "ratio-many-to-few", newSide("few", fewMessages), newSide("many", manyMessages))
}

// fillMessages stores messages to the first user. Commands would need a
// certificate for each.
func (o *organization) fillMessages(b *testing.B, messages int) {
	b.Helper()
	recipient := o.device.ID.User()
	scope := rules.Scope{Organization: o.device.Organization, Author: o.device.ID}
	err := o.Store.Update(b.Context(), scope, func(tx rules.Tx) error {
		counts, err := tx.MessageCounts(b.Context(), []parsec.UserID{recipient})
		if err != nil {
			return err
		}
		for i := range messages {
			tx.AddMessage(rules.Message{
				Recipient: recipient, Index: counts[recipient] + uint64(i) + 1,
				Sender: o.device.ID, Timestamp: now(), Body: []byte("message"),
			})
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHandshakes opens authenticated connections. The processor time is
// that of the client too, which shares the process.
func BenchmarkHandshakes(b *testing.B) {
	o := newOrganization(b, testkit.Start(b, testkit.InstanceOptions{}))
	dialer := &net.Dialer{}
	c := parsec2.New(o.Address, client.Options{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetLinger(0) // closing leaves no port in use
	}})
	b.Cleanup(c.Close)
	before := processorTime(b)
	b.SetParallelism(benchmarkConnections / 2)
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			conn, err := c.DialAuthenticated(b.Context(), o.device)
			if err != nil {
				b.Error(err)
				return
			}
			conn.CloseNow()
		}
	})
	spent := processorTime(b) - before
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
	b.ReportMetric(float64(b.N)/spent.Seconds(), "handshakes/core-s")
}

// processorTime returns what the process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
