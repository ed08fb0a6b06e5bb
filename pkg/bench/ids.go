package bench

import (
	"encoding/binary"

	"parsec-server/pkg/parsec"
)

// IDs makes ids cheaply: the first is random, and each one the next number.
type IDs struct{ last parsec.UUID }

// NewIDs returns a source of ids that no other one has.
func NewIDs() IDs { return IDs{parsec.NewUUID()} }

// Next returns another one.
func (i *IDs) Next() parsec.UUID {
	counter := i.last[8:]
	binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
	return i.last
}
