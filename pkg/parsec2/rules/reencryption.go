package rules

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Maintenance is what a realm undergoes; its zero value is none.
type Maintenance struct {
	Type      parsec.MaintenanceType
	StartedOn parsec.DateTime
	StartedBy parsec.DeviceID
}

const (
	// maxReencryptionBatch bounds the items of one batch
	// (docs/protocol/commands.md §8).
	maxReencryptionBatch = 1000
	// batchEnvelope is more than what a message that saves a batch holds beside
	// its items, in bytes.
	batchEnvelope = 1 << 10
)

// RealmStartReencryption opens the next encryption revision of a realm and
// sends its key to every participant (docs/protocol/commands.md §6).
func (r *Rules) RealmStartReencryption(ctx context.Context, author *Author, request *protocol.RealmStartReencryptionRequest) (*protocol.EmptyReply, error) {
	err := r.update(ctx, author, Scope{Realm: request.RealmID, By: RealmExclusive}, func(tx Tx, now parsec.DateTime) error {
		if !parsec.InBallpark(now, request.Timestamp) {
			return protocol.RefuseBadTimestamp(now, request.Timestamp)
		}
		realm, found := tx.Realm()
		if !found {
			return errRealmNotFound
		}
		if err := cmp.Or(
			realm.checkNoMaintenance(),
			realm.checkNextRevision(request.EncryptionRevision),
			realm.Member.checkOwner(),
			realm.checkNotDeleted(now),
		); err != nil {
			return err
		}
		participants, err := tx.Participants(ctx)
		if err != nil {
			return err
		}
		if err := checkParticipants(participants, request.PerParticipantMessage); err != nil {
			return err
		}
		tx.StartMaintenance(Maintenance{
			Type:      parsec.MaintenanceReencryption,
			StartedOn: request.Timestamp,
			StartedBy: author.Device,
		})
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.RealmMaintenanceStarted{
			Realm: realm.ID, EncryptionRevision: request.EncryptionRevision,
		}})
		slices.SortFunc(participants, func(x, y parsec.UserID) int { return strings.Compare(x.String(), y.String()) })
		return sendMessages(ctx, tx, author, request.Timestamp, participants, func(participant parsec.UserID) []byte {
			return request.PerParticipantMessage[participant]
		})
	})
	return &protocol.EmptyReply{}, err
}

// checkParticipants wants one message for each participant, and no other.
func checkParticipants(participants []parsec.UserID, messages map[parsec.UserID][]byte) error {
	missing := func(participant parsec.UserID) bool {
		_, found := messages[participant]
		return !found
	}
	if len(participants) != len(messages) || slices.ContainsFunc(participants, missing) {
		return protocol.Refuse(protocol.StatusParticipantMismatch, "The messages are not for exactly the participants of the realm.")
	}
	return nil
}

