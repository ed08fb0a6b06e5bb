package blockstore

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// partsOf divides data anyhow, with empty parts too.
func partsOf(t *rapid.T, data []byte) [][]byte {
	var parts [][]byte
	for len(data) > 0 {
		count := rapid.IntRange(0, len(data)).Draw(t, "part")
		parts, data = append(parts, data[:count:count]), data[count:]
	}
	return append(parts, nil)
}

func TestPartsAreOneAfterTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, count := rapid.IntRange(1, 9).Draw(t, "size"), rapid.IntRange(0, 5).Draw(t, "count")
		data := make([]byte, size*count)
		for i := range data {
			data[i] = byte(i + 1)
		}
		into := make([]byte, len(data))
		parts := partsOf(t, into)
		if err := fill(parts, nil, data); err != nil || !bytes.Equal(into, data) || !bytes.Equal(joined(parts), data) {
			t.Fatalf("filled %v: %v", into, err)
		}
		if err := fill(parts, nil, make([]byte, len(data)+1)); err == nil {
			t.Error("filled with a byte too many")
		}
		xor(partsOf(t, into), partsOf(t, data))
		if !isZero(into) {
			t.Errorf("%v with itself is %v", data, into)
		}
		stretches := cut(partsOf(t, data), size)
		if len(stretches) != count {
			t.Fatalf("%d stretches, want %d", len(stretches), count)
		}
		for i, stretch := range stretches {
			if !bytes.Equal(joined(stretch), data[i*size:(i+1)*size]) {
				t.Errorf("stretch %d is %v", i, stretch)
			}
		}
	})
}
