package testclient3

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

// Version is a version of a vlob, verified.
type Version struct {
	Number    uint32
	Timestamp parsec.DateTime
	Content   []byte
}

// ErrNotSent is wrapped by the errors of what is not sent to a realm: something sent
// before was refused there, and an official client tries no more until it is started
// again (docs/protocol/v5/quirks.md §5).
var ErrNotSent = errors.New("an official client sends nothing here any more")

// Upload stores a new vlob of a realm with its content. It is what an official client
// does with a file that the server has not: what fails by HTTP is tried again after a
// look at the server, and if the vlob is not there then, the client stops
// (docs/protocol/v5/quirks.md §11).
func (r *Resident) Upload(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, content []byte) error {
	return r.send(ctx, realm, vlob, func(Version) bool { return true }, func() error {
		return r.write(ctx, realm, vlob, 1, content)
	})
}

// UploadBlock stores a new block of a file, before the version of its vlob that names
// the block.
func (r *Resident) UploadBlock(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, block parsec.BlockID, data []byte) error {
	return r.send(ctx, realm, vlob, func(Version) bool { return false }, func() error {
		return r.withKeys(ctx, realm, func(keys *Keys) error {
			_, err := client3.Call(ctx, r.rpc, protocol.BlockCreate, &protocol.BlockCreateRequest{
				RealmID: realm, BlockID: block, KeyIndex: keys.Index(), Block: keys.Encrypt(data),
			})
			if isRefused(err, protocol.StatusBlockAlreadyExists) {
				err = nil
			}
			return err
		})
	})
}

// Update stores the next version of a vlob.
func (r *Resident) Update(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, version uint32, content []byte) error {
	return r.send(ctx, realm, vlob, func(there Version) bool { return there.Number >= version }, func() error {
		return r.write(ctx, realm, vlob, version, content)
	})
}

// send has upload done for a vlob, as often as an official client would. After a
// failure sent says whether the version that is found there is that of the upload.
func (r *Resident) send(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, sent func(there Version) bool, upload func() error) error {
	r.mu.Lock()
	ended := r.ended[realm]
	r.mu.Unlock()
	if ended != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, ended)
	}
	for {
		err := upload()
		switch {
		case isRefused(err, protocol.StatusStoreUnavailable):
			if err := r.pause(ctx, storePause); err != nil {
				return err
			}
			continue
		case err == nil, !isFailure(err):
			return r.sent(realm, err)
		}
		if err := r.pause(ctx, retryPause); err != nil {
			return err
		}
		versions, readErr := r.Read(ctx, realm, nil, vlob)
		there, found := versions[vlob]
		switch {
		case readErr != nil && isFailure(readErr):
			if err := r.pause(ctx, retryPause); err != nil {
				return err
			}
		case readErr != nil:
			return r.sent(realm, readErr)
		case !found:
			return r.stop(fmt.Errorf("the upload of a new entry failed: %w", err))
		case sent(there):
			return nil
		}
	}
}

// sent records what the answer to an upload does to the uploads to its realm, and
// returns err. A conflict is for the caller to merge.
func (r *Resident) sent(realm parsec.RealmID, err error) error {
	_, refused := errors.AsType[*protocol.Refusal](err)
	switch {
	case !refused, isRefused(err, protocol.StatusVlobAlreadyExists, protocol.StatusBadVlobVersion):
		return err
	case isRefused(err, protocol.StatusAuthorNotAllowed, protocol.StatusRealmArchived, protocol.StatusRealmDeleted,
		protocol.StatusTimestampOutOfBallpark):
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended[realm] = err
		return err
	default:
		return r.stop(err)
	}
}

// isFailure reports whether a command was not answered by a reply.
func isFailure(err error) bool {
	_, refused := errors.AsType[*protocol.Refusal](err)
	return !refused && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, ErrStopped) && !errors.Is(err, client.ErrProtocol)
}

func (r *Resident) write(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, version uint32, content []byte) error {
	return r.withKeys(ctx, realm, func(keys *Keys) error {
		if version == 1 {
			return certify(ctx, r, protocol.VlobCreate, aheadVlob, func(now parsec.DateTime) (*protocol.VlobCreateRequest, error) {
				blob, err := r.seal(keys, vlob, version, content, now)
				return &protocol.VlobCreateRequest{RealmID: realm, VlobID: vlob, KeyIndex: keys.Index(), Timestamp: now, Blob: blob}, err
			})
		}
		return certify(ctx, r, protocol.VlobUpdate, aheadVlob, func(now parsec.DateTime) (*protocol.VlobUpdateRequest, error) {
			blob, err := r.seal(keys, vlob, version, content, now)
			return &protocol.VlobUpdateRequest{RealmID: realm, VlobID: vlob, KeyIndex: keys.Index(), Timestamp: now, Version: version, Blob: blob}, err
		})
	})
}

