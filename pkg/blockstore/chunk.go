package blockstore

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// lengthBytes is the size of the length in front of a block that RAID5 cuts.
const lengthBytes = 4

// errInconsistent means that chunks are not of one block.
var errInconsistent = errors.New("the chunks are not those of one block")

// chunkSize returns the length of each chunk of a block of length bytes.
func chunkSize(length, nodes int) int {
	return (length + lengthBytes + nodes - 2) / (nodes - 1)
}

// encodeChunks cuts a block for RAID5 (docs/protocol/blockstore.md §4). The
// last chunk is the parity. Chunks that have neither the length nor padding in
// them are parts of block, not copies.
func encodeChunks(block []byte, nodes int) [][]byte { return new(encoder).encode(block, nodes) }

// encoder encodes one block after another in the same memory. Its zero value
// is usable.
type encoder struct {
	chunks  [][]byte
	buffers [][]byte
	used    int
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// encode is encodeChunks. The chunks stand until it is called again.
func (e *encoder) encode(block []byte, nodes int) [][]byte {
	size := chunkSize(len(block), nodes)
	e.chunks, e.used = e.chunks[:0], 0
	for i := range nodes - 1 {
		start := i*size - lengthBytes // In block.
		if start >= 0 && start+size <= len(block) {
			e.chunks = append(e.chunks, block[start:start+size:start+size])
			continue
		}
		chunk := e.buffer(size)
		filled := 0
		if start < 0 {
			var header [lengthBytes]byte
			binary.BigEndian.PutUint32(header[:], uint32(len(block)))
			filled = copy(chunk, header[i*size:])
		}
		filled += copy(chunk[filled:], block[min(max(start, 0), len(block)):])
		clear(chunk[filled:])
		e.chunks = append(e.chunks, chunk)
	}
	parity := e.buffer(size)
	subtle.XORBytes(parity, e.chunks[0], e.chunks[1])
	for _, chunk := range e.chunks[2:] {
		subtle.XORBytes(parity, parity, chunk)
	}
	e.chunks = append(e.chunks, parity)
	return e.chunks
}

// buffer returns memory, whose content is arbitrary.
func (e *encoder) buffer(size int) []byte {
	if e.used == len(e.buffers) {
		e.buffers = append(e.buffers, nil)
	}
	buffer := &e.buffers[e.used]
	e.used++
	if cap(*buffer) < size {
		*buffer = make([]byte, size)
	}
	return (*buffer)[:size]
}

// free forgets the block, and keeps the memory for the next one.
func (e *encoder) free() {
	clear(e.chunks)
	encoders.Put(e)
}

// decodeChunks returns the block of chunks without looking at the lost one, the
// parity if none is. It fails for chunks that encodeChunks would not make.
func decodeChunks(chunks [][]byte, lost int) ([]byte, error) {
	last := len(chunks) - 1
	size := len(chunks[(lost+1)%len(chunks)])
	for i, chunk := range chunks {
		if i != lost && len(chunk) != size {
			return nil, fmt.Errorf("%w: one has %d bytes, another %d", errInconsistent, size, len(chunk))
		}
	}
	payload := make([]byte, size*last)
	for i, chunk := range chunks[:last] {
		if i != lost {
			copy(payload[i*size:], chunk)
		}
	}
	if lost < last {
		rebuilt := payload[lost*size : (lost+1)*size]
		copy(rebuilt, chunks[last])
		for i, chunk := range chunks[:last] {
			if i != lost {
				subtle.XORBytes(rebuilt, rebuilt, chunk)
			}
		}
	}
	return unpack(payload, size, len(chunks))
}

// unpack takes the block out of the chunks in a row.
func unpack(payload []byte, size, nodes int) ([]byte, error) {
	if len(payload) < lengthBytes {
		return nil, fmt.Errorf("%w: %d bytes in all", errInconsistent, len(payload))
	}
	length := binary.BigEndian.Uint32(payload)
	block := payload[lengthBytes:]
	if uint64(length) > uint64(len(block)) || chunkSize(int(length), nodes) != size {
		return nil, fmt.Errorf("%w: %d bytes of a block of %d", errInconsistent, len(block), length)
	}
	if !isZero(block[length:]) {
		return nil, fmt.Errorf("%w: padding that is not zero", errInconsistent)
	}
	return block[:length:length], nil
}

// isParity reports whether the last chunk, as long as the others, is their
// parity.
func isParity(chunks [][]byte) bool {
	last := len(chunks) - 1
	sum := bytes.Clone(chunks[last])
	for _, chunk := range chunks[:last] {
		subtle.XORBytes(sum, sum, chunk)
	}
	return isZero(sum)
}

// decodeSized is decodeChunks of a block whose length is known, and its checksum
// unless that is nil.
func decodeSized(chunks [][]byte, lost, length int, checksum *Checksum) (block []byte, fits bool) {
	block, err := decodeChunks(chunks, lost)
	return block, err == nil && len(block) == length && hasChecksum([][]byte{block}, checksum)
}

// findWrongChunk returns the block and the index of its wrong chunk. It finds one
// if there is exactly one chunk without which the others are consistent and,
// unless checksum is nil, make a block that has it.
func findWrongChunk(chunks [][]byte, length int, checksum *Checksum) (block []byte, wrong int, found bool) {
	for lost := range chunks {
		candidate, fits := decodeSized(chunks, lost, length, checksum)
		if fits && found {
			return nil, 0, false
		}
		if fits {
			block, wrong, found = candidate, lost, true
		}
	}
	return block, wrong, found
}

// chunkRow is where the chunks of one block are read to: the data in place, so
// that a block with nothing wrong is never copied.
type chunkRow struct {
	length, size int // In bytes, of the block and of each chunk.
	head         [lengthBytes]byte
	padding      []byte
	chunks       [][][]byte // The parity's is made when it is asked for.
}

func newChunkRow(block [][]byte, nodes int) *chunkRow {
	r := &chunkRow{length: lengthOf(block)}
	r.size = chunkSize(r.length, nodes)
	r.padding = make([]byte, (nodes-1)*r.size-lengthBytes-r.length)
	parts := append(append([][]byte{r.head[:]}, block...), r.padding)
	r.chunks = append(cut(parts, r.size), nil)
	return r
}

func (r *chunkRow) chunk(i int) [][]byte {
	if r.chunks[i] == nil {
		r.chunks[i] = [][]byte{make([]byte, r.size)}
	}
	return r.chunks[i]
}

// rebuild makes the lost chunk from the others. A parity is not needed.
func (r *chunkRow) rebuild(lost int) {
	parity := len(r.chunks) - 1
	if lost == parity {
		return
	}
	spread(r.chunks[lost], joined(r.chunks[parity]))
	for i, chunk := range r.chunks[:parity] {
		if i != lost {
			xor(r.chunks[lost], chunk)
		}
	}
}

// fits reports whether what is around the block is what encodeChunks puts
// there.
func (r *chunkRow) fits() bool {
	return binary.BigEndian.Uint32(r.head[:]) == uint32(r.length) && isZero(r.padding)
}

// all returns each chunk in a row.
func (r *chunkRow) all() [][]byte {
	chunks := make([][]byte, len(r.chunks))
	for i := range chunks {
		chunks[i] = joined(r.chunk(i))
	}
	return chunks
}

func isZero(bytes []byte) bool {
	return !slices.ContainsFunc(bytes, func(b byte) bool { return b != 0 })
}
