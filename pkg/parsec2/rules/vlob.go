package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Vlob is the head of a vlob.
type Vlob struct {
	ID    parsec.VlobID
	Realm parsec.RealmID
	// Version is the latest one, and Timestamp its date.
	Version   uint32
	Timestamp parsec.DateTime
}

// VlobVersion is one stored version of a vlob, an atom.
type VlobVersion struct {
	Version   uint32
	Blob      []byte
	Author    parsec.DeviceID
	Timestamp parsec.DateTime
	// AuthorRoleCertifiedOn is the date of the latest role certificate of the
	// author's user in the realm, as of the reading.
	AuthorRoleCertifiedOn parsec.DateTime
}

var (
	errVlobNotFound = protocol.Refuse(protocol.StatusNotFound, "No such vlob.")
	errVlobExists   = protocol.Refuse(protocol.StatusAlreadyExists, "This vlob already exists.")
	errBadVersion   = protocol.Refuse(protocol.StatusBadVersion, "This is not a version of the vlob that can be used.")
)

// vlobWrite is what vlob_create and vlob_update have in common.
type vlobWrite struct {
	scope              Scope
	encryptionRevision uint64
	version            VlobVersion
	sequesterBlob      map[parsec.SequesterServiceID][]byte
	// unknown refuses a write whose realm is not found.
	unknown error
	// checkHead applies the part of the table that looks at the vlob.
	checkHead func(head *Vlob, found bool) error
}

// VlobCreate stores version 1 of a new vlob (docs/protocol/commands.md §8).
func (r *Rules) VlobCreate(ctx context.Context, author *Author, request *protocol.VlobCreateRequest) (*protocol.EmptyReply, error) {
	err := r.writeVlob(ctx, author, &vlobWrite{
		scope:              Scope{Realm: request.RealmID, Vlob: request.VlobID, By: RealmVlobCreate},
		encryptionRevision: request.EncryptionRevision,
		version:            VlobVersion{Version: 1, Blob: request.Blob, Author: author.Device, Timestamp: request.Timestamp},
		sequesterBlob:      request.SequesterBlob,
		unknown:            protocol.Refuse(protocol.StatusNotAllowed, "No such realm."),
		checkHead: func(_ *Vlob, found bool) error {
			if found {
				return errVlobExists
			}
			return nil
		},
	})
	return &protocol.EmptyReply{}, err
}

// VlobUpdate stores the next version of a vlob (docs/protocol/commands.md §8).
func (r *Rules) VlobUpdate(ctx context.Context, author *Author, request *protocol.VlobUpdateRequest) (*protocol.EmptyReply, error) {
	err := r.writeVlob(ctx, author, &vlobWrite{
		scope:              Scope{Vlob: request.VlobID, By: RealmVlobUpdate},
		encryptionRevision: request.EncryptionRevision,
		version:            VlobVersion{Version: request.Version, Blob: request.Blob, Author: author.Device, Timestamp: request.Timestamp},
		sequesterBlob:      request.SequesterBlob,
		unknown:            errVlobNotFound,
		checkHead: func(head *Vlob, found bool) error {
			if !found {
				return errVlobNotFound
			}
			if request.Version != head.Version+1 {
				return errBadVersion
			}
			return checkNotBefore(request.Timestamp, head.Timestamp) // C2
		},
	})
	return &protocol.EmptyReply{}, err
}

// writeVlob applies the table of both writes. The webhooks come after every
// other row, so that no third party gets a version that loses.
func (r *Rules) writeVlob(ctx context.Context, author *Author, write *vlobWrite) error {
	now := r.now()
	return r.updateWithWebhooks(ctx, author, now, write.scope, write.sequesterBlob, func(tx Tx, accepted acceptance) error {
		if !parsec.InBallpark(now, write.version.Timestamp) {
			return protocol.RefuseBadTimestamp(now, write.version.Timestamp)
		}
		realm, found := tx.Realm()
		if !found {
			return write.unknown
		}
		if err := cmp.Or(
			realm.checkNotDeleted(now),
			realm.checkNotArchived(),
			realm.checkNoMaintenance(),
			realm.checkRevision(write.encryptionRevision),
			realm.Member.checkWriter(),
			checkAfter(write.version.Timestamp, realm.Member.RoleCertifiedOn), // C1
		); err != nil {
			return err
		}
		services, err := checkSequester(ctx, tx, write.sequesterBlob)
		if err != nil {
			return err
		}
		vlob, found := tx.Vlob()
		if err := write.checkHead(vlob, found); err != nil {
			return err
		}
		if err := accepted.checkWebhooks(services); err != nil {
			return err
		}
		checkpoint := realm.Checkpoint + 1
		tx.WriteVlob(write.version, checkpoint, storedCopies(services, write.sequesterBlob))
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.RealmVlobsUpdated{
			Realm: realm.ID, Checkpoint: checkpoint, Source: write.scope.Vlob, SourceVersion: write.version.Version,
		}})
		return nil
	})
}

