package rules

import (
	"context"
	"errors"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// What follows is a realm as a sequester service gets it
// (docs/protocol/administration.md §7). Devices, users and certificates are
// numbered by the store, each for ever.

// ExportedVersion is the copy of a version of a vlob for the service.
type ExportedVersion struct {
	// Checkpoint is that of the version in the realm.
	Checkpoint uint64
	Vlob       parsec.VlobID
	Version    uint32
	Copy       []byte
	Author     int64 // The device.
	Timestamp  parsec.DateTime
}

// ExportedBlock is a block, without its bytes.
type ExportedBlock struct {
	ID     parsec.BlockID
	Author int64 // The device.
	Size   int64
	// Checksum is nil if it is not known.
	Checksum *blockstore.Checksum
}

// ExportedCertificates are those of every user and device of the organization,
// and of every role in the realm.
type ExportedCertificates struct {
	Users   []ExportedUser
	Devices []ExportedCertificate
	Roles   []ExportedCertificate
}

// ExportedUser is a user; Revocation is nil for an active one.
type ExportedUser struct {
	ExportedCertificate
	Revocation []byte
}

// ExportedCertificate is a certificate, and the number of what it is of.
type ExportedCertificate struct {
	Number      int64
	Certificate []byte
}

// ExportKey names what is exported: a realm of an organization, for a storage
// service of it.
type ExportKey struct {
	Organization parsec.OrganizationID
	Realm        parsec.RealmID
	Service      parsec.SequesterServiceID
}

// ErrRealmNotFound is returned for a realm that does not exist, and ErrRealmDeleted for
// one that was deleted for good, and erased.
var (
	ErrRealmNotFound = errors.New("no such realm")
	ErrRealmDeleted  = errors.New("the realm is deleted, and what it held is erased")
)

// RealmExport reads a realm for a sequester service.
type RealmExport struct {
	RootVerifyKey parsec.VerifyKey
	// BlocksSize is the sum of the sizes of the blocks, in bytes.
	BlocksSize uint64

	store SequesterExportReader
	key   ExportKey
}

// ExportRealm begins an export (docs/protocol/administration.md §7). The
// organization is sequestered, and copies are stored for the service.
func (r *Rules) ExportRealm(ctx context.Context, key ExportKey) (*RealmExport, error) {
	organization, services, err := r.SequesterServices(ctx, key.Organization)
	if err != nil {
		return nil, err
	}
	service := findService(services, key.Service)
	if service == nil {
		return nil, ErrServiceNotFound
	}
	if service.WebhookURL != "" {
		return nil, ErrServiceWebhook
	}
	size, found, err := r.store.ExportedSize(ctx, key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrRealmNotFound
	}
	end, err := r.store.RealmEnd(ctx, key.Organization, key.Realm)
	if err != nil {
		return nil, err
	}
	if end != nil && end.Deleted {
		return nil, ErrRealmDeleted
	}
	return &RealmExport{RootVerifyKey: *organization.RootVerifyKey, BlocksSize: size, store: r.store, key: key}, nil
}

// Versions returns the next copies, at most so many, after a checkpoint.
func (e *RealmExport) Versions(ctx context.Context, after uint64, most int) ([]ExportedVersion, error) {
	return e.store.ExportedVersions(ctx, e.key, after, most)
}

// Blocks returns next blocks after one, and the last one that was looked at;
// done is true once there is no more.
func (e *RealmExport) Blocks(ctx context.Context, after parsec.BlockID) (blocks []ExportedBlock, last parsec.BlockID, done bool, err error) {
	return e.store.ExportedBlocks(ctx, e.key, after)
}

// Certificates returns those that there are now.
func (e *RealmExport) Certificates(ctx context.Context) (ExportedCertificates, error) {
	return e.store.ExportedCertificates(ctx, e.key)
}

// SequesterExportReader reads a realm for a sequester service. Nothing is found
// of a realm or a service that does not exist.
type SequesterExportReader interface {
	// ExportedSize sums the sizes of the blocks of the realm, without scanning
	// them.
	ExportedSize(ctx context.Context, key ExportKey) (size uint64, found bool, err error)
	// ExportedVersions lists copies for the service, at most so many, in the
	// order of their checkpoints, which are after one.
	ExportedVersions(ctx context.Context, key ExportKey, after uint64, most int) ([]ExportedVersion, error)
	// ExportedBlocks lists blocks of the realm, in byte order of their ids,
	// which come after one; and the last id that it looked at. It may look at
	// some of the blocks only, but done is true once it has come to the end.
	ExportedBlocks(ctx context.Context, key ExportKey, after parsec.BlockID) (blocks []ExportedBlock, last parsec.BlockID, done bool, err error)
	// ExportedCertificates lists certificates in the order of their numbers.
	ExportedCertificates(ctx context.Context, key ExportKey) (ExportedCertificates, error)
}
