package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

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
	// checkHead is the part of the table that looks at the vlob.
	checkHead func(head *Vlob, found bool) error
}

// VlobCreate stores version 1 of a new vlob (docs/protocol/commands.md §8).
func (r *Rules) VlobCreate(ctx context.Context, author *Author, request *protocol.VlobCreateRequest) (*protocol.VlobCreateReply, error) {
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
	if err != nil {
		return nil, err
	}
	return &protocol.VlobCreateReply{}, nil
}

// VlobUpdate stores the next version of a vlob (docs/protocol/commands.md §8).
func (r *Rules) VlobUpdate(ctx context.Context, author *Author, request *protocol.VlobUpdateRequest) (*protocol.VlobUpdateReply, error) {
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
	if err != nil {
		return nil, err
	}
	return &protocol.VlobUpdateReply{}, nil
}

// writeVlob is the table of both writes. The webhooks come after every other
// row, so that no third party gets a version that loses.
func (r *Rules) writeVlob(ctx context.Context, author *Author, write *vlobWrite) error {
	now := r.now()
	return r.updateWithWebhooks(ctx, author, now, write.scope, write.sequesterBlob, func(tx Tx, accepted acceptance) error {
		if !protocol.InBallpark(now, write.version.Timestamp) {
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
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: event.RealmVlobsUpdated{
			Realm: realm.ID, Checkpoint: checkpoint, Source: write.scope.Vlob, SourceVersion: write.version.Version,
		}})
		return nil
	})
}

// VlobRead gives a version of a vlob (docs/protocol/commands.md §8).
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

// checkRead is the table of the reads that give no revision, after the
// existence of what is read.
func (r *Realm) checkRead(now parsec.DateTime) error {
	return cmp.Or(r.checkNotDeleted(now), r.checkReadable(), r.Member.checkReader())
}

// VlobListVersions gives the date and author of every version
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

// VlobPollChanges gives what changed in a realm since a checkpoint
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
