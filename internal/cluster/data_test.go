//go:build !without_postgresql

package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// The invariants of docs/protocol/commands.md §10 on maintenance, vlobs and
// blocks.

func (m *member) messages() int {
	return len(ask(m.c, m.on[0], protocol.MessageGet, &protocol.MessageGetRequest{}).Messages)
}

func invariant33OneStart(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for round := range rounds / 2 {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleOwner)
		got := c.race(repeat(6, func(i, process int) call {
			return []*member{c.alice, bob}[i/2%2].startsReencryption(process, realm, c.alice, bob)
		})...)
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusInMaintenance: 5})
		if state := ask(c, bob.on[1], protocol.RealmStatus, &protocol.RealmStatusRequest{RealmID: realm}); state.EncryptionRevision != 2 {
			c.t.Fatalf("revision %d", state.EncryptionRevision)
		}
		if c.alice.messages() != round+1 || bob.messages() != round+1 {
			c.t.Fatalf("%d and %d messages for %d starts", c.alice.messages(), bob.messages(), round+1)
		}
	}
}

// invariant34ExactParticipants covers invariant 41 too.
func invariant34ExactParticipants(c *cluster) {
	carol := c.addUser("carol@laptop", parsec.ProfileStandard)
	for round := range rounds {
		bob := c.addUser(fmt.Sprintf("bob%d@laptop", round), parsec.ProfileStandard)
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleReader)
		start := c.alice.startsReencryption(0, realm, c.alice, bob)
		if round%2 == 0 {
			c.wantEither(c.race(start, c.alice.changesRole(1, realm, carol, parsec.RoleReader, now())),
				order{protocol.StatusOK, protocol.StatusInMaintenance},
				order{protocol.StatusParticipantMismatch, protocol.StatusOK})
			continue
		}
		phone := c.alice.addDevice(fmt.Sprintf("phone%d", round))
		before := len(c.outboxAuthors())
		got := c.race(start, phone.revokes(1, bob.id()))
		c.wantEither(got,
			order{protocol.StatusOK, protocol.StatusOK},
			order{protocol.StatusParticipantMismatch, protocol.StatusOK})
		if committed := c.outboxAuthors()[before:]; got[0] == protocol.StatusOK && committed[len(committed)-1] != phone.device.ID {
			c.t.Fatalf("a user that is revoked takes part: %v", committed)
		}
	}
}

func (c *cluster) saves(process int, realm parsec.RealmID, batch []protocol.ReencryptionItem) call {
	return func(ctx context.Context) error {
		reply, err := parsec2.Call(ctx, c.alice.on[process], protocol.VlobSaveReencryptionBatch, &protocol.VlobSaveReencryptionBatchRequest{
			RealmID: realm, EncryptionRevision: 2, Batch: batch,
		})
		if err == nil && reply.Done > reply.Total {
			err = fmt.Errorf("%d of %d are done", reply.Done, reply.Total)
		}
		return err
	}
}

func (c *cluster) finishes(process int, realm parsec.RealmID) call {
	return send(c.alice.on[process], protocol.RealmFinishReencryption, &protocol.RealmFinishReencryptionRequest{RealmID: realm, EncryptionRevision: 2})
}

// invariant36NothingIsLost writes by both processes while one starts a
// reencryption: what is accepted is there after it.
func invariant36NothingIsLost(c *cluster) {
	phone := c.alice.addDevice("phone")
	for round := range rounds / 2 {
		realm := c.alice.addRealm()
		c.nothingAfter(c.alice.startsReencryption(round%2, realm, c.alice), protocol.StatusInMaintenance, []*member{phone},
			func(process int) call { return phone.createsVlob(process, realm, newVlobID(), now()) })
		batch := ask(c, c.alice.on[0], protocol.VlobGetReencryptionBatch, &protocol.VlobGetReencryptionBatchRequest{
			RealmID: realm, EncryptionRevision: 2, Size: 1000,
		}).Batch
		accepted := ask(c, c.alice.on[1], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm}).Changes
		if len(batch) != len(accepted) {
			c.t.Fatalf("%d to reencrypt of %d", len(batch), len(accepted))
		}
		c.ok(c.saves(0, realm, batch))
		c.ok(c.finishes(1, realm))
		for vlob := range accepted {
			ask(c, c.alice.on[0], protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 2, VlobID: vlob})
		}
	}
}

