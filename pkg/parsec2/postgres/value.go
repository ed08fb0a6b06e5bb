package postgres

import (
	"encoding"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// The types below are what columns are scanned into, by the conversion of a
// pointer: (*integer)(&date). Each reads NULL, as of an outer join without
// match, as its zero value.
type (
	integer  int64
	unsigned uint64
	number   uint32
	flag     bool
	text     string
	uuid     [16]byte
)

// SkipUnderlyingTypePlan keeps pgx from scanning as the underlying type, that
// refuses NULL.
func (integer) SkipUnderlyingTypePlan() {}

// ScanInt64 implements pgtype.Int64Scanner.
func (i *integer) ScanInt64(value pgtype.Int8) error {
	*i = integer(value.Int64)
	return nil
}

// SkipUnderlyingTypePlan is as that of integer.
func (unsigned) SkipUnderlyingTypePlan() {}

// ScanInt64 implements pgtype.Int64Scanner.
func (u *unsigned) ScanInt64(value pgtype.Int8) error {
	if value.Int64 < 0 {
		return fmt.Errorf("%d in a column of what is not negative", value.Int64)
	}
	*u = unsigned(value.Int64)
	return nil
}

// SkipUnderlyingTypePlan is as that of integer.
func (number) SkipUnderlyingTypePlan() {}

// ScanInt64 implements pgtype.Int64Scanner.
func (n *number) ScanInt64(value pgtype.Int8) error {
	if value.Int64 < 0 || value.Int64 > math.MaxUint32 {
		return fmt.Errorf("%d in a column of versions", value.Int64)
	}
	*n = number(value.Int64)
	return nil
}

// SkipUnderlyingTypePlan is as that of integer.
func (flag) SkipUnderlyingTypePlan() {}

// ScanBool implements pgtype.BoolScanner.
func (f *flag) ScanBool(value pgtype.Bool) error {
	*f = flag(value.Bool)
	return nil
}

// SkipUnderlyingTypePlan is as that of integer.
func (text) SkipUnderlyingTypePlan() {}

// ScanText implements pgtype.TextScanner.
func (t *text) ScanText(value pgtype.Text) error {
	*t = text(value.String)
	return nil
}

// SkipUnderlyingTypePlan is as that of integer.
func (uuid) SkipUnderlyingTypePlan() {}

// ScanUUID implements pgtype.UUIDScanner.
func (u *uuid) ScanUUID(value pgtype.UUID) error {
	*u = value.Bytes
	return nil
}

// parsed scans text into what parses it; NULL and "" leave it as it is.
type parsed struct{ target encoding.TextUnmarshaler }

// ScanText implements pgtype.TextScanner.
func (p parsed) ScanText(value pgtype.Text) error {
	if value.String == "" {
		return nil
	}
	if err := p.target.UnmarshalText([]byte(value.String)); err != nil {
		return fmt.Errorf("%q in the database: %w", value.String, err)
	}
	return nil
}

// userID is an item of an array of user ids.
type userID parsec.UserID

// ScanText implements pgtype.TextScanner.
func (u *userID) ScanText(value pgtype.Text) error {
	return parsed{(*parsec.UserID)(u)}.ScanText(value)
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

// optionalDate is nil for NULL.
func optionalDate(value *int64) *parsec.DateTime {
	if value == nil {
		return nil
	}
	return new(parsec.DateTime(*value))
}

// What statements get.

// key returns the parameter of a uuid column.
func key[T ~[16]byte](id T) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// bounded returns the parameter of a bigint column: numbers of clients may be
// larger, and compare as the largest.
func bounded(number uint64) int64 { return int64(min(number, math.MaxInt64)) }

// checksumBytes is nil, NULL, for none.
func checksumBytes(checksum *blockstore.Checksum) []byte {
	if checksum == nil {
		return nil
	}
	return checksum[:]
}

func boundedPointer(number *uint64) *int64 {
	if number == nil {
		return nil
	}
	return new(bounded(*number))
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

// date is NULL for nil.
func date(value *parsec.DateTime) *int64 { return (*int64)(value) }
