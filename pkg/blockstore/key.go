package blockstore

import (
	"errors"
	"fmt"
	"log/slog"

	"parsec-server/pkg/parsec"
)

// key is what a block is found by.
type key struct {
	organization parsec.OrganizationID
	block        parsec.BlockID
}

// objectName returns the name of a block's object in S3 and Swift
// (docs/protocol/blockstore.md §1).
func (k key) objectName() string {
	return k.organization.String() + "/" + k.block.String()
}

// unhyphenatedName returns the name that v2.7.0 and v2.8.0 gave.
func (k key) unhyphenatedName() string {
	return k.organization.String() + "/" + parsec.UUID(k.block).Hex()
}

func (k key) attribute() slog.Attr { return slog.String("block", k.objectName()) }

// readEither reads the object of a block by the one name, then by the other.
func readEither(k key, read func(name string) error) error {
	err := read(k.objectName())
	if errors.Is(err, ErrNotFound) {
		return read(k.unhyphenatedName())
	}
	return err
}

// nameOf names a store in logs and errors.
func nameOf(store Store) string {
	if named, ok := store.(fmt.Stringer); ok {
		return named.String()
	}
	return fmt.Sprintf("%T", store)
}
