// Command check is the test command of the project: formatting, vet, linters,
// and every test with the race detector. It needs nothing but Go; where there
// is no C compiler, which the race detector needs, it says so and tests
// without.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := check(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stdout, "check: %v\n", err)
		os.Exit(1)
	}
}

func check(ctx context.Context, out io.Writer) error {
	tests := []string{"test", "-timeout", "15m"}
	if hasCompiler(ctx) {
		tests = append(tests, "-race")
	} else {
		fmt.Fprintln(out, "check: no C compiler, so the tests run without the race detector")
	}
	for _, step := range [][]string{
		{"vet", "./..."},
		{"tool", "-modfile=internal/tools/go.mod", "golangci-lint", "run", "./..."},
		append(tests, "./..."),
	} {
		start := time.Now()
		fmt.Fprintf(out, "check: go %s\n", strings.Join(step, " "))
		command := exec.CommandContext(ctx, "go", step...)
		command.Stdout, command.Stderr = out, out
		if err := command.Run(); err != nil {
			return fmt.Errorf("go %s: %w", step[0], err)
		}
		fmt.Fprintf(out, "check: go %s took %s\n", step[0], time.Since(start).Round(time.Second))
	}
	return nil
}

// hasCompiler tells whether Go can use cgo.
func hasCompiler(ctx context.Context) bool {
	output, err := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED", "CC").Output()
	if err != nil {
		return false
	}
	enabled, compiler, _ := bytes.Cut(output, []byte("\n"))
	if string(enabled) != "1" {
		return false
	}
	_, err = exec.LookPath(string(bytes.TrimSpace(compiler)))
	return err == nil
}
