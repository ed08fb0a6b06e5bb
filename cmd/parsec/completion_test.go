package main

import (
	"os"
	"path/filepath"
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

// TestCompletedArguments completes files where a file is meant, and nowhere else.
func TestCompletedArguments(t *testing.T) {
	for line, files := range map[string]bool{
		"organization list": false, "organization create": false, "organization bootstrap": false, "account find": false, "version": false,
		"backend run": false, "backend migrate": false, "man": true, "backend restore": true, "export-realm": true,
	} {
		got := executeWith(t.Context(), idle, nil, append(append([]string{"__complete"}, strings.Fields(line)...), "")...)
		if got.code != 0 || strings.HasSuffix(got.stdout, ":0\n") != files {
			t.Errorf("%s: %+v", line, got)
		}
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
