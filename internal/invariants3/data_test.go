//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/parsec3/webhook"
	"parsec-server/pkg/server"
	serverparsec3 "parsec-server/pkg/server/parsec3"
)

func TestInvariant35OneWriteWins(t *testing.T)       { everywhere(t, oneWriteWins) }
func TestInvariant36VersionsWithoutGap(t *testing.T) { everywhere(t, versionsWithoutGap) }
func TestInvariant37LogWithoutGap(t *testing.T)      { everywhere(t, logWithoutGap) }
func TestInvariant38Checkpoints(t *testing.T)        { everywhere(t, checkpoints) }
func TestInvariant39NeededDates(t *testing.T)        { everywhere(t, neededDates) }
func TestInvariant40ReadsAndRemovals(t *testing.T)   { everywhere(t, readsAndRemovals) }
func TestInvariant41OneBlockWins(t *testing.T)       { everywhere(t, oneBlockWins) }

func oneWriteWins(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleContributor, bob)
	writers := []*member{w.alice, bob}
	vlob := newVlobID()
	for version := uint32(1); version <= rounds; version++ {
		lost := protocol.StatusBadVlobVersion
		if version == 1 {
			lost = protocol.StatusVlobAlreadyExists
		}
		got := w.collide(each(4, func(i, instance int) call {
			if version == 1 {
				return writers[i/2].createsVlobWith(instance, realm, vlob, 1, fmt.Sprint("by ", i), anytime)
			}
			return writers[i/2].updatesVlob(instance, realm, vlob, 1, version, fmt.Sprint("by ", i), anytime)
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, lost: 3})
		for i, status := range got {
			read := w.alice.reads(i%2, realm, vlob).Items[0]
			if status == protocol.StatusOK && (string(read.Blob) != fmt.Sprint("by ", i) || read.Version != version || read.Author != writers[i/2].ID) {
				w.Errorf("call %d wins, and version %d is %q", i, read.Version, read.Blob)
			}
		}
	}
	w.verifyVlobs(realm, bob)
}

// update writes the next version of a vlob, whatever others do.
func (m *member) update(realm parsec.RealmID, vlob parsec.VlobID, content string) call {
	return func(ctx context.Context) error {
		for {
			reply, err := parsec3.Call(ctx, m.on[0], protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{vlob}})
			if err != nil {
				return err
			}
			err = m.updatesVlob(1, realm, vlob, 1, reply.Items[0].Version+1, content, anytime)(ctx)
			if status(err) != protocol.StatusBadVlobVersion {
				return err
			}
		}
	}
}

func versionsWithoutGap(w *world) {
	realm, vlob := w.alice.addRealm(), newVlobID()
	w.ok(w.alice.createsVlob(0, realm, vlob, 1, anytime))
	const writers, each = 3, 8
	var running sync.WaitGroup
	for writer := range writers {
		running.Go(func() {
			for i := range each {
				if got := status(w.alice.update(realm, vlob, fmt.Sprint(writer, i))(w.ctx)); got != protocol.StatusOK {
					w.Errorf("a write ends with %s", got)
				}
			}
		})
	}
	running.Wait()
	request := &protocol.VlobReadVersionsRequest{RealmID: realm}
	for version := range uint32(writers*each + 3) {
		request.Items = append(request.Items, protocol.VlobNumber{Vlob: vlob, Version: version})
	}
	items := ask(w.alice, 1, protocol.VlobReadVersions, request).Items
	if len(items) != 1+writers*each {
		w.Fatalf("%d versions, want %d", len(items), 1+writers*each)
	}
	for i, item := range items {
		if item.Version != uint32(i)+1 {
			w.Fatalf("version %d is number %d", item.Version, i+1)
		}
	}
}