// VlobRead returns a version of a vlob (docs/protocol/commands.md §8).
func (r *Rules) VlobRead(ctx context.Context, author *Author, request *protocol.VlobReadRequest) (*protocol.VlobReadReply, error) {
	realm, version, found, err := r.store.ReadVlob(ctx, author.Organization, author.User(), VlobSelection{
		Vlob:               request.VlobID,
		EncryptionRevision: request.EncryptionRevision,
		Version:            request.Version,
		Timestamp:          request.Timestamp,
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errVlobNotFound
	}
	if err := cmp.Or(
		realm.checkNotDeleted(r.now()),
		realm.checkReadableRevision(request.EncryptionRevision),
		realm.Member.checkReader(),
	); err != nil {
		return nil, err
	}
	if version == nil {
		return nil, errBadVersion
	}
	return &protocol.VlobReadReply{
		Version:                 version.Version,
		Blob:                    version.Blob,
		Author:                  version.Author,
		Timestamp:               version.Timestamp,
		AuthorLastRoleGrantedOn: version.AuthorRoleCertifiedOn,
	}, nil
}

// checkRead applies the table of the reads that name no revision, after the
// existence of what is read.
func (r *Realm) checkRead(now parsec.DateTime) error {
	return cmp.Or(r.checkNotDeleted(now), r.checkReadable(), r.Member.checkReader())
}

// VlobListVersions returns the date and author of every version
// (docs/protocol/commands.md §8).
func (r *Rules) VlobListVersions(ctx context.Context, author *Author, request *protocol.VlobListVersionsRequest) (*protocol.VlobListVersionsReply, error) {
	realm, versions, found, err := r.store.VlobVersions(ctx, author.Organization, author.User(), request.VlobID)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errVlobNotFound
	}
	if err := realm.checkRead(r.now()); err != nil {
		return nil, err
	}
	reply := &protocol.VlobListVersionsReply{Versions: make(map[uint32]protocol.VersionInfo, len(versions))}
	for i := range versions {
		reply.Versions[versions[i].Version] = protocol.VersionInfo{
			Timestamp: versions[i].Timestamp, Author: versions[i].Author,
		}
	}
	return reply, nil
}

// VlobPollChanges returns what changed in a realm since a checkpoint
// (docs/protocol/commands.md §8).
func (r *Rules) VlobPollChanges(ctx context.Context, author *Author, request *protocol.VlobPollChangesRequest) (*protocol.VlobPollChangesReply, error) {
	realm, changes, found, err := r.store.Changes(ctx, author.Organization, author.User(), request.RealmID, request.LastCheckpoint)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := realm.checkRead(r.now()); err != nil {
		return nil, err
	}
	return &protocol.VlobPollChangesReply{Changes: changes, CurrentCheckpoint: realm.Checkpoint}, nil
}

// VlobSelection selects a version by number, else the highest dated at or
// before Timestamp, else the latest.
type VlobSelection struct {
	Vlob               parsec.VlobID
	EncryptionRevision uint64
	Version            *uint32
	Timestamp          *parsec.DateTime
}

// VlobReader reads vlobs; what it reads of the realm comes with it. Vlobs are
// read for users that have a role in their realm, and nothing of them for
// others, whom the rules refuse.
type VlobReader interface {
	// ReadVlob reads the vlob's realm and the version selected among those
	// stored under encryptionRevision; the version is nil if there is none.
	ReadVlob(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection VlobSelection) (*Realm, *VlobVersion, bool, error)
	// VlobVersions lists every version once, without blobs.
	VlobVersions(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, vlob parsec.VlobID) (*Realm, []VlobVersion, bool, error)
	// Changes returns the latest version of each vlob that has an entry after
	// checkpoint in the realm's log, and Realm.Checkpoint of the same instant.
	Changes(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, checkpoint uint64) (*Realm, map[parsec.VlobID]uint32, bool, error)
}

// VlobTx is for vlobs.
type VlobTx interface {
	// Vlob returns the vlob of the scope; false if the organization has none.
	Vlob() (*Vlob, bool)
	// WriteVlob stores a version of the scope's vlob in the scope's realm at
	// the current revision, with its sequester copies, appends the entry
	// checkpoint to the realm's log (the realm's checkpoint + 1), and raises
	// the author's LastVlobUpdate.
	WriteVlob(version VlobVersion, checkpoint uint64, sequester map[parsec.SequesterServiceID][]byte)
}