// invariant37OneFinish has saves race with finishes; it covers invariants 35,
// 38 and 40 too.
func invariant37OneFinish(c *cluster) {
	for round := range rounds {
		realm := c.alice.addRealm()
		vlobs := []parsec.VlobID{newVlobID(), newVlobID(), newVlobID()}
		for _, vlob := range vlobs {
			c.ok(c.alice.createsVlob(0, realm, vlob, now()))
		}
		c.ok(c.alice.startsReencryption(1, realm, c.alice))
		contents := func(name string) (batch []protocol.ReencryptionItem) {
			for i := range vlobs {
				// Savers begin with different vlobs.
				batch = append(batch, protocol.ReencryptionItem{VlobID: vlobs[(i+round)%len(vlobs)], Version: 1, Blob: []byte(name)})
			}
			return batch
		}
		reversed := contents("second")
		slices.Reverse(reversed)
		got := c.race(c.saves(0, realm, contents("first")), c.saves(1, realm, reversed), c.finishes(0, realm), c.finishes(1, realm))
		for _, status := range got[:2] {
			if status != protocol.StatusOK && status != protocol.StatusNotInMaintenance {
				c.t.Fatalf("got %v", got)
			}
		}
		if got[2] == protocol.StatusOK == (got[3] == protocol.StatusOK) {
			// Neither, before all was saved; or both.
			c.wantEither(got[2:], order{protocol.StatusMaintenanceError, protocol.StatusMaintenanceError})
			c.wantOutcomes(c.race(c.finishes(0, realm), c.finishes(1, realm)), outcomes{protocol.StatusOK: 1, protocol.StatusNotInMaintenance: 1})
		}
		blobs := map[string]bool{}
		for _, vlob := range vlobs {
			read := ask(c, c.alice.on[0], protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 2, VlobID: vlob})
			blobs[string(read.Blob)] = true
		}
		if len(blobs) != 1 {
			c.t.Fatalf("each batch is saved in part: %v", blobs)
		}
		late := c.saves(round%2, realm, contents("late"))
		c.wantEither(c.race(late), order{protocol.StatusNotInMaintenance})
		if state := ask(c, c.alice.on[1], protocol.RealmStatus, &protocol.RealmStatusRequest{RealmID: realm}); state.EncryptionRevision != 2 || state.InMaintenance {
			c.t.Fatalf("got %+v", state)
		}
	}
}

func invariant42OneWinner(c *cluster) {
	realm := c.alice.addRealm()
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	c.alice.grant(realm, bob, parsec.RoleContributor)
	for range rounds {
		vlob := newVlobID()
		for version := uint32(1); version <= 2; version++ {
			requests := make([]protocol.VlobUpdateRequest, 8)
			authors := []*member{c.alice, bob}
			loser := protocol.StatusAlreadyExists
			got := c.race(repeat(len(requests), func(i, process int) call {
				author := authors[i/2%2]
				requests[i] = protocol.VlobUpdateRequest{
					EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Version: version, Blob: fmt.Append(nil, i),
				}
				if version == 1 {
					return send(author.on[process], protocol.VlobCreate, &protocol.VlobCreateRequest{
						RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: requests[i].Timestamp, Blob: requests[i].Blob,
					})
				}
				loser = protocol.StatusBadVersion
				return send(author.on[process], protocol.VlobUpdate, &requests[i])
			})...)
			c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, loser: len(requests) - 1})
			winner := slices.Index(got, protocol.StatusOK)
			stored := ask(c, bob.on[winner%2], protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
			if stored.Version != version || stored.Author != authors[winner/2%2].device.ID ||
				stored.Timestamp != requests[winner].Timestamp || !bytes.Equal(stored.Blob, requests[winner].Blob) {
				c.t.Fatalf("got %+v, the winner is %d", stored, winner)
			}
		}
	}
}

