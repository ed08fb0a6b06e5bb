package postgres

import (
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

// checksum scans one; NULL is nil.
func checksum(target **blockstore.Checksum) any { return database.Fixed("checksum", target) }

// What statements get.

// orNull is NULL for the zero value.
func orNull(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}
