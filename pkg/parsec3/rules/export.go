package rules

import (
	"context"
	"errors"
	"iter"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// What follows is a realm as it was, for whoever holds a key of it
// (docs/protocol/v5/administration.md §5).

// ExportKey names what is exported: what of a realm is dated until the snapshot. Nothing
// older arrives any more: all of it may be read again, and is the same.
type ExportKey struct {
	Organization parsec.OrganizationID
	Realm        parsec.RealmID
	Snapshot     parsec.DateTime
}

// ExportedRealm is a realm for an export.
type ExportedRealm struct {
	CreatedOn parsec.DateTime
	Deleted   bool
	// KeyIndex is that of the last key rotation until the snapshot, 0 before the first.
	KeyIndex uint64
}

// ExportedBundle is the keys bundle of a rotation.
type ExportedBundle struct {
	KeyIndex uint64
	Bundle   []byte
}

// ExportedAccess is an access of a user to a keys bundle.
type ExportedAccess struct {
	User     parsec3.UserID
	KeyIndex uint64
	Dated    parsec.DateTime
	Access   []byte
}

// ExportedServiceAccess is that of a sequester service.
type ExportedServiceAccess struct {
	KeyIndex uint64
	Service  parsec.SequesterServiceID
	Access   []byte
}

// ExportedVersion is a version of a vlob, without its blob.
type ExportedVersion struct {
	VlobNumber
	Timestamp parsec.DateTime
	// Size is that of the blob, in bytes.
	Size uint64
}

// The refusals of an export.
var (
	ErrExportNoRealm = errors.New("no such realm")
	ErrExportDeleted = errors.New("the realm is deleted: nothing is left of it but certificates")
)

// SnapshotTooOldError is that of a snapshot from before the realm.
type SnapshotTooOldError struct{ Snapshot parsec.DateTime }

func (e *SnapshotTooOldError) Error() string {
	return "Requested snapshot timestamp " + e.Snapshot.String() + " is older than realm creation"
}

// SnapshotTooRecentError is that of a snapshot at which more may still be dated.
type SnapshotTooRecentError struct{ Latest parsec.DateTime }

func (e *SnapshotTooRecentError) Error() string {
	return "Snapshot timestamp cannot be more recent than present time - 320s (i.e. " + e.Latest.String() + ")"
}

// The bounds of what is in memory at once, each of a page of what is read.
const (
	exportedKeys     = 64
	exportedAccesses = 256
	exportedNumbers  = 8192
)

// RealmExport reads a realm as it was. Its lists end with an error when the realm is
// deleted meanwhile, and otherwise are the same each time, in the same order.
type RealmExport struct {
	ExportKey
	RootVerifyKey parsec.VerifyKey

	store    Store
	keyIndex uint64
}

// ExportRealm begins an export, as of a snapshot; nil is the latest possible one. It
// returns organization.ErrNotFound, also for one that is not bootstrapped,
// ErrExportNoRealm, ErrExportDeleted, a *SnapshotTooRecentError and a
// *SnapshotTooOldError.
func (r *Rules) ExportRealm(ctx context.Context, id parsec.OrganizationID, realm parsec.RealmID, snapshot *parsec.DateTime) (*RealmExport, error) {
	stored, found, err := r.store.Organization(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found || stored.Bound() != generation || stored.RootVerifyKey == nil {
		return nil, organization.ErrNotFound
	}
	latest := r.now() - parsec.BallparkLateOffset*1_000_000
	e := &RealmExport{ExportKey: ExportKey{id, realm, latest}, RootVerifyKey: *stored.RootVerifyKey, store: r.store}
	if snapshot != nil {
		e.Snapshot = *snapshot
	}
	exported, err := e.current(ctx)
	switch {
	case err != nil:
		return nil, err
	case e.Snapshot > latest:
		return nil, &SnapshotTooRecentError{latest}
	case e.Snapshot < exported.CreatedOn:
		return nil, &SnapshotTooOldError{e.Snapshot}
	}
	e.keyIndex = exported.KeyIndex
	return e, nil
}

// current reads the realm, unless it is not there or deleted.
func (e *RealmExport) current(ctx context.Context) (ExportedRealm, error) {
	realm, found, err := e.store.ExportedRealm(ctx, e.ExportKey)
	switch {
	case err != nil:
		return realm, err
	case !found:
		return realm, ErrExportNoRealm
	case realm.Deleted:
		return realm, ErrExportDeleted
	default:
		return realm, nil
	}
}

// Check returns why what was read may not be all that there was: ErrExportDeleted.
func (e *RealmExport) Check(ctx context.Context) error {
	_, err := e.current(ctx)
	return err
}

// Certificates yields those of a topic, unredacted: the common topic, that of sequester,
// or that of the realm. They outlive the realm.
func (e *RealmExport) Certificates(ctx context.Context, topic CertificateTopic) iter.Seq2[[]byte, error] {
	list := CertificateList{Topic: topic, Until: e.Snapshot}
	if topic == RealmTopic {
		list.Realm = e.Realm
	}
	return certificatesOf(ctx, e.store, e.Organization, list)
}

// certificatesOf yields those of a list, whatever it counts.
func certificatesOf(ctx context.Context, store CertificateReader, id parsec.OrganizationID, list CertificateList) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for from := AfterDate(nil); ; {
			page, last, err := store.CertificatePage(ctx, id, &list, from, heldCertificates)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, certificate := range page {
				if !yield(certificate, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			from = last
		}
	}
}

// pagesOf yields what read returns page by page, each after the last item of the one
// before, nil at first, until one is empty.
func pagesOf[T any](ctx context.Context, e *RealmExport, read func(after *T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for after := (*T)(nil); ; {
			page, err := read(after)
			if err == nil {
				err = e.Check(ctx)
			}
			if err != nil {
				yield(none, err)
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			after = &page[len(page)-1]
		}
	}
}

// KeysBundles yields those of all rotations, in order.
func (e *RealmExport) KeysBundles(ctx context.Context) iter.Seq2[ExportedBundle, error] {
	return pagesOf(ctx, e, func(after *ExportedBundle) ([]ExportedBundle, error) {
		var index uint64
		if after != nil {
			index = after.KeyIndex
		}
		return e.store.ExportedBundles(ctx, e.ExportKey, index, e.keyIndex, exportedKeys)
	})
}

// Accesses yields those of the users, in order of user, key and date.
func (e *RealmExport) Accesses(ctx context.Context) iter.Seq2[ExportedAccess, error] {
	return pagesOf(ctx, e, func(after *ExportedAccess) ([]ExportedAccess, error) {
		if after == nil {
			after = &ExportedAccess{} // of nobody
		}
		return e.store.ExportedAccesses(ctx, e.ExportKey, *after, exportedAccesses)
	})
}

// ServiceAccesses yields those of the sequester services, in order of key and service.
func (e *RealmExport) ServiceAccesses(ctx context.Context) iter.Seq2[ExportedServiceAccess, error] {
	return pagesOf(ctx, e, func(after *ExportedServiceAccess) ([]ExportedServiceAccess, error) {
		if after == nil {
			after = &ExportedServiceAccess{} // No key has the index 0.
		}
		return e.store.ExportedServiceAccesses(ctx, e.ExportKey, *after, e.keyIndex, exportedAccesses)
	})
}

// Versions yields those of all vlobs, in order of vlob and version.
func (e *RealmExport) Versions(ctx context.Context) iter.Seq2[ExportedVersion, error] {
	return pagesOf(ctx, e, func(after *ExportedVersion) ([]ExportedVersion, error) {
		if after == nil {
			after = &ExportedVersion{} // No version has the number 0.
		}
		return e.store.ExportedVersions(ctx, e.ExportKey, after.VlobNumber, exportedNumbers)
	})
}

// Blobs reads versions with their blobs, in the order given. All of them are in memory.
func (e *RealmExport) Blobs(ctx context.Context, versions []VlobNumber) ([]VlobVersion, error) {
	read, err := e.store.ExportedBlobs(ctx, e.ExportKey, versions)
	if err == nil && len(read) != len(versions) {
		err = e.missing(ctx)
	}
	return read, err
}

// missing returns why something is not there that was.
func (e *RealmExport) missing(ctx context.Context) error {
	if err := e.Check(ctx); err != nil {
		return err
	}
	return errors.New("the realm has changed where it never does")
}

// Blocks yields the blocks, in any order that is always the same.
func (e *RealmExport) Blocks(ctx context.Context) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for after := (parsec.BlockID{}); ; { // No block has the id zero.
			blocks, last, done, err := e.store.ExportedBlocks(ctx, e.ExportKey, after)
			if err == nil {
				err = e.Check(ctx)
			}
			if err != nil {
				yield(Block{}, err)
				return
			}
			for i := range blocks {
				if !yield(blocks[i], nil) {
					return
				}
			}
			if done {
				return
			}
			after = last
		}
	}
}

// Checksums reads those of blocks of the realm, in the order given, nil for a block
// whose store needs none.
func (e *RealmExport) Checksums(ctx context.Context, blocks []parsec.BlockID) ([]*blockstore.Checksum, error) {
	read, err := e.store.ExportedChecksums(ctx, e.ExportKey, blocks)
	if err == nil && len(read) != len(blocks) {
		err = e.missing(ctx)
	}
	return read, err
}

// ExportReader reads a realm for an export: what is dated until the snapshot of its key.
// Nothing is found of a realm that does not exist, and all or some, for a while, of one
// that is deleted. Most bounds a page, which begins after an item.
type ExportReader interface {
	ExportedRealm(ctx context.Context, key ExportKey) (realm ExportedRealm, found bool, err error)
	// ExportedBundles lists keys bundles in order of their indexes, up to last.
	ExportedBundles(ctx context.Context, key ExportKey, after, last uint64, most int) ([]ExportedBundle, error)
	// ExportedAccesses lists accesses in order of user, index and date.
	ExportedAccesses(ctx context.Context, key ExportKey, after ExportedAccess, most int) ([]ExportedAccess, error)
	// ExportedServiceAccesses lists accesses in order of index and service, up to the
	// index last.
	ExportedServiceAccesses(ctx context.Context, key ExportKey, after ExportedServiceAccess, last uint64, most int) ([]ExportedServiceAccess, error)
	// ExportedVersions lists versions in byte order of vlobs, those of one in order.
	ExportedVersions(ctx context.Context, key ExportKey, after VlobNumber, most int) ([]ExportedVersion, error)
	// ExportedBlobs reads versions in the order given; what does not exist is left out.
	ExportedBlobs(ctx context.Context, key ExportKey, versions []VlobNumber) ([]VlobVersion, error)
	// ExportedBlocks lists blocks in byte order of their ids, and returns the last id
	// that it looked at. It may look at some of them only, but done is true once it has
	// come to the end.
	ExportedBlocks(ctx context.Context, key ExportKey, after parsec.BlockID) (blocks []Block, last parsec.BlockID, done bool, err error)
	// ExportedChecksums reads the checksums of blocks in the order given; what does not
	// exist is left out.
	ExportedChecksums(ctx context.Context, key ExportKey, blocks []parsec.BlockID) ([]*blockstore.Checksum, error)
}
