//go:build !without_postgresql && !without_minio

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

const (
	// raidWorkers is how many clients write, and how many read.
	raidWorkers = 2
	// raidPause is the least time between two commands of one of them.
	raidPause = 100 * time.Millisecond
	// raidMaxBlock is what blocks have less bytes than.
	raidMaxBlock = 128 << 10
	// raidPatience bounds what the test of RAID waits for.
	raidPatience = 8 * time.Minute
)

// TestRAIDLosesNothing kills each of three S3 servers in turn, while clients
// write to and read from a RAID1, which accepts writes without one of them, and
// a RAID5, which refuses them. One server comes back with an empty disk.
func TestRAIDLosesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), raidPatience)
	defer cancel()
	program := buildBinary(t)
	nodes := make([]*testkit.MinIO, 3)
	for i := range nodes {
		nodes[i] = testkit.StartMinIO(t)
	}
	raids := []*loadedRAID{
		startRAID(ctx, t, program, 1, nodes, "--blockstore-degraded-writes"),
		startRAID(ctx, t, program, 5, nodes),
	}
	endLoad := startLoad(raids)
	t.Cleanup(endLoad) // Before the servers end, when a wait has failed.

	killed := func(node int, meanwhile func()) {
		t.Helper()
		nodes[node].Kill()
		for _, raid := range raids {
			raid.await(raid.read, 3)
		}
		raids[0].await(raids[0].written, 1)
		meanwhile()
		nodes[node].Start()
	}
	complete := func() {
		t.Helper()
		for _, raid := range raids {
			raid.await(raid.written, 2)
		}
	}
	complete()
	killed(0, func() {})
	complete()
	killed(2, func() {})
	complete()
	killed(1, nodes[1].LoseDisk)
	for _, raid := range raids {
		raid.operate("init")
	}
	complete()
	for _, raid := range raids {
		raid.operate("repair", "--apply")
	}
	endLoad()
	if t.Failed() {
		return
	}

	for _, raid := range raids {
		if checked := raid.operate("check", "--deep"); !strings.Contains(checked, ": nothing wrong.\n") {
			t.Errorf("RAID%d: %s", raid.level, checked)
		}
	}
	nodes[0].Kill() // What was written to the empty disk has to do.
	for _, raid := range raids {
		raid.readAll()
		if err := raid.server.Stop(); err != nil { // The race detector ends it with an error.
			t.Errorf("RAID%d: the server: %v", raid.level, err)
		}
	}
}

// loadedRAID is a server on a database and the three nodes, with the workers
// that use it.
type loadedRAID struct {
	t       *testing.T
	ctx     context.Context
	level   int
	program binary
	store   []string // Options.
	server  *testkit.Process
	client  *parsec2.Client
	device  *parsec2.Device
	realm   parsec.RealmID

	mu sync.Mutex
	// acknowledged are the blocks that the server has said to have, in order.
	acknowledged []storedBlock
	// written and read count what each worker has done.
	written, read *[raidWorkers]atomic.Int64
}

type storedBlock struct {
	id    parsec.BlockID
	bytes []byte
}

