package testkit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// WantFile compares a text with a file below testdata, which people have read. One that
// is not there is written, for somebody to read.
func WantFile(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(got), 0o600))
		t.Errorf("%s is new: read it (%v)", path, err)
		return
	}
	if err != nil || got != string(want) {
		t.Errorf("%s differs (%v); without the file it is written anew:\n%s", path, err, got)
	}
}