// withKeys has write use the last keys of a realm, and polls for newer ones as long
// as the server has some.
func (r *Resident) withKeys(ctx context.Context, realm parsec.RealmID, write func(*Keys) error) error {
	for {
		keys, _, err := r.Keys(ctx, realm)
		if err != nil {
			return err
		}
		err = write(keys)
		if !isRefused(err, protocol.StatusBadKeyIndex) {
			return err
		}
		if err := r.catchUp(ctx, realm, err); err != nil {
			return err
		}
	}
}

// seal signs and encrypts a version.
func (r *Resident) seal(keys *Keys, vlob parsec.VlobID, version uint32, content []byte, now parsec.DateTime) ([]byte, error) {
	manifest, err := manifest{
		Author: r.Device.ID, Timestamp: now, ID: vlob, Version: version, Content: content,
	}.sign(r.Device.SigningKey)
	if err != nil {
		return nil, err
	}
	return keys.Encrypt(manifest), nil
}

// Read returns the latest versions of vlobs, or those at a date, verified as official
// clients verify them. It leaves out what there is not.
func (r *Resident) Read(ctx context.Context, realm parsec.RealmID, at *parsec.DateTime, vlobs ...parsec.VlobID) (map[parsec.VlobID]Version, error) {
	reply, err := client3.Call(ctx, r.rpc, protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: vlobs, At: at})
	if err != nil {
		return nil, err
	}
	if err := r.reach(ctx, realm, reply.NeededCommonCertificateTimestamp, reply.NeededRealmCertificateTimestamp); err != nil {
		return nil, err
	}
	keys, _, err := r.Keys(ctx, realm)
	if err != nil {
		return nil, err
	}
	versions := make(map[parsec.VlobID]Version, len(reply.Items))
	for i := range reply.Items {
		item := &reply.Items[i]
		if _, again := versions[item.Vlob]; again || !slices.Contains(vlobs, item.Vlob) {
			return nil, r.stop(incoherent("vlob %s, which is not asked for, or twice", item.Vlob))
		}
		content, err := openVersion(r.Knowledge(), keys, realm, item)
		if err != nil {
			return nil, r.stop(fmt.Errorf("%w: vlob %s version %d: %w", ErrIncoherent, item.Vlob, item.Version, err))
		}
		versions[item.Vlob] = Version{item.Version, item.CreatedOn, content}
	}
	return versions, nil
}

// openVersion verifies one version.
func openVersion(known *Knowledge, keys *Keys, realm parsec.RealmID, item *protocol.VlobItem) ([]byte, error) {
	key, err := known.Signer(realm, item.Author, item.CreatedOn)
	if err != nil {
		return nil, err
	}
	signed, err := keys.Decrypt(item.KeyIndex, item.Blob)
	if err != nil {
		return nil, err
	}
	manifest, err := loadManifest(signed, key, item.Author)
	if err != nil {
		return nil, err
	}
	if manifest.ID != item.Vlob || manifest.Version != item.Version || manifest.Timestamp != item.CreatedOn {
		return nil, fmt.Errorf("the manifest is of %s, version %d, at %s", manifest.ID, manifest.Version, manifest.Timestamp)
	}
	return manifest.Content, nil
}

// ReadBlock returns the data of a block.
func (r *Resident) ReadBlock(ctx context.Context, realm parsec.RealmID, block parsec.BlockID) ([]byte, error) {
	reply, err := client3.Call(ctx, r.rpc, protocol.BlockRead, &protocol.BlockReadRequest{RealmID: realm, BlockID: block})
	if err != nil {
		return nil, err
	}
	if err := r.reach(ctx, realm, 0, reply.NeededRealmCertificateTimestamp); err != nil {
		return nil, err
	}
	keys, _, err := r.Keys(ctx, realm)
	if err != nil {
		return nil, err
	}
	data, err := keys.Decrypt(reply.KeyIndex, reply.Block)
	if err != nil {
		return nil, r.stop(fmt.Errorf("%w: block %s: %w", ErrIncoherent, block, err))
	}
	return data, nil
}

// Changes returns the last version of each vlob that changed since a checkpoint, and
// the present one.
func (r *Resident) Changes(ctx context.Context, realm parsec.RealmID, checkpoint uint64) (map[parsec.VlobID]uint32, uint64, error) {
	reply, err := client3.Call(ctx, r.rpc, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm, LastCheckpoint: checkpoint})
	if err != nil {
		return nil, 0, err
	}
	changes := make(map[parsec.VlobID]uint32, len(reply.Changes))
	for _, change := range reply.Changes {
		changes[change.Vlob] = change.Version
	}
	return changes, reply.CurrentCheckpoint, nil
}
