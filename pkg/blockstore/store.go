package blockstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"parsec-server/pkg/parsec"
)

// ErrNotFound is returned by Store.Read when there is no such block.
var ErrNotFound = errors.New("no such block in the block store")

// Store keeps the bytes of blocks (docs/protocol/blockstore.md). Creating
// a block again replaces its bytes.
type Store interface {
	// Read fills into, one part after the other, with a block of exactly their
	// length: one of another length, or of another checksum unless that is
	// nil, is an error. It returns ErrNotFound when every node says that
	// it has no such block. Whatever it returns, it writes nothing afterwards.
	Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error
	// Create returns nil once the bytes are durable. It does not keep block,
	// and whatever it returns, it writes nothing afterwards.
	Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error
	// Ready returns why the store cannot serve, nil if it can.
	Ready(ctx context.Context) error
}

// Unfailing is a store that may be unable to lose or change bytes, or a
// decorator of any store.
type Unfailing interface {
	// Unfailing reports whether the store cannot return other bytes than it
	// was given.
	Unfailing() bool
}

func isUnfailing(store Store) bool {
	unfailing, says := store.(Unfailing)
	return says && unfailing.Unfailing()
}

// Create writes a block to store and returns the checksum to keep of it, nil if
// the store cannot fail. The checksum is computed while the store writes, once,
// however many nodes there are.
func Create(ctx context.Context, store Store, organization parsec.OrganizationID, id parsec.BlockID, block []byte) (checksum *Checksum, err error) {
	if isUnfailing(store) {
		return nil, store.Create(ctx, organization, id, block)
	}
	var adding sync.WaitGroup
	adding.Go(func() { checksum = ChecksumOf(block) })
	err = store.Create(ctx, organization, id, block)
	adding.Wait()
	return checksum, err
}

// Checksum is the SHA-256 of a block as it was given to the store.
type Checksum [sha256.Size]byte

// ChecksumOf returns the checksum of a block.
func ChecksumOf(block []byte) *Checksum { return new(Checksum(sha256.Sum256(block))) }

// Block is a block that clients may ask for, as those see it who check what
// the store has.
type Block struct {
	Organization parsec.OrganizationID
	ID           parsec.BlockID
	Size         int64 // In bytes.
	// Checksum is nil if it is not known.
	Checksum *Checksum
}