// RealmFinishReencryption closes a reencryption that has saved every version
// (docs/protocol/commands.md §6). A realm without vlob has nothing to save.
func (r *Rules) RealmFinishReencryption(ctx context.Context, author *Author, request *protocol.RealmFinishReencryptionRequest) (*protocol.EmptyReply, error) {
	err := r.update(ctx, author, Scope{Realm: request.RealmID, By: RealmExclusive}, func(tx Tx, now parsec.DateTime) error {
		realm, found := tx.Realm()
		if !found {
			return errRealmNotFound
		}
		if err := cmp.Or(
			realm.Member.checkOwner(),
			realm.checkNotDeleted(now),
			realm.checkMaintained(),
			realm.checkRevision(request.EncryptionRevision),
		); err != nil {
			return err
		}
		total, done, err := tx.ReencryptionProgress(ctx)
		if err != nil {
			return err
		}
		if done != total {
			return protocol.Refuse(protocol.StatusMaintenanceError, "Some data is not reencrypted yet.")
		}
		tx.FinishMaintenance()
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.RealmMaintenanceFinished{
			Realm: realm.ID, EncryptionRevision: realm.EncryptionRevision,
		}})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// checkBatch applies the table of both batch commands after the realm's
// existence (docs/protocol/commands.md §8).
func (r *Realm) checkBatch(now parsec.DateTime, revision uint64) error {
	return cmp.Or(
		r.checkNotDeleted(now),
		r.checkMaintained(),
		r.checkRevision(revision),
		r.Member.checkOwner(),
	)
}

// VlobGetReencryptionBatch returns versions that are left to reencrypt
// (docs/protocol/commands.md §8): what saves them fits in a message of
// saveBytes, at least a bin and 64 KiB, since what is reencrypted is as long as
// before.
func (r *Rules) VlobGetReencryptionBatch(ctx context.Context, author *Author, request *protocol.VlobGetReencryptionBatchRequest, saveBytes uint64) (*protocol.VlobGetReencryptionBatchReply, error) {
	realm, batch, found, err := r.store.ReencryptionBatch(ctx, author.Organization, author.User(), BatchSelection{
		Realm: request.RealmID, Role: parsec.RoleOwner,
		Items: min(request.Size, maxReencryptionBatch), Bytes: saveBytes - batchEnvelope,
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := realm.checkBatch(r.now(), request.EncryptionRevision); err != nil {
		return nil, err
	}
	return &protocol.VlobGetReencryptionBatchReply{Batch: batch}, nil
}

// VlobSaveReencryptionBatch saves reencrypted versions; the first save of each
// stays (docs/protocol/commands.md §8).
func (r *Rules) VlobSaveReencryptionBatch(ctx context.Context, author *Author, request *protocol.VlobSaveReencryptionBatchRequest) (*protocol.VlobSaveReencryptionBatchReply, error) {
	reply := &protocol.VlobSaveReencryptionBatchReply{}
	err := r.update(ctx, author, Scope{Realm: request.RealmID, By: RealmExclusive}, func(tx Tx, now parsec.DateTime) error {
		realm, found := tx.Realm()
		if !found {
			return errRealmNotFound
		}
		if err := realm.checkBatch(now, request.EncryptionRevision); err != nil {
			return err
		}
		var err error
		reply.Total, reply.Done, err = tx.SaveReencrypted(ctx, request.Batch)
		return err
	})
	return reply, err
}

// BatchSelection selects versions to reencrypt.
type BatchSelection struct {
	Realm parsec.RealmID
	// Role is that of the users for whom any is read.
	Role parsec.RealmRole
	// Items bounds their number, and Bytes the sum of their sizes
	// (protocol.ReencryptionItem): there are as many as fit, but at least one
	// whatever its size, unless Items is 0.
	Items, Bytes uint64
}

// ReencryptionReader reads what is left to reencrypt, for users that have the
// role that the selection names.
type ReencryptionReader interface {
	// ReencryptionBatch lists the versions selected of the previous revision
	// that are not saved in the current one.
	ReencryptionBatch(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection BatchSelection) (*Realm, []protocol.ReencryptionItem, bool, error)
}

// ReencryptionTx is for maintenances; its effects need RealmExclusive.
type ReencryptionTx interface {
	// StartMaintenance sets the maintenance and adds one to the encryption
	// revision.
	StartMaintenance(maintenance Maintenance)
	// FinishMaintenance clears the maintenance; the revision stays.
	FinishMaintenance()

	// ReencryptionProgress counts the versions of the previous revision, and
	// those saved in the current one.
	ReencryptionProgress(ctx context.Context) (total, done uint64, err error)
	// SaveReencrypted stores the items that are versions of the previous
	// revision of this realm and not saved yet, and returns the progress after
	// it. It is the one effect that is done at once.
	SaveReencrypted(ctx context.Context, items []protocol.ReencryptionItem) (total, done uint64, err error)
}

// checkNoMaintenance refuses what no maintenance allows.
func (r *Realm) checkNoMaintenance() error {
	if r.Maintenance.Type != parsec.MaintenanceNone {
		return errInMaintenance
	}
	return nil
}

// checkReadable refuses the reads that a reencryption alone allows.
func (r *Realm) checkReadable() error {
	switch r.Maintenance.Type {
	case parsec.MaintenanceNone, parsec.MaintenanceReencryption:
		return nil
	default:
		return errInMaintenance
	}
}

// CompleteRevision returns the revision under which the realm has every version:
// the one before during a maintenance, which begins the next one.
func (r *Realm) CompleteRevision() uint64 {
	if r.Maintenance.Type == parsec.MaintenanceNone {
		return r.EncryptionRevision
	}
	return r.EncryptionRevision - 1
}

// checkReadableRevision is checkReadable for a read that names its revision.
func (r *Realm) checkReadableRevision(revision uint64) error {
	if err := r.checkReadable(); err != nil {
		return err
	}
	switch revision {
	case r.CompleteRevision():
		return nil
	case r.EncryptionRevision:
		return errInMaintenance
	default:
		return errBadEncryptionRevision
	}
}

// checkMaintained refuses the steps of a maintenance outside of it.
func (r *Realm) checkMaintained() error {
	if r.Maintenance.Type == parsec.MaintenanceNone {
		return errNotInMaintenance
	}
	return nil
}

// checkRevision wants the current revision.
func (r *Realm) checkRevision(revision uint64) error {
	if revision != r.EncryptionRevision {
		return errBadEncryptionRevision
	}
	return nil
}

// checkNextRevision wants the revision that a reencryption opens.
func (r *Realm) checkNextRevision(revision uint64) error {
	if revision != r.EncryptionRevision+1 {
		return errBadEncryptionRevision
	}
	return nil
}
