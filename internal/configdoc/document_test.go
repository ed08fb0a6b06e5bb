package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"parsec-server/pkg/config"
)

func TestDocumentsAreCurrent(t *testing.T) {
	for path, write := range map[string]func(io.Writer) error{
		"docs/configuration.md": writeDocument,
		".env.example":          writeExample,
	} {
		var want bytes.Buffer
		if err := write(&want); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s is not current: run go generate ./pkg/config", path)
		}
	}
}

func TestAllSettingsAreDocumented(t *testing.T) {
	documented := 0
	for _, group := range settingGroups() {
		documented += len(group.Settings)
	}
	if settings := len(config.Settings()); documented != settings {
		t.Errorf("%d settings of %d are documented", documented, settings)
	}
}
