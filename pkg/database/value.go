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
	// Text is a text.
	Text string
	// UUID is a uuid.
	UUID [16]byte
)

// SkipUnderlyingTypePlan keeps pgx from scanning as the underlying type, that
// refuses NULL.
func (Integer) SkipUnderlyingTypePlan() {}

// ScanInt64 implements pgtype.Int64Scanner.
func (i *Integer) ScanInt64(value pgtype.Int8) error {
	*i = Integer(value.Int64)
	return nil
}

// SkipUnderlyingTypePlan is as that of Integer.
func (Unsigned) SkipUnderlyingTypePlan() {}

// ScanInt64 implements pgtype.Int64Scanner.
func (u *Unsigned) ScanInt64(value pgtype.Int8) error {
	if value.Int64 < 0 {
		return fmt.Errorf("%d in a column of what is not negative", value.Int64)
	}
	*u = Unsigned(value.Int64)
	return nil
}

// SkipUnderlyingTypePlan is as that of Integer.
func (Number) SkipUnderlyingTypePlan() {}

// ScanInt64 implements pgtype.Int64Scanner.
func (n *Number) ScanInt64(value pgtype.Int8) error {
	if value.Int64 < 0 || value.Int64 > math.MaxUint32 {
		return fmt.Errorf("%d in a column of versions", value.Int64)
	}
	*n = Number(value.Int64)
	return nil
}

// SkipUnderlyingTypePlan is as that of Integer.
func (Flag) SkipUnderlyingTypePlan() {}

// ScanBool implements pgtype.BoolScanner.
func (f *Flag) ScanBool(value pgtype.Bool) error {
	*f = Flag(value.Bool)
	return nil
}

// SkipUnderlyingTypePlan is as that of Integer.
func (Text) SkipUnderlyingTypePlan() {}

// ScanText implements pgtype.TextScanner.
func (t *Text) ScanText(value pgtype.Text) error {
	*t = Text(value.String)
	return nil
}

// SkipUnderlyingTypePlan is as that of Integer.
func (UUID) SkipUnderlyingTypePlan() {}

// ScanUUID implements pgtype.UUIDScanner.
func (u *UUID) ScanUUID(value pgtype.UUID) error {
	*u = value.Bytes
	return nil
}

// Parsed returns what scans text into what parses it; NULL and "" leave that as
// it is.
func Parsed(target encoding.TextUnmarshaler) pgtype.TextScanner { return parsed{target} }

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

// OptionalDate returns the date of a column, nil for NULL.
func OptionalDate(value *int64) *parsec.DateTime {
	if value == nil {
		return nil
	}
	return new(parsec.DateTime(*value))
}

// Bounded returns the parameter of a bigint column: numbers of clients may be
// larger, and compare as the largest.
func Bounded(number uint64) int64 { return int64(min(number, math.MaxInt64)) }

// Date returns the parameter of a date, NULL for nil.
func Date(value *parsec.DateTime) *int64 { return (*int64)(value) }
