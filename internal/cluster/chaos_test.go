//go:build !without_postgresql && !without_postgresql_programs

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	bench2 "parsec-server/pkg/client/parsec2/bench"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// progress is how much each writer must do between two faults.
const progress = 5

// TestChaos breaks the database and a server under load: nothing that was
// acknowledged is lost, nobody misses an event, and all heals by itself.
func TestChaos(t *testing.T) {
	t.Parallel()
	postgres := testkit.StartBreakablePostgres(t)
	if _, err := database.Migrate(t.Context(), postgres.DSN); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, postgres.DSN).within(t)
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	realm := c.alice.addRealm()
	c.alice.grant(realm, bob, parsec.RoleReader)
	contended, recorded := newVlobID(), newHistory()
	c.ok(send(c.alice.on[0], protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realm, EncryptionRevision: 1, VlobID: contended, Timestamp: now(), Blob: []byte{},
	}))

	running, stop := context.WithCancel(c.ctx)
	defer stop()
	var load errgroup.Group
	for _, process := range c.processes {
		started := make(chan struct{})
		load.Go(func() error { return background(running, process.Address, sync.OnceFunc(func() { close(started) })) })
		select {
		case <-started:
		case <-c.ctx.Done():
			t.Fatal("the load does not start")
		}
	}
	var writers []*writer
	for i := range 4 {
		w := &writer{
			c: c, process: i % 2, number: i, device: c.alice.addDevice(fmt.Sprintf("writer%d", i)).device,
			realm: realm, contended: contended, recorded: recorded, versions: map[parsec.VlobID]uint32{},
		}
		writers = append(writers, w)
		load.Go(func() error {
			err := w.run(running, bob.id())
			if err != nil {
				t.Error(err)
			}
			return err
		})
	}
	following, end := context.WithCancel(c.ctx)
	defer end()
	var followers []*follower
	for process := range c.processes {
		f := &follower{c: c, member: bob, process: process, realm: realm, view: map[parsec.VlobID]uint32{}}
		stream, err := c.clients[process].Events(following, bob.device)
		if err != nil {
			t.Fatal(err)
		}
		f.ok(f.catchUp(following))
		followers = append(followers, f)
		load.Go(func() error { return f.follow(following, stream) })
	}

	awaitProgress := func(writers ...*writer) {
		t.Helper()
		for _, w := range writers {
			before := w.done.Load()
			c.await(fmt.Sprintf("progress of writer %d", w.number), func() bool {
				return w.over.Load() || w.done.Load() >= before+progress
			})
		}
	}
	awaitProgress(writers...)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		postgres.Stop(signal)
		for process := range c.processes {
			c.awaitReadiness(process, false)
		}
		postgres.Start()
		for process := range c.processes {
			c.awaitReadiness(process, true)
		}
		awaitProgress(writers...)
	}
	for range 3 {
		postgres.Terminate()
		awaitProgress(writers...)
	}
	for process, killed := range c.processes {
		killed.Kill()
		awaitProgress(writers[1-process])
		killed.Start()
		awaitProgress(writers...)
	}

	stop()
	c.await("the end of the writers", func() bool {
		for _, w := range writers {
			if !w.over.Load() {
				return false
			}
		}
		return true
	})
	all := ask(c, c.alice.on[0], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
	messages := ask(c, bob.on[1], protocol.MessageGet, &protocol.MessageGetRequest{}).Messages
	for _, f := range followers {
		c.await("the follower", func() bool { return f.has(all.CurrentCheckpoint, len(messages)) })
	}
	end()
	if err := load.Wait(); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, w := range writers {
		w.check(all.Changes)
		sent += w.sent
	}
	if len(messages) != sent {
		t.Errorf("%d messages, %d were acknowledged", len(messages), sent)
	}
	for _, f := range followers {
		if !maps.Equal(f.view, all.Changes) {
			t.Errorf("the follower of process %d knows %v, want %v", f.process, f.view, all.Changes)
		}
		if f.reconnections == 0 {
			t.Errorf("the follower of process %d never lost its connection", f.process)
		}
	}
	recorded.check(t)
}

// background does what `parsec bench --reconnect` does. It calls started from
// time to time.
func background(ctx context.Context, address parsec.ServerAddress, started func()) error {
	report, err := bench2.Run(ctx, bench.Options{
		Address: address, AdministrationToken: testkit.AdministrationToken, Workload: bench.Mix,
		Connections: 1, Duration: patience, API: latest.Major, Reconnect: true,
		Progress: func(p bench.Progress) {
			if p.Operations > 0 {
				started()
			}
		},
	})
	if err == nil && report.Operations == 0 {
		err = errors.New("the load did nothing")
	}
	return err
}