// invariant44Checkpoints writes the versions of many vlobs by both processes
// in turn, while a client of each polls and one listens; it covers invariants
// 43, 45 and 51 too.
func invariant44Checkpoints(c *cluster) {
	const vlobs, versions = 8, 12
	realm := c.alice.addRealm()
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	c.alice.grant(realm, bob, parsec.RoleReader)
	listeners := []*listener{c.listen(0, bob), c.listen(1, bob)}
	calls := repeat(2, func(_, process int) call {
		known := map[parsec.VlobID]uint32{}
		return func(ctx context.Context) error {
			for checkpoint := uint64(0); checkpoint < vlobs*versions; {
				reply, err := parsec2.Call(ctx, bob.on[process], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm, LastCheckpoint: checkpoint})
				if err != nil {
					return err
				}
				for vlob, version := range reply.Changes {
					if version <= known[vlob] {
						return fmt.Errorf("version %d of %s after %d", version, vlob, known[vlob])
					}
					known[vlob] = version
				}
				// Each entry of the log is one version.
				total := uint64(0)
				for _, version := range known {
					total += uint64(version)
				}
				if checkpoint = reply.CurrentCheckpoint; total != checkpoint {
					return fmt.Errorf("%d versions known at checkpoint %d", total, checkpoint)
				}
			}
			return nil
		}
	})
	calls = append(calls, repeat(vlobs, func(i, _ int) call {
		vlob := newVlobID()
		return func(ctx context.Context) error {
			err := c.alice.createsVlob(i%2, realm, vlob, now())(ctx)
			for version := uint32(2); version <= versions && err == nil; version++ {
				err = c.alice.updatesVlob((i+int(version))%2, vlob, version, now(), nil)(ctx)
			}
			return err
		}
	})...)
	c.wantOutcomes(c.race(calls...), outcomes{protocol.StatusOK: 2 + vlobs})
	for _, listener := range listeners {
		latest := map[parsec.VlobID]uint32{}
		for checkpoint := uint64(1); checkpoint <= vlobs*versions; {
			updated, isUpdate := listener.next().(*protocol.RealmVlobsUpdatedEvent)
			if !isUpdate {
				continue // The role may be told of late.
			}
			if updated.Checkpoint != checkpoint || updated.SourceVersion != latest[updated.SourceID]+1 {
				c.t.Fatalf("event %d is %+v", checkpoint, updated)
			}
			latest[updated.SourceID] = updated.SourceVersion
			checkpoint++
		}
	}
}

// invariant47SequesterServices has a third process, that of the test, add a
// service while both servers write.
func invariant47SequesterServices(c *cluster) {
	// Nobody has signed the services.
	c = newCluster(c.t, testkit.NewPostgres(c.t, testkit.Unsound)).within(c.t)
	bus := event.NewBus()
	c.t.Cleanup(bus.Close)
	store := testkit.OpenPostgres(c.t, c.dsn, bus)
	organization := c.alice.device.Organization
	change := func(effects func(tx rules.Tx)) call {
		return func(ctx context.Context) error {
			return store.Update(ctx, rules.Scope{Organization: organization, LockOrganization: true}, func(tx rules.Tx) error {
				effects(tx)
				tx.Emit(event.Event{Organization: organization, Body: notice.Pinged{}})
				return nil
			})
		}
	}
	c.ok(change(func(tx rules.Tx) {
		found, _ := tx.Organization()
		sequestered := *found
		sequestered.SequesterAuthorityCertificate = []byte("authority")
		tx.PutOrganization(sequestered)
	}))
	realm := c.alice.addRealm()
	services := map[parsec.SequesterServiceID][]byte{}
	for round := range byte(rounds / 2) {
		id := parsec.SequesterServiceID{round}
		copies := make(map[parsec.SequesterServiceID][]byte, len(services))
		for service := range services {
			copies[service] = []byte("copy")
		}
		added := change(func(tx rules.Tx) {
			tx.PutSequesterService(rules.SequesterService{
				ID: id, Label: fmt.Sprint(round), Certificate: []byte("service"), CreatedOn: now(),
			})
		})
		c.nothingAfter(added, protocol.StatusSequesterInconsistency, []*member{c.alice}, func(process int) call {
			return send(c.alice.on[process], protocol.VlobCreate, &protocol.VlobCreateRequest{
				RealmID: realm, EncryptionRevision: 1, VlobID: newVlobID(), Timestamp: now(), SequesterBlob: copies,
			})
		})
		services[id] = nil
	}
}

func invariant48ConcurrentBlocks(c *cluster) {
	realm := c.alice.addRealm()
	for range rounds {
		block := parsec.BlockID(parsec.NewUUID())
		content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1000+i) }
		var early atomic.Pointer[[]byte] // what was read during the race
		calls := repeat(6, func(i, process int) call {
			return send(c.alice.on[process], protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: block, RealmID: realm, Block: content(i)})
		})
		got := c.race(append(calls, func(ctx context.Context) error {
			read, err := parsec2.Call(ctx, c.alice.on[0], protocol.BlockRead, &protocol.BlockReadRequest{BlockID: block})
			if err == nil {
				early.Store(&read.Block)
			}
			return nil // It may not be there yet.
		})...)[:6]
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 5})
		want := content(slices.Index(got, protocol.StatusOK))
		for _, commands := range c.alice.on {
			if read := ask(c, commands, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: block}); !bytes.Equal(read.Block, want) {
				c.t.Fatal("the bytes are not the winner's")
			}
		}
		if read := early.Load(); read != nil && !bytes.Equal(*read, want) {
			c.t.Fatal("the bytes were not the winner's at first")
		}
	}
}
