package database

import (
	"encoding"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/parsec"
)

// What columns are scanned into, by the conversion of a pointer: (*Integer)(&date).
// Each reads NULL, as of an outer join without match, as its zero value.
type (
	// Integer is a bigint.
	Integer int64
	// Unsigned is a bigint that is not negative.
	Unsigned uint64
	// Number is a bigint that is the number of a version.
	Number uint32
	// Flag is a boolean.
	Flag bool
	// Text is a text or bytea.
	Text string
	// UUID is a uuid.
	UUID [16]byte
	// VerifyKey is the bytea of one.
	VerifyKey parsec.VerifyKey
)

// ScanInt64 implements pgtype.Int64Scanner.
func (i *Integer) ScanInt64(value pgtype.Int8) error {
	*i = Integer(value.Int64)
	return nil
}

// ScanInt64 implements pgtype.Int64Scanner.
func (u *Unsigned) ScanInt64(value pgtype.Int8) error {
	if value.Int64 < 0 {
		return fmt.Errorf("%d in a column of what is not negative", value.Int64)
	}
	*u = Unsigned(value.Int64)
	return nil
}

// ScanInt64 implements pgtype.Int64Scanner.
func (n *Number) ScanInt64(value pgtype.Int8) error {
	if value.Int64 < 0 || value.Int64 > math.MaxUint32 {
		return fmt.Errorf("%d in a column of versions", value.Int64)
	}
	*n = Number(value.Int64)
	return nil
}

// ScanBool implements pgtype.BoolScanner.
func (f *Flag) ScanBool(value pgtype.Bool) error {
	*f = Flag(value.Bool)
	return nil
}

// ScanBytes implements pgtype.BytesScanner.
func (t *Text) ScanBytes(value []byte) error {
	*t = Text(value)
	return nil
}

// ScanUUID implements pgtype.UUIDScanner.
func (u *UUID) ScanUUID(value pgtype.UUID) error {
	*u = value.Bytes
	return nil
}

// ScanBytes implements pgtype.BytesScanner.
func (k *VerifyKey) ScanBytes(value []byte) error {
	*k = VerifyKey{}
	if value != nil && len(value) != len(k) {
		return fmt.Errorf("a verify key of %d bytes in the database", len(value))
	}
	copy(k[:], value)
	return nil
}

// Parsed returns what scans text or bytea into what parses it; NULL and "" leave
// that as it is.
func Parsed(target encoding.TextUnmarshaler) pgtype.BytesScanner { return parsed{target} }

type parsed struct{ target encoding.TextUnmarshaler }

// ScanBytes implements pgtype.BytesScanner.
func (p parsed) ScanBytes(value []byte) error {
	if len(value) == 0 {
		return nil
	}
	if err := p.target.UnmarshalText(value); err != nil {
		return fmt.Errorf("%q in the database: %w", value, err)
	}
	return nil
}

// Fixed returns what scans 32 bytes, of what errors call by name; NULL is nil.
func Fixed[T ~[32]byte](name string, target **T) pgtype.BytesScanner { return fixed[T]{name, target} }

type fixed[T ~[32]byte] struct {
	name   string
	target **T
}

// ScanBytes implements pgtype.BytesScanner.
func (f fixed[T]) ScanBytes(value []byte) error {
	*f.target = nil
	if value == nil {
		return nil
	}
	if len(value) != len(T{}) {
		return fmt.Errorf("a %s of %d bytes in the database", f.name, len(value))
	}
	*f.target = new(T(value))
	return nil
}

// OptionalDate returns what scans a date; NULL is nil.
func OptionalDate(target **parsec.DateTime) pgtype.Int64Scanner { return optionalDate{target} }

type optionalDate struct{ target **parsec.DateTime }

// ScanInt64 implements pgtype.Int64Scanner.
func (o optionalDate) ScanInt64(value pgtype.Int8) error {
	*o.target = nil
	if value.Valid {
		*o.target = new(parsec.DateTime(value.Int64))
	}
	return nil
}

// Key returns the parameter of a uuid column.
func Key[T ~[16]byte](id T) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// Keys returns the parameter of an array of uuids.
func Keys[T ~[16]byte](ids []T) []pgtype.UUID {
	keys := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		keys[i] = Key(id)
	}
	return keys
}

// Bytes returns the parameter of a bytea column of 32 bytes, NULL for nil.
func Bytes[T ~[32]byte](value *T) []byte {
	if value == nil {
		return nil
	}
	bytes := [32]byte(*value)
	return bytes[:]
}

// NotNull returns an empty value where nil would be NULL.
func NotNull(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// Nullable returns the parameter of a text column, NULL for "".
func Nullable(text string) pgtype.Text { return pgtype.Text{String: text, Valid: text != ""} }

// Bounded returns the parameter of a bigint column: numbers of clients may be
// larger, and compare as the largest.
func Bounded(number uint64) int64 { return int64(min(number, math.MaxInt64)) }

// Date returns the parameter of a date, NULL for nil.
func Date(value *parsec.DateTime) *int64 { return (*int64)(value) }
