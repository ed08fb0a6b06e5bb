package certificate_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/wire"
)

// signPacked signs a stream of zstd.
func signPacked(key ed25519.PrivateKey, compressed []byte) []byte {
	packed := append([]byte{0}, compressed...)
	return append(ed25519.Sign(key, packed), packed...)
}

// compress returns one frame.
func compress(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithEncoderConcurrency(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	compressed := encoder.EncodeAll(data, nil)
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed
}

// frame is the head of a frame of zstd whose size is unknown, with a window of 2 to
// the power of windowLog bytes, and blocks after it.
func frame(windowLog byte, blocks ...[]byte) []byte {
	head := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3}
	return append(head, bytes.Join(blocks, nil)...)
}

// repeated is a block that repeats a byte, size times.
func repeated(size int, last bool) []byte {
	head := uint32(size)<<3 | 1<<1
	if last {
		head |= 1
	}
	return []byte{byte(head), byte(head >> 8), byte(head >> 16), 0xc0}
}

// raw is a last block that holds the bytes.
func raw(data []byte) []byte {
	head := uint32(len(data))<<3 | 1
	return append([]byte{byte(head), byte(head >> 8), byte(head >> 16)}, data...)
}

// revokedUser is the msgpack of a revoked user certificate, padded to a size unless
// that is 0.
func revokedUser(t testing.TB, size int) []byte {
	t.Helper()
	fields := func(padding int) []byte {
		list := []wire.Field{
			{Key: "type", Value: "revoked_user_certificate"}, {Key: "author", Value: alice},
			{Key: "timestamp", Value: now}, {Key: "user_id", Value: bob},
		}
		if size > 0 {
			list = append(list, wire.Field{Key: "padding", Value: make([]byte, padding)})
		}
		encoded, err := wire.Microseconds.AppendMap(nil, list, nil)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	if size == 0 {
		return fields(0)
	}
	some := size / 2 // whose head is as long as that of the result
	return fields(some + size - len(fields(some)))
}

// TestZstd reads what RFC 8878 has, within bounds.
func TestZstd(t *testing.T) {
	const limit = 1 << 20
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "alice_dev1"), loaded.verify(t, "alice_dev1")
	plain := revokedUser(t, 0)
	whole := compress(t, plain)
	skippable := []byte{0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}
	checked := compress(t, plain, zstd.WithEncoderCRC(true))
	corrupted := bytes.Clone(checked)
	corrupted[len(corrupted)-1]++
	half := compress(t, make([]byte, limit/2+1))
	for name, item := range map[string]struct {
		compressed []byte
		want       error
	}{
		"one frame":                 {whole, nil},
		"two frames":                {append(compress(t, plain[:9]), compress(t, plain[9:])...), nil},
		"an empty frame more":       {append(compress(t, nil, zstd.WithZeroFrames(true)), whole...), nil},
		"skippable frames":          {slices.Concat(skippable, whole, skippable), nil},
		"checksum":                  {checked, nil},
		"wrong checksum":            {corrupted, certificate.FailureZstd},
		"no frame after":            {append(bytes.Clone(whole), 1), certificate.FailureZstd},
		"part of a frame after":     {append(bytes.Clone(whole), whole[:len(whole)/2]...), certificate.FailureZstd},
		"part of a skippable frame": {append(bytes.Clone(whole), skippable[:9]...), certificate.FailureZstd},
		"nothing":                   {nil, certificate.FailureMsgpack},
		"window of 8 MiB":           {frame(23, raw(plain)), nil},
		"window of 16 MiB":          {frame(24, raw(plain)), certificate.FailureZstd},
		"window of 2 TiB":           {frame(41, raw(plain)), certificate.FailureZstd},
		"at the limit":              {compress(t, revokedUser(t, limit)), nil},
		"at the limit, streamed":    {streamed(t, revokedUser(t, limit)), nil},
		"one byte over":             {compress(t, revokedUser(t, limit+1)), certificate.FailureZstd},
		"one byte over, streamed":   {streamed(t, revokedUser(t, limit+1)), certificate.FailureZstd},
		"two frames over together":  {append(bytes.Clone(half), half...), certificate.FailureZstd},
	} {
		if _, err := certificate.LoadRevokedUser(signPacked(key, item.compressed), verifyKey, alice); !errors.Is(err, item.want) {
			t.Errorf("%s: got %v, want %v", name, err, item.want)
		}
	}
}

// streamed returns one frame that does not tell its size.
func streamed(t testing.TB, data []byte) []byte {
	t.Helper()
	var compressed bytes.Buffer
	encoder, err := zstd.NewWriter(&compressed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		if _, err := encoder.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := encoder.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed.Bytes()
}

// TestBombs of a few bytes, with any signature that is right, take little memory:
// one that promises a terabyte, one whose blocks are one, and one of many frames.
func TestBombs(t *testing.T) {
	const (
		block  = 128 << 10
		rounds = 50
		// each may take at most this many bytes of memory, where it says that it has a
		// hundred times as many, or more. The room of the largest payload is kept
		// between two, but not always with the race detector.
		most = 3 << 20
	)
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "alice_dev1"), loaded.verify(t, "alice_dev1")
	promise := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0} // one segment of 2^40 bytes
	blocks := slices.Repeat(repeated(block, false), 1000)
	frames := slices.Repeat(frame(17, repeated(block, true)), 1000)
	for name, compressed := range map[string][]byte{
		"promise": append(promise, repeated(block, true)...),
		"blocks":  append(frame(23, blocks), repeated(block, true)...),
		"frames":  frames,
		"window":  frame(41, repeated(block, true)),
	} {
		signed := signPacked(key, compressed)
		load := func() {
			if _, err := certificate.LoadRevokedUser(signed, verifyKey, alice); !errors.Is(err, certificate.FailureZstd) {
				t.Fatalf("%s: got %v", name, err)
			}
		}
		load()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			load()
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > most {
			t.Errorf("%s (%d bytes): each takes %d bytes, want at most %d", name, len(signed), each, most)
		}
	}
}

// TestLoadingLeavesNothingRunning starts no goroutine.
func TestLoadingLeavesNothingRunning(t *testing.T) {
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "alice_dev1"), loaded.verify(t, "alice_dev1")
	signed := signPacked(key, compress(t, revokedUser(t, 0)))
	before := runtime.NumGoroutine()
	for range 100 {
		if _, err := certificate.LoadRevokedUser(signed, verifyKey, alice); err != nil {
			t.Fatal(err)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, after %d", after, before)
	}
}
