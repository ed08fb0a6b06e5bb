package rules

import (
	"bytes"
	"cmp"
	"context"
	"errors"

	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// VlobVersion is one stored version of a vlob, an atom.
type VlobVersion struct {
	Vlob      parsec.VlobID
	Version   uint32
	KeyIndex  uint64
	Author    parsec3.DeviceID
	Timestamp parsec.DateTime
	Blob      []byte
}

// VlobChange is the last version of a vlob that was written since a checkpoint.
type VlobChange struct {
	Vlob    parsec.VlobID
	Version uint32
}

// VlobNumber names a version of a vlob.
type VlobNumber struct {
	Vlob    parsec.VlobID
	Version uint32
}

var (
	errVlobExists   = protocol.Refuse(protocol.StatusVlobAlreadyExists)
	errVlobNotFound = protocol.Refuse(protocol.StatusVlobNotFound)
	errBadVersion   = protocol.Refuse(protocol.StatusBadVlobVersion)
	errTooMany      = protocol.Refuse(protocol.StatusTooManyElements)
)

// VlobCreate stores version 1 of a new vlob (docs/protocol/v5/commands.md §11.1).
func (r *Rules) VlobCreate(ctx context.Context, author *Author, request *protocol.VlobCreateRequest) (*protocol.VlobCreateReply, error) {
	err := r.writeVlob(ctx, author, request.RealmID, &VlobVersion{
		Vlob: request.VlobID, Version: 1, KeyIndex: request.KeyIndex,
		Author: author.Device, Timestamp: request.Timestamp, Blob: request.Blob,
	}, func(latest uint32) error {
		if latest != 0 {
			return errVlobExists
		}
		return nil
	})
	return &protocol.VlobCreateReply{}, err
}

// VlobUpdate stores the next version of a vlob (docs/protocol/v5/commands.md §11.2).
// Its date may be before that of the one before it.
func (r *Rules) VlobUpdate(ctx context.Context, author *Author, request *protocol.VlobUpdateRequest) (*protocol.VlobUpdateReply, error) {
	err := r.writeVlob(ctx, author, request.RealmID, &VlobVersion{
		Vlob: request.VlobID, Version: request.Version, KeyIndex: request.KeyIndex,
		Author: author.Device, Timestamp: request.Timestamp, Blob: request.Blob,
	}, func(latest uint32) error {
		switch {
		case latest == 0:
			return errVlobNotFound
		case request.Version != latest+1:
			return errBadVersion
		default:
			return nil
		}
	})
	return &protocol.VlobUpdateReply{}, err
}

// writeVlob stores a version, with what checkLatest says of the latest version of the
// vlob, 0 for none. While the state is out of reach it is held, and tried again
// (docs/protocol/v5/quirks.md §11): what a try of before has stored, of which the
// answer was lost, is not refused because it is there.
func (r *Rules) writeVlob(ctx context.Context, author *Author, in parsec.RealmID, version *VlobVersion, checkLatest func(latest uint32) error) error {
	hold := r.holder.Begin()
	defer hold.End()
	writing := r.vlobUpdate(author, in, version, checkLatest)
	for again := false; ; again = true {
		err := r.updateWithConsent(ctx, &hold, writing)
		if again && isRefusal(err) {
			var stored bool
			if stored, err = r.isStored(ctx, author, in, version, err); stored {
				return nil
			}
		}
		if !errors.Is(err, outage.ErrUnavailable) || !hold.Wait(ctx) {
			return err
		}
	}
}

func isRefusal(err error) bool {
	_, is := errors.AsType[*protocol.Refusal](err)
	return is
}

// isStored reports whether a version is there as this very command would store it, and
// otherwise returns the refusal, or why nothing is known.
func (r *Rules) isStored(ctx context.Context, author *Author, in parsec.RealmID, version *VlobVersion, refusal error) (bool, error) {
	reading, err := r.store.ReadVersions(ctx, author.Organization, author.Device, in,
		[]VlobNumber{{version.Vlob, version.Version}}, uint64(len(version.Blob)))
	if err != nil {
		return false, err
	}
	if len(reading.Versions) != 1 {
		return false, refusal
	}
	there := &reading.Versions[0]
	return there.Author == version.Author && there.Timestamp == version.Timestamp &&
		there.KeyIndex == version.KeyIndex && bytes.Equal(there.Blob, version.Blob), refusal
}

// vlobUpdate applies the table of both writes. Webhooks come last, so that no third
// party hears of a version that loses.
func (r *Rules) vlobUpdate(author *Author, in parsec.RealmID, version *VlobVersion, checkLatest func(latest uint32) error) *consentedUpdate {
	now := r.now()
	scope := Scope{Common: Shared, Realm: in, RealmLock: Shared, Vlob: version.Vlob, Date: version.Timestamp, Size: len(version.Blob)}
	return &consentedUpdate{author: author, now: now, scope: scope, ask: func(ctx context.Context, service SequesterService) error {
		return r.webhooks.AskVlob(ctx, service, &VlobQuestion{Organization: author.Organization, Realm: in, Version: version})
	}, rule: func(ctx context.Context, tx Tx, given consent) error {
		realm, err := writableRealm(tx)
		if err != nil {
			return err
		}
		if err := realm.checkKeyIndex(version.KeyIndex); err != nil {
			return err
		}
		common := tx.Topics().Common
		if err := cmp.Or(
			checkLatest(tx.Vlob()),
			checkBallpark(now, version.Timestamp),
			checkGreater(version.Timestamp, common, realm.Timestamp),
		); err != nil {
			return err
		}
		if err := given.check(ctx, tx); err != nil {
			return err
		}
		tx.WriteVlob(*version)
		body := notice.Vlob{
			ID: notice.NewID(), Realm: in, Vlob: version.Vlob, Author: author.Device,
			Timestamp: version.Timestamp, Version: version.Version,
			LastCommon: common, LastCertificate: realm.Timestamp,
		}
		if len(version.Blob) < notice.MaxBlob {
			body.Blob = version.Blob
		}
		tx.Emit(event.Event{Organization: author.Organization, Body: body})
		return nil
	}}
}

const (
	// maxBatchBytes bounds the blobs of a reply, in bytes, where a client may ask for
	// one again and again.
	maxBatchBytes = 64 << 20
	// maxVersionsBytes bounds a reply with more than protocol.MaxVlobs versions, in
	// bytes (docs/protocol/v5/quirks.md §5).
	maxVersionsBytes = 32 << 20
)

// VlobReadBatch returns the latest version of vlobs, or that of a date
// (docs/protocol/v5/commands.md §11.3). The error is UploadInDoubt for who may be
// looking for what it could not upload.
func (r *Rules) VlobReadBatch(ctx context.Context, author *Author, request *protocol.VlobReadBatchRequest) (*protocol.VlobReadBatchReply, error) {
	if len(request.Vlobs) > protocol.MaxVlobs {
		return nil, errTooMany
	}
	reading, err := r.store.ReadVlobs(ctx, author.Organization, author.Device, request.RealmID, request.Vlobs, request.At, maxBatchBytes)
	if err != nil {
		return nil, err
	}
	return r.vlobBatch(author, request, &reading)
}

// vlobBatch answers VlobReadBatch with what was read for it.
func (r *Rules) vlobBatch(author *Author, request *protocol.VlobReadBatchRequest, reading *VlobReading) (*protocol.VlobReadBatchReply, error) {
	items, err := r.vlobItems(reading)
	if err != nil {
		return nil, err
	}
	if len(items.Items) == 0 && len(request.Vlobs) == 1 && request.At == nil &&
		reading.Realm.checkWritable() == nil && r.uploads.mayBeOf(author.Organization, author.Device) {
		return nil, UploadInDoubt
	}
	return &protocol.VlobReadBatchReply{VlobItems: items}, nil
}

// VlobReadVersions returns versions of vlobs (docs/protocol/v5/commands.md §11.4).
func (r *Rules) VlobReadVersions(ctx context.Context, author *Author, request *protocol.VlobReadVersionsRequest) (*protocol.VlobReadVersionsReply, error) {
	versions := make([]VlobNumber, len(request.Items))
	for i, item := range request.Items {
		versions[i] = VlobNumber{Vlob: item.Vlob, Version: item.Version}
	}
	reading, err := r.store.ReadVersions(ctx, author.Organization, author.Device, request.RealmID, versions, maxBatchBytes)
	if err != nil {
		return nil, err
	}
	items, err := r.vlobItems(&reading)
	if err != nil {
		return nil, err
	}
	if len(request.Items) > protocol.MaxVlobs && items.Size() > maxVersionsBytes {
		return nil, errTooMany
	}
	return &protocol.VlobReadVersionsReply{VlobItems: items}, nil
}

// vlobItems returns what is read, if the author may.
func (r *Rules) vlobItems(reading *VlobReading) (protocol.VlobItems, error) {
	if err := r.checkReading(reading.Standing, reading.Realm); err != nil {
		return protocol.VlobItems{}, err
	}
	if reading.TooLong {
		return protocol.VlobItems{}, errTooMany
	}
	items := protocol.VlobItems{
		Items:                            make([]protocol.VlobItem, len(reading.Versions)),
		NeededCommonCertificateTimestamp: reading.Topics.Common,
		NeededRealmCertificateTimestamp:  reading.Realm.Timestamp,
	}
	for i := range reading.Versions {
		version := &reading.Versions[i]
		items.Items[i] = protocol.VlobItem{
			Vlob: version.Vlob, KeyIndex: version.KeyIndex, Author: version.Author,
			Version: version.Version, CreatedOn: version.Timestamp, Blob: version.Blob,
		}
	}
	return items, nil
}

// VlobPollChanges returns what changed in a realm since a checkpoint
// (docs/protocol/v5/commands.md §11.5). A client that is ahead is told its own.
func (r *Rules) VlobPollChanges(ctx context.Context, author *Author, request *protocol.VlobPollChangesRequest) (*protocol.VlobPollChangesReply, error) {
	standing, realm, changes, err := r.store.Changes(ctx, author.Organization, author.Device, request.RealmID, request.LastCheckpoint)
	if err != nil {
		return nil, err
	}
	if err := r.checkReading(standing, realm); err != nil {
		return nil, err
	}
	reply := &protocol.VlobPollChangesReply{
		Changes:           make([]protocol.VlobNumber, len(changes)),
		CurrentCheckpoint: max(realm.Checkpoint, request.LastCheckpoint),
	}
	for i, change := range changes {
		reply.Changes[i] = protocol.VlobNumber{Vlob: change.Vlob, Version: change.Version}
	}
	return reply, nil
}

// VlobReader reads vlobs. They are read for users that have a role in their
// realm, and nothing of them for others, whom the rules refuse. The dates of the
// topics are of the same snapshot. When the blobs of a reading would have more
// than limit bytes together, it has no versions, and is TooLong.
type VlobReader interface {
	// ReadVlobs reads the latest version of each vlob, or with at the highest one
	// dated at or before. It leaves out what there is not, and repeats what is
	// asked twice, in the order asked.
	ReadVlobs(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, vlobs []parsec.VlobID, at *parsec.DateTime, limit uint64) (VlobReading, error)
	// ReadVersions reads versions in the order asked, and leaves out what there
	// is not.
	ReadVersions(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, items []VlobNumber, limit uint64) (VlobReading, error)
	// Changes reads which vlobs have an entry after checkpoint in the realm's
	// log. Realm.Checkpoint is of the same snapshot.
	Changes(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, checkpoint uint64) (Standing, *Realm, []VlobChange, error)
}

// VlobReading is what is read of vlobs. The realm is nil if it is not found.
type VlobReading struct {
	Standing Standing
	Topics   Topics
	Realm    *Realm
	Versions []VlobVersion
	TooLong  bool
}

// VlobTx is for vlobs.
type VlobTx interface {
	// Vlob returns the latest version of the vlob of the scope in the realm of
	// the scope, 0 for none.
	Vlob() (version uint32)
	// WriteVlob stores a version of the vlob of the scope, appends an entry to
	// the log of its realm, and raises the realm's LastVlob. When another
	// transaction writes the same version first, the rule runs again.
	WriteVlob(version VlobVersion)
}
