package certificate

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// formatVersion is the first byte of what is signed, the only one that is read.
const formatVersion = 0

const (
	// maxPayload bounds a payload once decompressed, in bytes; a normal one is
	// below 1 KiB (docs/protocol/v5/certificates.md §2).
	maxPayload = 1 << 20
	// maxWindow bounds how far back, in bytes, a frame may refer.
	maxWindow = 8 << 20
)

// decoder decompresses for several callers at once, no further than the capacity
// that it is given, and starts no goroutine.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(maxWindow))
})

// encoder writes as official clients do. Servers never compress: none is made
// before the first use.
var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(maxPayload), zstd.WithEncoderCRC(false))
})

// payloads are kept: each has room for the largest payload.
var payloads = sync.Pool{New: func() any {
	room := make([]byte, 0, maxPayload)
	return &room
}}

// decompress reads all frames of compressed, with checksums and skippable frames
// as RFC 8878 has them.
func decompress(compressed []byte) ([]byte, error) {
	reader, err := decoder()
	if err != nil {
		return nil, err
	}
	room := payloads.Get().(*[]byte)
	defer payloads.Put(room)
	data, err := reader.DecodeAll(compressed, *room)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(data), nil
}

// compress appends one frame to dst.
func compress(dst, data []byte) ([]byte, error) {
	writer, err := encoder()
	if err != nil {
		return nil, err
	}
	return writer.EncodeAll(data, dst), nil
}
