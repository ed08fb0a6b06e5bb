// Command configdoc writes docs/configuration.md and .env.example from the
// table of settings, below the directory given as its argument.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("expected the directory of the repository")
	}
	root := arguments[0]
	if err := write(filepath.Join(root, "docs", "configuration.md"), writeDocument); err != nil {
		return err
	}
	return write(filepath.Join(root, ".env.example"), writeExample)
}

func write(path string, render func(io.Writer) error) error {
	var content bytes.Buffer
	if err := render(&content); err != nil {
		return fmt.Errorf("render %s: %w", path, err)
	}
	return os.WriteFile(path, content.Bytes(), 0o644) //nolint:gosec // everyone may read the documentation
}
