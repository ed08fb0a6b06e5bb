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

// TestMain lets shells run this program as parsec.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "parsec" {
		os.Exit(execute())
	}
	os.Exit(m.Run())
}

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

func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{"zsh": "#compdef parsec", "fish": "complete -c parsec"} {
		got := executeWith(t.Context(), idle, nil, "completion", shell)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: got %+v", shell, got)
		}
	}
	if got := executeWith(t.Context(), idle, nil, "completion", "tcsh"); got.code != 2 || !strings.Contains(got.stderr, "No such command 'tcsh'.") {
		t.Errorf("got %+v", got)
	}
}

func TestMan(t *testing.T) {
	directory := t.TempDir()
	if got := executeWith(t.Context(), idle, nil, "man", directory); got.code != 0 || got.stdout+got.stderr != "" {
		t.Fatalf("got %+v", got)
	}
	for page, want := range map[string][]string{
		"parsec.1":             {`.TH "PARSEC" "1"`, `"parsec v9.9.9"`, "Zero-trust file sharing.", `\fBparsec-backend(1)\fP`},
		"parsec-backend-run.1": {`.TH "PARSEC-BACKEND-RUN" "1"`, "Run the server.", `\fB--ssl-certfile\fP`, "s3:[<endpoint_url>]:<region>:"},
	} {
		content, err := os.ReadFile(filepath.Join(directory, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(strings.ReplaceAll(string(content), `\-`, "-"), text) {
				t.Errorf("%s has no %s in\n%.3000s", page, text, content)
			}
		}
	}
	missing := filepath.Join(directory, "missing")
	if got := executeWith(t.Context(), idle, nil, "man", missing); got.code != 2 || !strings.Contains(got.stderr, "Error: Invalid value for 'DIRECTORY': open "+missing) {
		t.Errorf("got %+v", got)
	}
}
