//go:build !without_postgresql

package bench_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/sleep"
)

func startOn(b *testing.B, dsn string) *testkit.Instance {
	b.Helper()
	return testkit.Start(b, testkit.InstanceOptions{
		Store: func(t testing.TB, bus *event.Bus) rules.Store { return testkit.OpenPostgres(t, dsn, bus) },
	})
}

// through returns the organization, reached through another instance.
func (o *organization) through(instance *testkit.Instance) *organization {
	other := *o
	other.Instance = instance
	return &other
}

// BenchmarkTwoInstances compares two instances over one database with one, at
// the same number of connections: they must not be in each other's way.
func BenchmarkTwoInstances(b *testing.B) {
	for _, item := range []struct {
		name        string
		newExchange func(*testing.B, *organization) *exchange
	}{
		{"vlob_update", vlobUpdates},
		{"vlob_create", vlobCreations},
		{"vlob_read", vlobReads},
	} {
		b.Run(item.name, func(b *testing.B) {
			newSide := func(name string, instances int) *side {
				dsn := testkit.NewPostgres(b, testkit.Unsound)
				through := make([]*organization, instances)
				through[0] = newOrganization(b, startOn(b, dsn))
				for i := range through[1:] {
					through[1+i] = through[0].through(startOn(b, dsn))
				}
				s := &side{name: name}
				for i := range benchmarkConnections {
					s.exchanges = append(s.exchanges, item.newExchange(b, through[i%instances]))
				}
				return s
			}
			compare(b, "ratio-two-to-one", newSide("one", 1), newSide("two", 2))
		})
	}
}

// BenchmarkEventsAcrossInstances measures the time from sending an update to
// one instance until a client of another instance is told, while the first one
// has half the load that it can take.
func BenchmarkEventsAcrossInstances(b *testing.B) {
	dsn := testkit.NewPostgres(b, testkit.Unsound)
	here := newOrganization(b, startOn(b, dsn))
	there := startOn(b, dsn)
	load := &side{name: "load"}
	for range benchmarkConnections {
		load.exchanges = append(load.exchanges, vlobUpdates(b, here))
	}
	load.round(b, tripsPerRound)
	_, most := load.result()

	ctx, stop := context.WithCancel(b.Context())
	var loading sync.WaitGroup
	defer loading.Wait()
	defer stop()
	pace := time.Duration(2 * benchmarkConnections / most * float64(time.Second))
	for i, e := range load.exchanges {
		// Not all at the same instant, which would be full load in turns with none.
		loading.Go(func() {
			if sleep.For(ctx, pace*time.Duration(i)/benchmarkConnections) != nil {
				return
			}
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					if err := e.roundTrip(b.Context()); err != nil {
						b.Errorf("load: %v", err)
						return
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}

	realm := here.newRealm(b)
	listener := here.listenAt(b, there)
	writer := must(here.client.DialAuthenticated(b.Context(), here.device))(b)
	b.Cleanup(writer.CloseNow)
	vlob := here.newVlob(b, realm, 1<<10)
	listener.await(b, vlob, 1)
	var latencies []time.Duration
	version := uint32(1)
	for b.Loop() {
		version++
		start := time.Now()
		must(parsec2.Call(b.Context(), writer, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Version: version, Blob: make([]byte, 1<<10),
		}))(b)
		listener.await(b, vlob, version)
		latencies = append(latencies, time.Since(start))
	}
	slices.Sort(latencies)
	b.ReportMetric(0, "ns/op")
	for _, quantile := range []struct {
		name string
		part float64
	}{{"p50-ms", 0.5}, {"p99-ms", 0.99}} {
		at := min(int(quantile.part*float64(len(latencies))), len(latencies)-1)
		b.ReportMetric(float64(latencies[at].Microseconds())/1000, quantile.name)
	}
	b.ReportMetric(most/2, "load/s")
}

// listener is told of the changes of realms.
type listener struct{ conn *parsec2.Conn }

// listenAt subscribes a second device of the user at an instance: the author of
// an event is not told of it.
func (o *organization) listenAt(b *testing.B, instance *testkit.Instance) listener {
	b.Helper()
	device, request, err := o.device.NewDevice(parsec.DeviceName{}, parsec.DeviceLabel{}, now())
	if err == nil {
		_, err = parsec2.Call(b.Context(), o.conn, protocol.DeviceCreate, request)
	}
	if err != nil {
		b.Fatal(err)
	}
	c := parsec2.New(instance.Address, client.Options{})
	b.Cleanup(c.Close)
	conn := must(c.DialAuthenticated(b.Context(), device))(b)
	b.Cleanup(conn.CloseNow)
	must(parsec2.Call(b.Context(), conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{}))(b)
	return listener{conn}
}

// await returns when it is told of a version.
func (l listener) await(b *testing.B, vlob parsec.VlobID, version uint32) {
	b.Helper()
	for {
		told := must(parsec2.EventsListen(b.Context(), l.conn, &protocol.EventsListenRequest{Wait: true}))(b)
		if update, ok := told.(*protocol.RealmVlobsUpdatedEvent); ok && update.SourceID == vlob && update.SourceVersion == version {
			return
		}
	}
}