// writeMany has both instances create vlobs of a realm at once, and returns them.
func (w *world) writeMany(realm parsec.RealmID, each int) (vlobs []parsec.VlobID, wait func()) {
	const writers = 4
	var running sync.WaitGroup
	for writer := range writers {
		own := make([]parsec.VlobID, each)
		for i := range own {
			own[i] = newVlobID()
		}
		vlobs = append(vlobs, own...)
		running.Go(func() {
			for _, vlob := range own {
				if got := status(w.alice.createsVlob(writer%2, realm, vlob, 1, anytime)(w.ctx)); got != protocol.StatusOK {
					w.Errorf("a write ends with %s", got)
				}
			}
		})
	}
	return vlobs, running.Wait
}

func logWithoutGap(w *world) {
	realm := w.alice.addRealm()
	collided := each(8, func(_, instance int) call { return w.alice.createsVlob(instance, realm, newVlobID(), 1, anytime) })
	w.wantOutcomes(w.collide(collided...), outcomes{protocol.StatusOK: len(collided)})
	vlobs, wait := w.writeMany(realm, 10)
	wait()
	all := len(vlobs) + len(collided)
	reply := w.alice.changes(1, realm, 0)
	if reply.CurrentCheckpoint != uint64(all) || len(reply.Changes) != all {
		w.Fatalf("checkpoint %d, %d changes, want %d", reply.CurrentCheckpoint, len(reply.Changes), all)
	}
	for checkpoint := range uint64(all) {
		if changes := w.alice.changes(int(checkpoint%2), realm, checkpoint).Changes; len(changes) != all-int(checkpoint) {
			w.Fatalf("%d changes after %d of %d", len(changes), checkpoint, all)
		}
	}
}

func checkpoints(w *world) {
	realm := w.alice.addRealm()
	vlobs, wait := w.writeMany(realm, 15)
	var done atomic.Bool
	go func() {
		wait()
		done.Store(true)
	}()
	known, last := map[parsec.VlobID]bool{}, uint64(0)
	for round, ended := 0, false; !ended; round++ {
		ended = done.Load()
		reply := w.alice.changes(round%2, realm, last)
		for _, change := range reply.Changes {
			known[change.Vlob] = true
		}
		if reply.CurrentCheckpoint < last || uint64(len(known)) != reply.CurrentCheckpoint {
			w.Fatalf("checkpoint %d after %d, with %d vlobs known", reply.CurrentCheckpoint, last, len(known))
		}
		last = reply.CurrentCheckpoint
	}
	if len(known) != len(vlobs) {
		w.Errorf("%d of %d vlobs are known", len(known), len(vlobs))
	}
	wait()
}

// neededDates has members come and write at once, while another reads what they write
// and finds out who they are.
func neededDates(w *world) {
	reader := w.addUser("reader", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleReader, reader)
	var vlobs []parsec.VlobID
	for range 2 * rounds {
		vlobs = append(vlobs, newVlobID())
	}
	var done atomic.Bool
	read := make(chan error, 2)
	for instance := range reader.on {
		go func() {
			known := testclient3.NewKnowledge(reader.Device)
			var err error
			for ended := false; err == nil && !ended; {
				ended = done.Load()
				known, err = reader.readVerified(known, instance, realm, vlobs)
			}
			read <- err
		}()
	}
	for _, vlob := range vlobs {
		writer := w.addUser("writer", parsec.ProfileStandard)
		w.ok(w.alice.shares(0, realm, 1, writer, parsec.RoleContributor, anytime), writer.createsVlob(1, realm, vlob, 1, anytime))
	}
	done.Store(true)
	for range reader.on {
		if err := <-read; err != nil {
			w.Error(err)
		}
	}
}

// readVerified reads, then polls as far as the reply needs, then verifies who has
// written.
func (m *member) readVerified(known *testclient3.Knowledge, instance int, realm parsec.RealmID, vlobs []parsec.VlobID) (*testclient3.Knowledge, error) {
	reply, err := parsec3.Call(m.w.ctx, m.on[instance], protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: vlobs})
	if err != nil {
		return known, err
	}
	common, ofRealm := known.Dates(realm)
	if common < reply.NeededCommonCertificateTimestamp || ofRealm < reply.NeededRealmCertificateTimestamp {
		if known, err = m.learn(known, 1-instance); err != nil {
			return known, err
		}
	}
	for _, item := range reply.Items {
		if _, err := known.Signer(realm, item.Author, item.CreatedOn); err != nil {
			return known, fmt.Errorf("vlob %s: %w", item.Vlob, err)
		}
	}
	return known, nil
}

