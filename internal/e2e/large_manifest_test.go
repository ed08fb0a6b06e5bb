package e2e_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// TestLargeManifestsAreReencrypted has manifests of the most bytes that there
// are, more than fit in one message over either transport. The client does as
// official ones: it asks for 1,000, and sends back at once all that it got.
func TestLargeManifestsAreReencrypted(t *testing.T) {
	t.Parallel()
	const (
		manifests = 17 // of 16 MiB that a message may have
		largest   = 1 << 20
	)
	w := newWorld(t, testkit.InstanceOptions{})
	device, realm := inAPI3.found(w, "CoolOrg", "alice@laptop"), newRealmID()
	alice := inAPI3.connect(w, device)
	rpc := w.client.AuthenticatedRPC(device, inAPI3.version)
	ok(w, alice, protocol.RealmCreate, must(device.NewRealm(realm, w.tick())))
	for i := range manifests {
		creator := alice.Transport
		if i%2 == 0 {
			creator = rpc
		}
		ok(w, creator, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: newVlobID(), Timestamp: w.tick(), Blob: content("manifest", largest),
		})
	}
	revision := uint64(1)
	reencrypt := func(name string, commands parsec2.Transport) {
		t.Helper()
		revision++
		ok(w, commands, protocol.RealmStartReencryption, &protocol.RealmStartReencryptionRequest{
			RealmID: realm, EncryptionRevision: revision, Timestamp: w.tick(),
			PerParticipantMessage: map[parsec.UserID][]byte{alice.user(): []byte("new key")},
		})
		rounds := 0
		for done, total := uint64(0), uint64(manifests); done < total; rounds++ {
			batch := ok(w, commands, protocol.VlobGetReencryptionBatch, &protocol.VlobGetReencryptionBatchRequest{
				RealmID: realm, EncryptionRevision: revision, Size: 1000,
			}).Batch
			if len(batch) == 0 {
				t.Fatalf("over %s: an empty batch with %d of %d done", name, done, total)
			}
			saved := ok(w, commands, protocol.VlobSaveReencryptionBatch, &protocol.VlobSaveReencryptionBatchRequest{
				RealmID: realm, EncryptionRevision: revision, Batch: batch,
			})
			done, total = saved.Done, saved.Total
		}
		if rounds > manifests {
			t.Errorf("over %s: %d batches", name, rounds)
		}
		ok(w, commands, protocol.RealmFinishReencryption, &protocol.RealmFinishReencryptionRequest{RealmID: realm, EncryptionRevision: revision})
	}
	reencrypt("WebSocket", alice.Transport)
	reencrypt("HTTP", rpc)
}
