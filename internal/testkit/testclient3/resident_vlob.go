package testclient3

import (
	"context"
	"errors"
	"fmt"

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

// Upload stores a new vlob of a realm with its content. It is what an official client
// does with a file that the server has not: what fails by HTTP is tried again after a
// look at the server, and if the vlob is not there then, the client stops
// (docs/protocol/v5/quirks.md §11).
func (r *Resident) Upload(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, content []byte) error {
	return r.survive(ctx, realm, vlob, func() error { return r.write(ctx, realm, vlob, 1, content) })
}

// UploadBlock stores a new block of a file that the server has not yet: its vlob
// comes after its blocks.
func (r *Resident) UploadBlock(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, block parsec.BlockID, data []byte) error {
	return r.survive(ctx, realm, vlob, func() error {
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

// survive has upload done for a new vlob, as often as an official client would.
func (r *Resident) survive(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, upload func() error) error {
	for {
		err := upload()
		if err == nil || !isFailure(err) {
			return err
		}
		for {
			if err := r.pause(ctx, retryPause); err != nil {
				return err
			}
			versions, readErr := r.Read(ctx, realm, nil, vlob)
			if readErr != nil && isFailure(readErr) {
				continue
			}
			if readErr != nil {
				return readErr
			}
			if len(versions) == 0 {
				return r.stop(fmt.Errorf("the upload of a new entry failed: %w", err))
			}
			return nil
		}
	}
}

// isFailure reports whether a command was not answered by a reply.
func isFailure(err error) bool {
	_, refused := errors.AsType[*protocol.Refusal](err)
	return !refused && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrIncoherent) && !errors.Is(err, client.ErrProtocol)
}

// Update stores the next version of a vlob.
func (r *Resident) Update(ctx context.Context, realm parsec.RealmID, vlob parsec.VlobID, version uint32, content []byte) error {
	return r.write(ctx, realm, vlob, version, content)
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
		last := mustRefusal(err).Details.(*protocol.LastRealmDetails).Timestamp
		if err := r.reach(ctx, realm, 0, last); err != nil {
			return err
		}
	}
}

func mustRefusal(err error) *protocol.Refusal {
	refusal, _ := errors.AsType[*protocol.Refusal](err)
	return refusal
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
		content, err := r.open(keys, realm, item)
		if err != nil {
			return nil, r.stop(fmt.Errorf("%w: vlob %s version %d: %w", ErrIncoherent, item.Vlob, item.Version, err))
		}
		versions[item.Vlob] = Version{item.Version, item.CreatedOn, content}
	}
	return versions, nil
}

// open verifies one version.
func (r *Resident) open(keys *Keys, realm parsec.RealmID, item *protocol.VlobItem) ([]byte, error) {
	key, err := r.Knowledge().Signer(realm, item.Author, item.CreatedOn)
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
