package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// userID is an item of an array of user ids.
type userID parsec.UserID

// ScanBytes implements pgtype.BytesScanner.
func (u *userID) ScanBytes(value []byte) error {
	return database.Parsed((*parsec.UserID)(u)).ScanBytes(value)
}

// verifyKey scans one; NULL leaves it as it is.
type verifyKey parsec.VerifyKey

// ScanBytes implements pgtype.BytesScanner.
func (k *verifyKey) ScanBytes(value []byte) error {
	copy(k[:], value)
	return nil
}

// checksum scans one; NULL is nil.
func checksum(target **blockstore.Checksum) any { return database.Fixed("checksum", target) }

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
