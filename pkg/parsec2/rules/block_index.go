package rules

import "parsec-server/pkg/parsec"

// StoredBlock is a block that clients may ask for, as those see it who check
// what the block store has.
type StoredBlock struct {
	Organization parsec.OrganizationID
	ID           parsec.BlockID
	Size         int64 // In bytes.
	// Checksum is nil if it is not known.
	Checksum *BlockChecksum
}
