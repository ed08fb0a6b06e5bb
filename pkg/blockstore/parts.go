package blockstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

// A block, a copy or a chunk may lie in several parts, one after the other: the
// chunks of RAID5 are read to where they are in the block.

func lengthOf(parts [][]byte) int {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	return length
}

// checkLength returns an error if into is not for an object of length bytes.
func checkLength(into [][]byte, length int64) error {
	if wanted := lengthOf(into); length != int64(wanted) {
		return fmt.Errorf("%w: %d bytes, not %d", errDamaged, length, wanted)
	}
	return nil
}

// hasChecksum reports whether parts are what the checksum is of, as all are if
// it is nil.
func hasChecksum(parts [][]byte, checksum *Checksum) bool {
	if checksum == nil {
		return true
	}
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(part)
	}
	return Checksum(sum.Sum(nil)) == *checksum
}

var errOtherChecksum = fmt.Errorf("%w: it has another checksum than the block", errDamaged)

// verify returns an error if parts do not have the checksum of the database.
func verify(parts [][]byte, checksum *Checksum) error {
	if !hasChecksum(parts, checksum) {
		return errOtherChecksum
	}
	return nil
}

// fill copies an object, if it is as long as into and has the checksum.
func fill(into [][]byte, checksum *Checksum, object []byte) error {
	if err := checkLength(into, int64(len(object))); err != nil {
		return err
	}
	spread(into, object)
	return verify(into, checksum)
}

// spread copies data that is as long as into.
func spread(into [][]byte, data []byte) {
	for _, part := range into {
		data = data[copy(part, data):]
	}
}

// joined returns the bytes of parts in a row, without a copy if they are.
func joined(parts [][]byte) []byte {
	if len(parts) == 1 {
		return parts[0]
	}
	return bytes.Join(parts, nil)
}

// xor adds from to into, which is equally long.
func xor(into, from [][]byte) {
	i, read := 0, 0 // Where from goes on.
	for _, part := range into {
		for len(part) > 0 {
			rest := from[i][read:]
			count := min(len(part), len(rest))
			subtle.XORBytes(part[:count], part[:count], rest[:count])
			part, read = part[count:], read+count
			if read == len(from[i]) {
				i, read = i+1, 0
			}
		}
	}
}

// cut returns stretches of size bytes of parts, whose length is a multiple of
// it.
func cut(parts [][]byte, size int) [][][]byte {
	var stretches [][][]byte
	var stretch [][]byte
	missing := size
	for _, part := range parts {
		for len(part) > 0 {
			count := min(missing, len(part))
			stretch, part, missing = append(stretch, part[:count:count]), part[count:], missing-count
			if missing == 0 {
				stretches, stretch, missing = append(stretches, stretch), nil, size
			}
		}
	}
	return stretches
}
