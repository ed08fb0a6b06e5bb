package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3"
)

// token scans an access token, of a column of uuid or of bytes; NULL leaves it as it is.
type token struct{ into *parsec3.AccessToken }

// ScanUUID implements pgtype.UUIDScanner.
func (t token) ScanUUID(value pgtype.UUID) error {
	if !value.Valid {
		return nil
	}
	return t.ScanBytes(value.Bytes[:])
}

// ScanBytes implements pgtype.BytesScanner.
func (t token) ScanBytes(value []byte) error {
	if value == nil {
		return nil
	}
	if err := t.into.UnmarshalBinary(value); err != nil {
		return fmt.Errorf("an access token in the database: %w", err)
	}
	return nil
}

// optionalToken is token, but NULL is nil.
type optionalToken struct{ into **parsec3.AccessToken }

// ScanBytes implements pgtype.BytesScanner.
func (t optionalToken) ScanBytes(value []byte) error {
	*t.into = nil
	if value == nil {
		return nil
	}
	*t.into = new(parsec3.AccessToken)
	return token{*t.into}.ScanBytes(value)
}

// tokenKey returns the parameter of a uuid column.
func tokenKey(of parsec3.AccessToken) pgtype.UUID {
	bytes, _ := of.MarshalBinary() // it never fails
	return database.Key([16]byte(bytes))
}
