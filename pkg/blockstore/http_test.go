package blockstore

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadObject(t *testing.T) {
	for _, test := range []struct {
		name    string
		body    string
		length  int64
		valid   bool
		damaged bool
	}{
		{"whole", "abc", 3, true, false},
		{"empty", "", 0, true, false},
		{"short", "ab", 3, false, false},
		{"nothing", "", 3, false, false},
		{"long", "abcd", 3, false, true},
		{"unknown length", "abc", -1, false, false},
		{"too long for a block", "", maxObjectBytes + 1, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			object, err := readObject(strings.NewReader(test.body), test.length)
			if (err == nil) != test.valid || errors.Is(err, errDamaged) != test.damaged {
				t.Errorf("%q, %v", object, err)
			}
			if err == nil && string(object) != test.body {
				t.Errorf("read %q", object)
			}
		})
	}
	broken := errors.New("checksum mismatch")
	end := io.MultiReader(strings.NewReader("abc"), errorReader{broken})
	if object, err := readObject(end, 3); !errors.Is(err, broken) {
		t.Errorf("an error at the end of the body: %q, %v", object, err)
	}
	largest := make([]byte, maxObjectBytes)
	if object, err := readObject(bytes.NewReader(largest), maxObjectBytes); err != nil || len(object) != maxObjectBytes {
		t.Errorf("the longest block: %d bytes, %v", len(object), err)
	}
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }

func TestUploadBodyGivesTheBlockBack(t *testing.T) {
	block := []byte("abcdef")
	body := newUploadBody(block)
	part := make([]byte, 3)
	if n, err := body.Read(part); n != 3 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	body.release()
	if n, err := body.Read(part); n != 0 || !errors.Is(err, errBodyClosed) {
		t.Errorf("read %d bytes of a closed body, %v", n, err)
	}
}

func TestAuthenticationVersion(t *testing.T) {
	for path, want := range map[string]int{
		"": 1, "/": 1, "/auth/v1.0": 1, "/v1": 1, "/v2.0": 2, "/identity/v2.0/": 2, "/v3": 3, "/identity/v3/": 3, "/srv3/auth": 1,
	} {
		if got := authenticationVersion(path); got != want {
			t.Errorf("%s: version %d, want %d", path, got, want)
		}
	}
}
