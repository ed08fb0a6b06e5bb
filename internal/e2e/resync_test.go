package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

const (
	writerCount = 4
	// ownWrites are the writes of each writer to its own vlobs, and
	// sharedWrites those to the one that all contend for.
	ownWrites    = 80
	ownVlobs     = 8
	sharedWrites = 20
	totalWrites  = writerCount * (ownWrites + sharedWrites)
	// cutAfter is how many events a reader hears before it loses its
	// connection.
	cutAfter = 40
)

// TestReadersResynchronise has writers contend in a realm, and readers that
// keep losing their connection: all end with the state of the realm.
func TestReadersResynchronise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	realm := newRealmID()
	alice := inAPI3.connect(w, inAPI3.found(w, "CoolOrg", "alice@laptop"))
	bob := inAPI3.connect(w, createUser(w, inAPI3, alice, inAPI3.person("bob@desk"), parsec.ProfileStandard))
	ok(w, alice, protocol.RealmCreate, must(alice.device.NewRealm(realm, w.tick())))
	ok(w, alice, protocol.RealmUpdateRoles, must(alice.device.UpdateRole(realm, bob.user(), parsec.RoleReader, w.tick())))

	var group errgroup.Group
	var readers []*reader
	for i, g := range []generation{inAPI1, inAPI2, inAPI3, generations[4]} {
		name := must(parsec.ParseDeviceName(fmt.Sprintf("reader%d", i)))
		r := &reader{w: w, realm: realm, generation: g, device: createDevice(w, inAPI3, bob, name), view: map[parsec.VlobID]uint32{}}
		if err := r.connect(); err != nil {
			t.Fatalf("API %s: %v", r.name, err)
		}
		readers = append(readers, r)
		group.Go(r.follow)
	}
	shared := newVlobID()
	for i := range writerCount {
		name := must(parsec.ParseDeviceName(fmt.Sprintf("writer%d", i)))
		writer := inAPI3.connect(w, createDevice(w, inAPI3, alice, name))
		group.Go(func() error { return writer.fill(realm, shared) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	want := ok(w, alice, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
	if want.CurrentCheckpoint != totalWrites || want.Changes[shared] != writerCount*sharedWrites {
		t.Errorf("checkpoint %d, contended version %d", want.CurrentCheckpoint, want.Changes[shared])
	}
	for _, r := range readers {
		if !maps.Equal(r.view, want.Changes) {
			t.Errorf("API %s: view %v, want %v", r.name, r.view, want.Changes)
		}
		if r.connections < 2 {
			t.Errorf("API %s: %d connections", r.name, r.connections)
		}
	}
}

// fill writes the vlobs of a writer, and in turn the one of all.
func (p *peer) fill(realm parsec.RealmID, shared parsec.VlobID) error {
	own := make([]parsec.VlobID, ownVlobs)
	for i := range own {
		own[i] = newVlobID()
	}
	for i := range ownWrites {
		version := uint32(i/ownVlobs) + 1
		if _, err := p.put(realm, own[i%ownVlobs], version); err != nil {
			return err
		}
		if i%(ownWrites/sharedWrites) != 0 {
			continue
		}
		if err := p.contend(realm, shared); err != nil {
			return err
		}
	}
	return nil
}

// contend writes the next version of a vlob that others write too.
func (p *peer) contend(realm parsec.RealmID, vlob parsec.VlobID) error {
	for {
		var last uint32
		read, err := parsec2.Call(p.w.ctx, p, protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
		if err == nil {
			last = read.Version
		} else if !errors.Is(err, protocol.Refuse(protocol.StatusNotFound, "")) {
			return err
		}
		if lost, err := p.put(realm, vlob, last+1); !lost {
			return err
		}
	}
}

// put stores a version, or reports that another writer was faster.
func (p *peer) put(realm parsec.RealmID, vlob parsec.VlobID, version uint32) (lost bool, err error) {
	date := p.w.tick()
	if version == 1 {
		_, err = parsec2.Call(p.w.ctx, p, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: date, Blob: []byte("x"),
		})
	} else {
		_, err = parsec2.Call(p.w.ctx, p, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			EncryptionRevision: 1, VlobID: vlob, Timestamp: date, Version: version, Blob: []byte("x"),
		})
	}
	for _, status := range []protocol.Status{
		protocol.StatusAlreadyExists, protocol.StatusBadVersion, protocol.StatusRequireGreaterTimestamp,
	} {
		if errors.Is(err, protocol.Refuse(status, "")) {
			return true, err
		}
	}
	return false, err
}

// reader keeps a view of a realm: the last version of each vlob.
type reader struct {
	generation
	w           *world
	device      *parsec2.Device
	realm       parsec.RealmID
	view        map[parsec.VlobID]uint32
	checkpoint  uint64
	connections int

	// The connection of the moment: its commands, what waits for its next
	// event, and what drops it.
	commands parsec2.Transport
	next     func() (protocol.Event, error)
	cut      func()
}

// follow reads until every write is in the view, once connected.
func (r *reader) follow() error {
	for {
		err := r.listen()
		r.cut()
		if err == nil && r.checkpoint < totalWrites {
			err = r.connect()
		}
		if err != nil {
			return fmt.Errorf("API %s: %w", r.name, err)
		}
		if r.checkpoint == totalWrites {
			return nil
		}
	}
}

// connect subscribes first and polls then, so that no change falls between
// both.
func (r *reader) connect() error {
	r.connections++
	if err := r.subscribe(); err != nil {
		return err
	}
	changes, err := parsec2.Call(r.w.ctx, r.commands, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: r.realm, LastCheckpoint: r.checkpoint})
	if err != nil {
		r.cut()
		return err
	}
	maps.Copy(r.view, changes.Changes)
	r.checkpoint = changes.CurrentCheckpoint
	return nil
}

func (r *reader) subscribe() error {
	if r.overHTTP {
		rpc := r.w.client.AuthenticatedRPC(r.device, r.version)
		stream, err := rpc.ServerSentEvents(r.w.ctx)
		if err != nil {
			return err
		}
		r.commands, r.next, r.cut = rpc, stream.Next, func() { _ = stream.Close() }
		return nil
	}
	conn, err := r.w.client.DialAuthenticated(r.w.ctx, r.device, r.version)
	if err != nil {
		return err
	}
	if _, err := parsec2.Call(r.w.ctx, conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{}); err != nil {
		conn.CloseNow()
		return err
	}
	r.commands, r.cut = conn, conn.CloseNow
	r.next = func() (protocol.Event, error) {
		return parsec2.EventsListen(r.w.ctx, conn, &protocol.EventsListenRequest{Wait: true})
	}
	return nil
}

// listen applies changes until it has heard enough for one connection, or the
// server finds it too slow.
func (r *reader) listen() error {
	var last uint64
	for heard := 0; heard < cutAfter && r.checkpoint < totalWrites; heard++ {
		received, err := r.next()
		if errors.Is(err, client.ErrProtocol) || r.w.ctx.Err() != nil {
			return err
		}
		if err != nil {
			return nil //nolint:nilerr // the server closed a connection that was too slow
		}
		if _, isRole := received.(*protocol.RealmRolesUpdatedEvent); isRole {
			continue // What happened shortly before a subscription may be told after it.
		}
		change, isChange := received.(*protocol.RealmVlobsUpdatedEvent)
		if !isChange {
			return fmt.Errorf("unexpected event %+v", received)
		}
		if change.Checkpoint <= last {
			return fmt.Errorf("checkpoint %d after %d", change.Checkpoint, last)
		}
		last = change.Checkpoint
		if change.Checkpoint <= r.checkpoint {
			continue // polled already
		}
		if change.Checkpoint != r.checkpoint+1 {
			return fmt.Errorf("checkpoint %d where %d was known", change.Checkpoint, r.checkpoint)
		}
		r.checkpoint = change.Checkpoint
		r.view[change.SourceID] = change.SourceVersion
	}
	return nil
}

// lossyNetwork loses its connections, and opens none until it is repaired.
type lossyNetwork struct {
	mu       sync.Mutex
	conns    []net.Conn
	repaired chan struct{} // closed while it works
}

func newLossyNetwork() *lossyNetwork {
	n := &lossyNetwork{repaired: make(chan struct{})}
	n.repair()
	return n
}

func (n *lossyNetwork) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	repaired := n.repaired
	n.mu.Unlock()
	select {
	case <-repaired:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

func (n *lossyNetwork) lose() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.repaired = make(chan struct{})
	for _, conn := range n.conns {
		_ = conn.Close()
	}
	n.conns = nil
}

func (n *lossyNetwork) repair() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.repaired)
}

