package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
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
