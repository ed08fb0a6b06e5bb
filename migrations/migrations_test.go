package migrations

import (
	"fmt"
	"io/fs"
	"regexp"
	"testing"
)

// TestNames wants the names that Latest and the tool that applies the steps
// read alike, without gap.
func TestNames(t *testing.T) {
	names, err := fs.Glob(Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if !regexp.MustCompile(`^\d{5}_[a-z0-9_]+\.sql$`).MatchString(name) {
			t.Errorf("%s is not named <version>_<name>.sql", name)
		}
		if want := int64(i + 1); Latest() < want || name[:5] != fmt.Sprintf("%05d", want) {
			t.Errorf("%s is not version %d", name, want)
		}
	}
	if Latest() != int64(len(names)) {
		t.Errorf("latest version is %d of %d", Latest(), len(names))
	}
}