// TestEventStreamSurvivesItsConnection writes before, while and after the
// stream of the client is without connection.
func TestEventStreamSurvivesItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	realm := newRealmID()
	alice := inAPI3.connect(w, inAPI3.found(w, "CoolOrg", "alice@laptop"))
	ok(w, alice, protocol.RealmCreate, must(alice.device.NewRealm(realm, w.tick())))
	phone := createDevice(w, inAPI3, alice, deviceID("alice@phone").Name())
	network := newLossyNetwork()
	lossy := parsec2.New(w.Address, client.Options{Now: w.clock.Now, DialContext: network.dial})
	t.Cleanup(lossy.Close)
	stream, err := lossy.Events(w.ctx, phone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.Close)
	write := func() *protocol.RealmVlobsUpdatedEvent {
		vlob := newVlobID()
		if _, err := alice.put(realm, vlob, 1); err != nil {
			t.Fatal(err)
		}
		return &protocol.RealmVlobsUpdatedEvent{RealmID: realm, SourceID: vlob, SourceVersion: 1}
	}
	expect := func(want *protocol.RealmVlobsUpdatedEvent, checkpoint uint64) {
		t.Helper()
		want.Checkpoint = checkpoint
		got := <-stream.Notifications()
		if event, isChange := got.Event.(*protocol.RealmVlobsUpdatedEvent); !isChange || *event != *want {
			t.Fatalf("heard %+v, %+v, want %+v", got, got.Event, want)
		}
	}
	expect(write(), 1)
	network.lose()
	missed := write()
	network.repair()
	if got := <-stream.Notifications(); !got.Reconnected {
		t.Fatalf("heard %+v", got)
	}
	changes := ok(w, alice, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm, LastCheckpoint: 1})
	if changes.CurrentCheckpoint != 2 || changes.Changes[missed.SourceID] != 1 {
		t.Errorf("changes %+v", changes)
	}
	expect(write(), 3)
}
