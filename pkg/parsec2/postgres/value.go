package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// userID is an item of an array of user ids.
type userID parsec.UserID

// ScanText implements pgtype.TextScanner.
func (u *userID) ScanText(value pgtype.Text) error {
	return database.Parsed((*parsec.UserID)(u)).ScanText(value)
}

// checksum scans one; NULL is nil.
type checksum struct{ target **blockstore.Checksum }

// ScanBytes implements pgtype.BytesScanner.
func (c checksum) ScanBytes(value []byte) error {
	*c.target = nil
	if value == nil {
		return nil
	}
	sum := new(blockstore.Checksum)
	if len(value) != len(sum) {
		return fmt.Errorf("a checksum of %d bytes in the database", len(value))
	}
	copy(sum[:], value)
	*c.target = sum
	return nil
}

// What statements get.

// key returns the parameter of a uuid column.
func key[T ~[16]byte](id T) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// checksumBytes is nil, NULL, for none.
func checksumBytes(checksum *blockstore.Checksum) []byte {
	if checksum == nil {
		return nil
	}
	return checksum[:]
}

// orNull is NULL for the zero value.
func orNull(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// notNull returns an empty value where nil would be NULL.
func notNull(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