func (c *cluster) awaitReadiness(process int, want bool) {
	c.t.Helper()
	c.await(fmt.Sprintf("readiness %t of process %d", want, process), func() bool {
		request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.processes[process].Address.HTTPOrigin()+"/readyz", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		defer response.Body.Close()
		reason, err := io.ReadAll(response.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		ready := response.StatusCode == http.StatusOK
		if !ready && (response.StatusCode != http.StatusServiceUnavailable || len(reason) == 0) {
			c.t.Fatalf("HTTP %d, %q", response.StatusCode, reason)
		}
		return ready == want
	})
}

// writer is a device that writes, over one connection to one process at a time.
type writer struct {
	c         *cluster
	process   int
	number    int
	device    *parsec2.Device
	realm     parsec.RealmID
	contended parsec.VlobID
	recorded  *history

	conn *parsec2.Conn // nil for none
	// What was acknowledged: the last version of each vlob, blocks, messages.
	versions map[parsec.VlobID]uint32
	blocks   []parsec.BlockID
	sent     int
	done     atomic.Uint64
	over     atomic.Bool
}

// run writes until running ends.
func (w *writer) run(running context.Context, recipient parsec.UserID) error {
	defer w.over.Store(true)
	defer w.disconnect()
	vlob := newVlobID()
	for turn := 0; running.Err() == nil; turn++ {
		var err error
		switch turn % 5 {
		case 0:
			vlob = newVlobID()
			err = w.write(vlob, 1)
		case 1:
			err = w.write(vlob, 2)
		case 2:
			err = w.writeBlock()
		case 3:
			err = w.sendMessage(recipient)
		case 4:
			err = w.attempt(func(commands parsec2.Transport) error {
				return w.recorded.contend(w.c.ctx, w.number, w.contended, func() parsec2.Transport { return commands })
			})
			if !isAnswer(err) && w.conn == nil {
				err = nil // The history knows.
			}
		}
		if err != nil {
			return fmt.Errorf("writer %d: %w", w.number, err)
		}
		w.done.Add(1)
		// At a pace: all that is written here is read again at the end.
		_ = pause(running)
	}
	return nil
}

func (w *writer) disconnect() {
	if w.conn != nil {
		w.conn.CloseNow()
		w.conn = nil
	}
}

// attempt sends commands by a connection, and drops it unless all are answered.
func (w *writer) attempt(commands func(parsec2.Transport) error) error {
	for w.conn == nil {
		conn, err := w.c.clients[w.process].DialAuthenticated(w.c.ctx, w.device)
		switch {
		case err == nil:
			w.conn = conn
		case isFinal(err):
			return err
		default:
			if err := pause(w.c.ctx); err != nil {
				return err
			}
		}
	}
	err := commands(w.conn)
	if !isAnswer(err) && !isFinal(err) {
		w.disconnect()
	}
	return err
}

// isFinal tells of what official clients take for an answer that would always
// be the same.
func isFinal(err error) bool {
	_, handshake := errors.AsType[*parsec2.HandshakeError](err)
	return handshake || errors.Is(err, client.ErrProtocol) || errors.Is(err, context.DeadlineExceeded)
}

// answered sends a command until it is answered, and again after a timeout of
// the block store. Once it was sent before, it may have been done: then done is
// ok too.
func (w *writer) answered(command func(parsec2.Transport) call, done protocol.Status) error {
	for sent := 1; ; sent++ {
		err := w.attempt(func(commands parsec2.Transport) error { return command(commands)(w.c.ctx) })
		switch {
		case sent > 1 && status(err) == done:
			return nil
		case status(err) == protocol.StatusTimeout:
			if err := pause(w.c.ctx); err != nil {
				return err
			}
		case isAnswer(err) || isFinal(err):
			return err
		}
	}
}

func content(name fmt.Stringer, version uint32) []byte {
	return fmt.Appendf(nil, "%s %d", name, version)
}

// write writes a version of a vlob that no other writes.
func (w *writer) write(vlob parsec.VlobID, version uint32) error {
	date, done := now(), protocol.StatusBadVersion
	if version == 1 {
		done = protocol.StatusAlreadyExists
	}
	err := w.answered(func(commands parsec2.Transport) call {
		if version == 1 {
			return send(commands, protocol.VlobCreate, &protocol.VlobCreateRequest{
				RealmID: w.realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: date, Blob: content(vlob, version),
			})
		}
		return send(commands, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			EncryptionRevision: 1, VlobID: vlob, Timestamp: date, Version: version, Blob: content(vlob, version),
		})
	}, done)
	if err == nil {
		w.versions[vlob] = version
	}
	return err
}

