//go:build !without_postgresql && !without_postgresql_programs && !without_packet_filter

package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// silenceLimit is thrice the time in which a connection must count as lost.
const silenceLimit = 30 * time.Second

// TestSilentDatabase has the host of the database disappear without a word:
// packets of the connections that there are go nowhere, and new connections
// reach its successor. Commands are told to come back, soon, or succeed; and
// then all is as before, events too.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	if !testkit.OwnNetwork(t, program) {
		return
	}
	postgres := testkit.StartBreakablePostgres(t, "listen_addresses=127.0.0.1", "port=5432")
	const dsn = "host=127.0.0.1 port=5432 user=postgres dbname=postgres sslmode=disable"
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	filter := testkit.NewPacketFilter(t, 5432)
	c := newCluster(t, dsn).within(t)
	realm, listener := c.alice.addRealm(), c.alice.addDevice("listener")
	stream, err := c.clients[1].Events(c.ctx, listener.device)
	if err != nil {
		t.Fatal(err)
	}
	create := func(process int, id parsec.VlobID) call {
		return send(c.alice.on[process], protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: id, Timestamp: now(), Blob: []byte{},
		})
	}
	write := func(process int) call { return create(process, newVlobID()) }
	read := func(process int) call {
		return send(c.alice.on[process], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
	}
	store := func(process int) call {
		return send(c.alice.on[process], protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: parsec.BlockID(parsec.NewUUID()), RealmID: realm, Block: []byte("block")})
	}
	kinds := map[string]func(process int) call{"read": read, "write": write, "block": store}
	for process := range c.processes {
		for _, kind := range kinds {
			c.ok(kind(process))
		}
	}

	lost := time.Now()
	filter.Silence(clientPorts(t, postgres.DSN)...)
	var group sync.WaitGroup
	for process := range c.processes {
		for name, kind := range kinds {
			for range 3 { // several of the connections
				group.Go(func() {
					start := time.Now()
					err := kind(process)(c.ctx)
					if spent := time.Since(start); spent > silenceLimit {
						t.Errorf("%s of process %d takes %s", name, process, spent)
					}
					wantOffline(t, name, err)
				})
			}
		}
	}
	group.Wait()
	for process := range c.processes {
		for name, kind := range kinds {
			c.await(name, func() bool {
				err := kind(process)(c.ctx)
				wantOffline(t, name, err)
				return err == nil
			})
		}
		c.awaitReadiness(process, true)
	}
	// A process may notice only now that its events are not delivered: it does
	// not serve until they are.
	var last parsec.VlobID
	c.await("the last write", func() bool {
		last = newVlobID()
		err := create(0, last)(c.ctx)
		wantOffline(t, "write", err)
		return err == nil
	})
	spent := time.Since(lost)
	t.Logf("all is well again after %s", spent)
	if spent > silenceLimit {
		t.Errorf("all is well again after %s", spent)
	}
	for notification := range stream.Notifications() {
		if updated, ok := notification.Event.(*protocol.RealmVlobsUpdatedEvent); ok && updated.SourceID == last {
			stream.Close()
		}
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the events end: %v", err)
	}
}

// wantOffline takes success, and what clients read as "offline, try again".
func wantOffline(t *testing.T, name string, err error) {
	t.Helper()
	var answer *client.HTTPError
	var refused *protocol.Refusal
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case errors.As(err, &answer) && answer.Status == http.StatusServiceUnavailable:
	case name == "block" && errors.As(err, &refused) && refused.Status == protocol.StatusTimeout:
	default:
		t.Errorf("%s: %v", name, err)
	}
}

// clientPorts returns the ports of the connections that a database has by TCP.
func clientPorts(t *testing.T, dsn string) []int {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context()) //nolint:errcheck // It has told.
	rows, err := connection.Query(t.Context(), "SELECT client_port FROM pg_stat_activity WHERE client_port > 0")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(ports) == 0 {
		t.Fatal(ports, err)
	}
	return ports
}