func readsAndRemovals(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealm()
	vlob, block := newVlobID(), newBlockID()
	w.ok(w.alice.createsVlob(0, realm, vlob, 1, anytime), w.alice.createsBlock(1, realm, block, 1, "block"))
	for range rounds {
		w.ok(w.alice.shares(0, realm, 1, bob, parsec.RoleReader, anytime))
		reads := []call{w.alice.unshares(1, realm, bob, anytime)}
		for instance := range bob.on {
			reads = append(reads,
				func(context.Context) error {
					reply, err := parsec3.Call(w.ctx, bob.on[instance], protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{vlob}})
					if err == nil && (len(reply.Items) != 1 || string(reply.Items[0].Blob) != parsec.UUID(vlob).Hex()) {
						return fmt.Errorf("a read finds %+v", reply.Items)
					}
					return err
				},
				func(context.Context) error {
					reply, err := parsec3.Call(w.ctx, bob.on[instance], protocol.BlockRead, &protocol.BlockReadRequest{RealmID: realm, BlockID: block})
					if err == nil && string(reply.Block) != "block" {
						return fmt.Errorf("a read finds %q", reply.Block)
					}
					return err
				},
			)
		}
		got := w.race(reads...)
		w.wantOutcomes(got[:1], outcomes{protocol.StatusOK: 1})
		for _, status := range got[1:] {
			if status != protocol.StatusOK && status != protocol.StatusAuthorNotAllowed {
				w.Errorf("a read ends with %s", status)
			}
		}
	}
}

// oneBlockWins creates blocks in two realms at once.
func oneBlockWins(w *world) {
	realms := []parsec.RealmID{w.alice.addRealm(), w.alice.addRealm()}
	for round := range rounds {
		block := newBlockID()
		calls := each(4, func(i, instance int) call {
			return w.alice.createsBlock(instance, realms[i/2], block, 1, fmt.Sprint("by ", i))
		})
		got := w.race(calls...)
		if round%2 == 0 {
			got = append(got, w.race(calls...)...)
		}
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusBlockAlreadyExists: len(got) - 1})
		for i, status := range got {
			if status != protocol.StatusOK {
				continue
			}
			for instance := range w.alice.on {
				if read := w.alice.readsBlock(instance, realms[i/2], block); string(read.Block) != fmt.Sprint("by ", i) {
					w.Errorf("call %d wins, and the block is %q", i, read.Block)
				}
				w.want(protocol.StatusBlockNotFound, send(w.alice.on[instance], protocol.BlockRead, &protocol.BlockReadRequest{RealmID: realms[1-i/2], BlockID: block}))
			}
		}
	}
	w.takenOver()
}

// takenOver has a creation be slow at its end, so slow that its upload expires, and
// another upload of the block begin, which then fails: what the first one is told to be
// stored is what it has sent.
func (w *world) takenOver() {
	if w.stall == nil {
		return // in memory an organization has one transaction at a time
	}
	realm, block := w.alice.addRealm(), newBlockID()
	release := w.stallCreation(block)
	var done atomic.Int64
	first := w.start([]call{w.alice.createsBlock(0, realm, block, 1, "first")}, &done)
	w.no(w.awaitLocks(1, &done))
	other := w.start([]call{w.failsLater(realm, block, "other")}, &done)
	w.no(w.awaitLocks(2, &done))
	release()
	got := append(first(), other()...)
	if read := w.alice.readsBlock(1, realm, block); got[0] != protocol.StatusOK || string(read.Block) != "first" {
		w.Errorf("%v, and the block is %q", got, read.Block)
	}
}