func (w *writer) writeBlock() error {
	block := parsec.BlockID(parsec.NewUUID())
	err := w.answered(func(commands parsec2.Transport) call {
		return send(commands, protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: block, RealmID: w.realm, Block: content(block, 0)})
	}, protocol.StatusAlreadyExists)
	if err == nil {
		w.blocks = append(w.blocks, block)
	}
	return err
}

// sendMessage shares a new realm, with a message.
func (w *writer) sendMessage(recipient parsec.UserID) error {
	realm := parsec.RealmID(parsec.NewUUID())
	creation := must(w.device.NewRealm(realm, now()))
	err := w.answered(func(commands parsec2.Transport) call { return send(commands, protocol.RealmCreate, creation) }, protocol.StatusAlreadyExists)
	if err != nil {
		return err
	}
	grant := must(w.device.UpdateRole(realm, recipient, parsec.RoleReader, now()))
	grant.RecipientMessage = []byte("message")
	err = w.answered(func(commands parsec2.Transport) call { return send(commands, protocol.RealmUpdateRoles, grant) }, protocol.StatusAlreadyGranted)
	if err == nil {
		w.sent++
	}
	return err
}

// check finds all that was acknowledged.
func (w *writer) check(changes map[parsec.VlobID]uint32) {
	w.c.t.Helper()
	for vlob, version := range w.versions {
		if changes[vlob] != version {
			w.c.t.Errorf("vlob %s is at version %d, %d was acknowledged", vlob, changes[vlob], version)
		}
		read := ask(w.c, w.c.alice.on[0], protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob, Version: &version})
		if string(read.Blob) != string(content(vlob, version)) {
			w.c.t.Errorf("vlob %s holds %q", vlob, read.Blob)
		}
	}
	for _, block := range w.blocks {
		read := ask(w.c, w.c.alice.on[1], protocol.BlockRead, &protocol.BlockReadRequest{BlockID: block})
		if string(read.Block) != string(content(block, 0)) {
			w.c.t.Errorf("block %s holds %q", block, read.Block)
		}
	}
}

// follower keeps a view of a realm and of the messages of a user as official
// clients do: by events, and by what it polls when it connects.
type follower struct {
	c       *cluster
	member  *member
	process int
	realm   parsec.RealmID

	mu            sync.Mutex
	view          map[parsec.VlobID]uint32
	checkpoint    uint64
	messages      uint64
	reconnections int
}

func (f *follower) ok(err error) {
	f.c.t.Helper()
	if err != nil {
		f.c.t.Fatal(err)
	}
}

func (f *follower) has(checkpoint uint64, messages int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checkpoint == checkpoint && f.messages == uint64(messages)
}

// follow ends with ctx.
func (f *follower) follow(ctx context.Context, stream *parsec2.EventStream) error {
	defer stream.Close()
	for notification := range stream.Notifications() {
		var err error
		switch event := notification.Event.(type) {
		case nil:
			f.mu.Lock()
			f.reconnections++
			f.mu.Unlock()
			err = f.catchUp(ctx)
		case *protocol.RealmVlobsUpdatedEvent:
			err = f.update(event)
		case *protocol.MessageReceivedEvent:
			err = f.receive(event.Index)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("the follower of process %d: %w", f.process, err)
		}
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the events of process %d end: %w", f.process, err)
	}
	return nil
}

// update fails if an event is missing: the connection was never lost since the
// last poll.
func (f *follower) update(event *protocol.RealmVlobsUpdatedEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if event.RealmID != f.realm || event.Checkpoint <= f.checkpoint {
		return nil
	}
	if event.Checkpoint != f.checkpoint+1 {
		return fmt.Errorf("checkpoint %d where %d was known", event.Checkpoint, f.checkpoint)
	}
	f.checkpoint = event.Checkpoint
	f.view[event.SourceID] = event.SourceVersion
	return nil
}

func (f *follower) receive(index uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if index > f.messages+1 {
		return fmt.Errorf("message %d where %d were known", index, f.messages)
	}
	f.messages = max(f.messages, index)
	return nil
}

// catchUp polls what has changed, once the server answers.
func (f *follower) catchUp(ctx context.Context) error {
	for {
		changes, err := parsec2.Call(ctx, f.member.on[f.process], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: f.realm, LastCheckpoint: f.checkpoint})
		var received *protocol.MessageGetReply
		if err == nil {
			received, err = parsec2.Call(ctx, f.member.on[f.process], protocol.MessageGet, &protocol.MessageGetRequest{Offset: f.messages})
		}
		if err == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			maps.Copy(f.view, changes.Changes)
			f.checkpoint = changes.CurrentCheckpoint
			f.messages += uint64(len(received.Messages))
			return nil
		}
		if isAnswer(err) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}
