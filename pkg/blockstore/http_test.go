package blockstore

import (
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
		wanted  int
		valid   bool
		damaged bool
	}{
		{"whole", "abc", 3, 3, true, false},
		{"empty", "", 0, 0, true, false},
		{"short", "ab", 3, 3, false, false},
		{"nothing", "", 3, 3, false, false},
		{"long", "abcd", 3, 3, false, true},
		{"unknown length", "abc", -1, 3, true, false},
		{"unknown length, empty", "", -1, 0, true, false},
		{"unknown length, short", "ab", -1, 3, false, true},
		{"unknown length, nothing", "", -1, 3, false, true},
		{"unknown length, long", "abcd", -1, 3, false, true},
		{"announced too short", "ab", 2, 3, false, true},
		{"announced too long", "abcd", 4, 3, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := make([]byte, test.wanted)
			err := readObject(strings.NewReader(test.body), test.length, nil, [][]byte{object})
			if (err == nil) != test.valid || errors.Is(err, errDamaged) != test.damaged {
				t.Errorf("%q, %v", object, err)
			}
			if err == nil && string(object) != test.body {
				t.Errorf("read %q", object)
			}
		})
	}
	sum := ChecksumOf([]byte("abc"))
	if err := readObject(strings.NewReader("abc"), 3, sum, [][]byte{make([]byte, 1), make([]byte, 2)}); err != nil {
		t.Errorf("what has the checksum: %v", err)
	}
	if err := readObject(strings.NewReader("abd"), 3, sum, [][]byte{make([]byte, 3)}); !errors.Is(err, errDamaged) {
		t.Errorf("what has not the checksum: %v", err)
	}
	cut := io.MultiReader(strings.NewReader("ab"), errorReader{io.ErrUnexpectedEOF})
	if err := readObject(cut, -1, nil, [][]byte{make([]byte, 3)}); err == nil || errors.Is(err, errDamaged) {
		t.Errorf("a body of unknown length that was cut: %v", err)
	}
	broken := errors.New("connection lost")
	end := io.MultiReader(strings.NewReader("abc"), errorReader{broken})
	if err := readObject(end, 3, nil, [][]byte{make([]byte, 3)}); !errors.Is(err, broken) {
		t.Errorf("an error at the end of the body: %v", err)
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
