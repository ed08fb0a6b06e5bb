package rules

import (
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