func startRAID(ctx context.Context, t *testing.T, program binary, level int, nodes []*testkit.MinIO, options ...string) *loadedRAID {
	t.Helper()
	r := &loadedRAID{
		t: t, ctx: ctx, level: level, program: program, realm: newRealmID(),
		written: new([raidWorkers]atomic.Int64), read: new([raidWorkers]atomic.Int64),
		store: []string{"--db", testkit.NewPostgres(t)},
	}
	for i, node := range nodes {
		s3 := node.S3(fmt.Sprintf("raid%d", level))
		r.store = append(r.store, "--blockstore", fmt.Sprintf("RAID%d:%d:s3:%s:%s:%s:%s:%s", level, i,
			strings.ReplaceAll(s3.Endpoint, ":", `\:`), s3.Region, s3.Bucket, s3.Key.Reveal(), s3.Secret.Reveal()))
	}
	r.operate("init")
	address := r.serve(options)
	r.client = parsec2.New(address, client.Options{})
	t.Cleanup(r.client.Close)
	organization := must(parsec.ParseOrganizationID("CoolOrg"))
	token, err := r.client.Administration(testkit.AdministrationToken).Create(ctx, organization, client.OrganizationSettings{})
	if err != nil {
		t.Fatal(err)
	}
	now := parsec.DateTimeOf(time.Now())
	device, request, err := parsec2.NewOrganization(address.BootstrapAddress(organization, token), parsec2.Person{ID: deviceID("alice@laptop")}, now)
	if err == nil {
		err = r.client.Bootstrap(ctx, organization, request)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.device = device
	conn := r.dial()
	defer conn.CloseNow()
	if _, err := parsec2.Call(ctx, conn, protocol.RealmCreate, must(device.NewRealm(r.realm, now))); err != nil {
		t.Fatal(err)
	}
	return r
}

// serve starts the server, until the test ends.
func (r *loadedRAID) serve(options []string) (address parsec.ServerAddress) {
	r.t.Helper()
	arguments := []string{"backend", "run", "--dev", "--administration-token", testkit.AdministrationToken, "--port", "0"}
	r.server = testkit.StartProcess(r.t, nil, string(r.program), slices.Concat(arguments, r.store, options)...)
	r.server.Await(r.t, func(context.Context) (err error) {
		_, text, _ := strings.Cut(r.server.Output(), " backend_addr=")
		text, _, announced := strings.Cut(text, ")\n")
		if !announced {
			return errors.New("not announced")
		}
		address, err = parsec.ParseServerAddress(text)
		return err
	})
	return address
}

func (r *loadedRAID) dial() *parsec2.Conn {
	r.t.Helper()
	conn, err := r.client.DialAuthenticated(r.ctx, r.device)
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// operate runs a command of operators, which must succeed.
func (r *loadedRAID) operate(command string, options ...string) string {
	r.t.Helper()
	run := r.program.command(r.ctx, slices.Concat([]string{"backend", "blockstore", command}, r.store, options)...)
	printed, err := run.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", command, err, printed)
	}
	return string(printed)
}

// startLoad has workers write and read until the load is ended.
func startLoad(raids []*loadedRAID) (end func()) {
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, r := range raids {
		for worker := range raidWorkers {
			writing, reading := r.dial(), r.dial()
			running.Go(func() { r.writeUntil(stop, writing, &r.written[worker]) })
			running.Go(func() { r.readUntil(stop, reading, &r.read[worker]) })
		}
	}
	return sync.OnceFunc(func() {
		close(stop)
		running.Wait()
	})
}

// writeUntil tries a block again until it is acknowledged, with other bytes
// each time, as clients do that encrypt it again.
func (r *loadedRAID) writeUntil(stop <-chan struct{}, conn *parsec2.Conn, count *atomic.Int64) {
	defer conn.CloseNow()
	id := parsec.BlockID(parsec.NewUUID())
	r.each(stop, func(try int) error {
		block := content(fmt.Sprint(id, try), rand.IntN(raidMaxBlock))
		_, err := parsec2.Call(r.ctx, conn, protocol.BlockCreate, &protocol.BlockCreateRequest{RealmID: r.realm, BlockID: id, Block: block})
		if refusal, refused := errors.AsType[*protocol.Refusal](err); refused && refusal.Status == protocol.StatusTimeout {
			return nil
		}
		if err != nil {
			return fmt.Errorf("create: %w", err)
		}
		r.acknowledge(storedBlock{id, block})
		count.Add(1)
		id = parsec.BlockID(parsec.NewUUID())
		return nil
	})
}

func (r *loadedRAID) readUntil(stop <-chan struct{}, conn *parsec2.Conn, count *atomic.Int64) {
	defer conn.CloseNow()
	r.each(stop, func(int) error {
		block, found := r.pick()
		if !found {
			return nil
		}
		count.Add(1)
		return r.check(conn, block)
	})
}

// each repeats an action until it fails, which fails the test.
func (r *loadedRAID) each(stop <-chan struct{}, action func(try int) error) {
	ticker := time.NewTicker(raidPause)
	defer ticker.Stop()
	for try := 0; ; try++ {
		if err := action(try); err != nil {
			r.t.Errorf("RAID%d: %v", r.level, err)
			return
		}
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

func (r *loadedRAID) acknowledge(block storedBlock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acknowledged = append(r.acknowledged, block)
}

func (r *loadedRAID) pick() (block storedBlock, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.acknowledged) == 0 {
		return storedBlock{}, false
	}
	return r.acknowledged[rand.IntN(len(r.acknowledged))], true
}

func (r *loadedRAID) check(conn *parsec2.Conn, block storedBlock) error {
	reply, err := parsec2.Call(r.ctx, conn, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: block.id})
	switch {
	case err != nil:
		return fmt.Errorf("read of %s: %w", block.id, err)
	case !bytes.Equal(reply.Block, block.bytes):
		return fmt.Errorf("read of %s: %d bytes that are not those of the block, of %d", block.id, len(reply.Block), len(block.bytes))
	default:
		return nil
	}
}

func (r *loadedRAID) readAll() {
	r.t.Helper()
	conn := r.dial()
	defer conn.CloseNow()
	for _, block := range r.acknowledged {
		if err := r.check(conn, block); err != nil {
			r.t.Fatalf("RAID%d: %v", r.level, err)
		}
	}
}

// await waits until each of the workers has done some more, or one has failed.
func (r *loadedRAID) await(counts *[raidWorkers]atomic.Int64, more int64) {
	r.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for i := range counts {
		for want := counts[i].Load() + more; counts[i].Load() < want; <-ticker.C {
			if r.t.Failed() {
				r.t.FailNow()
			}
		}
	}
}
