// Package vectors has for tests the machine-checkable examples of the
// specification, described in docs/protocol/vectors.md.
package vectors

import (
	"embed"
	"encoding/json"
	"testing"
)

//go:embed testdata
var files embed.FS

// Load decodes the vector file name (such as "ids.json") into a T.
// A []byte in T is standard base64 in the file.
func Load[T any](t testing.TB, name string) T {
	t.Helper()
	raw, err := files.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatalf("read vectors: %v", err)
	}
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatalf("decode vectors %s: %v", name, err)
	}
	return value
}
