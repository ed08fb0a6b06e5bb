package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/database"
)

// TestImageIsBuiltOfAll wants .dockerignore to let into an image whatever the command
// consists of.
func TestImageIsBuiltOfAll(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if !slices.Contains(lines, "*") {
		t.Fatal("the image is no longer built of what .dockerignore names")
	}
	admitted := func(file string) bool {
		return !strings.HasSuffix(file, "_test.go") && !strings.Contains(file, "/testdata/") && slices.ContainsFunc(lines, func(line string) bool {
			name, is := strings.CutPrefix(line, "!")
			return is && (file == name || strings.HasPrefix(file, name+"/"))
		})
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Module", "./cmd/parsec")
	list.Dir = ".."
	output, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	decoder, files := json.NewDecoder(strings.NewReader(string(output))), 0
	for {
		var found struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Module              *struct{ Main bool }
		}
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if found.Module == nil || !found.Module.Main {
			continue
		}
		folder, err := filepath.Rel(root, found.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Concat(found.GoFiles, found.EmbedFiles) {
			files++
			if file := path.Join(filepath.ToSlash(folder), name); !admitted(file) {
				t.Errorf(".dockerignore keeps %s out of the image", file)
			}
		}
	}
	if files == 0 {
		t.Error("the command consists of nothing")
	}
}

// TestComposeBackupLocks wants the backup of Compose to hold the lock that deletions of
// blocks wait for.
func TestComposeBackupLocks(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("compose/backup")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("pg_advisory_lock(%d)", database.BackupLock); !strings.Contains(string(script), want) {
		t.Errorf("the backup of Compose does not ask for %s", want)
	}
}