// stallCreation has the creation of a block wait, once all its facts are read, until it
// is released.
func (w *world) stallCreation(block parsec.BlockID) (release func()) {
	w.Helper()
	exec := func(statements ...string) {
		for _, sql := range statements {
			_, err := w.stall.Exec(w.ctx, sql)
			w.no(err)
		}
	}
	exec("SELECT pg_advisory_lock(3)",
		`CREATE FUNCTION parsec3.stall() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(3); RETURN NEW; END'`,
		fmt.Sprintf(`CREATE TRIGGER stall BEFORE INSERT ON parsec3.block FOR EACH ROW
WHEN (NEW.block_id = '%s' AND NEW.upload_token IS NULL) EXECUTE FUNCTION parsec3.stall()`, parsec.UUID(block)))
	return func() {
		exec("SELECT pg_advisory_unlock(3)")
		exec("DROP TRIGGER stall ON parsec3.block", "DROP FUNCTION parsec3.stall()")
	}
}

// failsLater uploads a block of alice by rules whose clock is so far ahead that another
// upload has expired, and fails once the bytes are written.
func (w *world) failsLater(realm parsec.RealmID, block parsec.BlockID, content string) call {
	w.Helper()
	pool, err := pgxpool.New(w.ctx, w.dsn)
	w.no(err)
	w.Cleanup(pool.Close)
	blocks := &frail{Store: blockstore.NewPostgres(pool)}
	blocks.after.Store(true)
	late := func() parsec.DateTime { return systemClock().Add(time.Hour) }
	by := rules.New(w.store, blocks, w.bus, webhook.New("", discard), late, discard, rules.Options{Founding: founding})
	author := &rules.Author{
		Organization: w.organization, Device: w.alice.ID, User: w.alice.User, VerifyKey: w.alice.VerifyKey(), API: parsec3.LatestVersion,
	}
	return func(ctx context.Context) error {
		_, err := by.BlockCreate(ctx, author, &protocol.BlockCreateRequest{RealmID: realm, BlockID: block, KeyIndex: 1, Block: []byte(content)})
		return err
	}
}

// frail is a block store that can be made to fail, before or after it has written.
type frail struct {
	blockstore.Store
	before, after atomic.Bool
}

func (f *frail) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	if f.before.Load() {
		return blockstore.ErrUnavailable
	}
	err := f.Store.Create(ctx, organization, id, block)
	if f.after.Load() {
		return blockstore.ErrUnavailable
	}
	return err
}

func TestInvariant42BlocksAreDurable(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		blocks := &frail{Store: blockstore.NewMemory()}
		blocksAreDurable(newWorld(t, memoryHome(t, blocks)), blocks)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		blocks := &frail{Store: blockstore.NewMemory()}
		on := openPostgres(t, testkit.NewPostgres(t))
		address := serve(t, on.bus, on.administration, func(s *server.Server) server.Wing {
			return serverparsec3.New(s, newRules(on.store, blocks, on.bus))
		})
		for i := range on.clients {
			on.reach(t, i, address)
		}
		blocksAreDurable(newWorld(t, on), blocks)
	})
}

func blocksAreDurable(w *world, blocks *frail) {
	realm := w.alice.addRealm()
	for _, failure := range []*atomic.Bool{&blocks.before, &blocks.after} {
		block := newBlockID()
		failure.Store(true)
		w.want(protocol.StatusStoreUnavailable, w.alice.createsBlock(0, realm, block, 1, "first"))
		w.want(protocol.StatusBlockNotFound, send(w.alice.on[1], protocol.BlockRead, &protocol.BlockReadRequest{RealmID: realm, BlockID: block}))
		failure.Store(false)
		w.ok(w.alice.createsBlock(1, realm, block, 1, "again"))
		if read := w.alice.readsBlock(0, realm, block); string(read.Block) != "again" {
			w.Errorf("the block is %q", read.Block)
		}
		w.want(protocol.StatusBlockAlreadyExists, w.alice.createsBlock(0, realm, block, 1, "late"))
	}
}
