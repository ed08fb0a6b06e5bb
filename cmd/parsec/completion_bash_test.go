//go:build !without_bash

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCompletion types into a bash that has read the script.
func TestCompletion(t *testing.T) {
	itself, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := os.Symlink(itself, filepath.Join(directory, "parsec")); err != nil {
		t.Fatal(err)
	}
	script := executeWith(t.Context(), idle, nil, "completion", "bash")
	if script.code != 0 || script.stderr != "" {
		t.Fatalf("got %+v", script)
	}
	for _, row := range []struct {
		typed []string
		want  []string
	}{
		{[]string{"back"}, []string{"backend"}},
		{[]string{"backend", "mig"}, []string{"migrate"}},
		{[]string{"backend", "run", "--ssl"}, []string{"--ssl-certfile", "--ssl-ciphers", "--ssl-keyfile"}},
		{[]string{"backend", "run", "--log-level", "W"}, []string{"WARNING"}},
		{[]string{"organization", "server-stats", "--format", ""}, []string{"csv", "json"}},
		{[]string{"completion", ""}, []string{"bash", "fish", "zsh"}},
		{[]string{"nonsense"}, nil},
	} {
		words := append([]string{"parsec"}, row.typed...)
		program := script.stdout + fmt.Sprintf(`
_init_completion() { cur=%q; prev=; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
compopt() { :; }
__start_parsec parsec
printf '%%s\n' "${COMPREPLY[@]}"
`, row.typed[len(row.typed)-1])
		bash := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", program, "bash"}, words...)...)
		bash.Env = []string{"PATH=" + directory + ":" + os.Getenv("PATH"), "PARSEC_CMD_ARGS=--db=MOCKED"}
		output, err := bash.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", row.typed, err, output)
		}
		var got []string
		for line := range strings.Lines(string(output)) {
			if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" {
				got = append(got, strings.TrimSuffix(word, "="))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, row.want) {
			t.Errorf("%q: got %q", row.typed, output)
		}
	}
}
