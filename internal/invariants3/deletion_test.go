//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"errors"
	"testing"

	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

func TestInvariant33DeletionIsFinal(t *testing.T) { everywhere(t, deletionIsFinal) }

// errRealmInUse is the outcome of the deletion of a realm that may not be deleted.
const errRealmInUse protocol.Status = "realm in use"

// deletes has an operator delete a realm.
func (w *world) deletes(realm parsec.RealmID) call {
	return func(ctx context.Context) error {
		_, err := w.rules.DeleteRealm(ctx, w.organization, realm, false)
		switch {
		case errors.Is(err, organization.ErrRealmInUse):
			return protocol.Refuse(errRealmInUse)
		case errors.Is(err, organization.ErrRealmDeleted):
			return protocol.Refuse(protocol.StatusRealmDeleted)
		default:
			return err
		}
	}
}

// deletionIsFinal has an operator delete a realm while its owner thinks again:
// either it is deleted for ever, or it stays and is written to. Its certificates stay.
func deletionIsFinal(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	w.settle(organization.Change{MinimumArchivingPeriod: new(uint64(0))})
	for range rounds / 2 {
		realm, vlob := w.alice.addRealmWith(parsec.RoleContributor, bob), newVlobID()
		w.ok(w.alice.createsVlob(0, realm, vlob, 1, anytime), w.alice.createsBlock(1, realm, newBlockID(), 1, "block"))
		date := now()
		w.ok(w.alice.archives(0, realm, parsec.ArchivingDeletionPlanned, &date, date))
		got := w.collide(w.alice.archives(0, realm, parsec.ArchivingAvailable, nil, anytime), w.deletes(realm))
		deleted := protocol.StatusRealmDeleted
		w.wantEither(got, []protocol.Status{protocol.StatusOK, errRealmInUse}, []protocol.Status{deleted, protocol.StatusOK})
		if got[0] == protocol.StatusOK {
			w.ok(bob.updatesVlob(1, realm, vlob, 1, 2, "later", anytime))
			continue
		}
		for instance := range w.alice.on {
			for _, refused := range []call{
				w.alice.archives(instance, realm, parsec.ArchivingAvailable, nil, anytime),
				bob.createsVlob(instance, realm, newVlobID(), 1, anytime), bob.updatesVlob(instance, realm, vlob, 1, 2, "late", anytime),
				bob.createsBlock(instance, realm, newBlockID(), 1, "block"), bob.readsKeys(instance, realm, 1),
				w.alice.names(instance, realm, 1, false, anytime), w.alice.unshares(instance, realm, bob, anytime),
				send(bob.on[instance], protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{vlob}}),
				send(bob.on[instance], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm}),
				w.deletes(realm),
			} {
				w.want(deleted, refused)
			}
		}
		reply, err := parsec3.Call(w.ctx, bob.on[0], protocol.CertificateGet, &protocol.CertificateGetRequest{})
		w.no(err)
		const certificates = 4 // role of alice, rotation, role of bob, archiving
		if got := len(reply.RealmCertificates[realm]); got < certificates {
			w.Errorf("%d certificates of a deleted realm are left", got)
		}
	}
	w.coherent(bob)
}
