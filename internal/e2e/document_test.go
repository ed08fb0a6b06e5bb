//go:build !without_curl

package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// example is a command of a document, and what it prints; … is any text.
type example struct{ command, want string }

// examplesOf returns the examples in the console blocks of a document.
func examplesOf(t *testing.T, document string) (examples []example) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			if command, found := strings.CutPrefix(line, "$ "); found {
				examples = append(examples, example{command: strings.TrimSpace(command)})
			} else {
				examples[len(examples)-1].want += line
			}
		}
	}
	return examples
}

// TestAdministrationDocument runs docs/administration.md.
func TestAdministrationDocument(t *testing.T) {
	t.Parallel()
	b := buildBinary(t)
	p := b.run(t)
	examples := examplesOf(t, "../../docs/administration.md")
	if len(examples) < 20 {
		t.Fatalf("%d examples", len(examples))
	}
	folder := t.TempDir()
	for _, example := range examples {
		command := exec.CommandContext(p.ctx, "/bin/sh", "-c", example.command)
		command.Dir = folder
		command.Env = []string{
			"PATH=" + filepath.Dir(string(b)) + ":" + os.Getenv("PATH"), "HOME=/nonexistent",
			"SERVER=" + p.address.HTTPOrigin(), "AUTH=Authorization: Bearer s3cr3t",
			"PARSEC_ADDR=" + p.address.String(), "PARSEC_ADMINISTRATION_TOKEN=s3cr3t",
		}
		output, err := command.Output()
		if err != nil {
			t.Fatalf("%s: %v, printed %q", example.command, err, output)
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(example.want)), "…", ".*")
		got := strings.TrimSpace(strings.ReplaceAll(string(output), "\r\n", "\n"))
		if !regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got) {
			t.Errorf("%s printed\n%s\nwant\n%s", example.command, got, example.want)
		}
	}
	// Every route is in it.
	for _, route := range []string{
		http.MethodPost + " organizations", http.MethodGet + " organizations/Acme", http.MethodPatch + " organizations/Acme",
		http.MethodGet + " organizations/Acme/stats", http.MethodGet + " organizations/Acme/users",
		http.MethodPost + " organizations/Acme/users/freeze", http.MethodGet + " stats?format=json",
	} {
		if !shows(examples, route) {
			t.Errorf("no example of %s", route)
		}
	}
}

func shows(examples []example, route string) bool {
	method, path, _ := strings.Cut(route, " ")
	for _, example := range examples {
		used := http.MethodGet
		switch {
		case strings.Contains(example.command, " -X PATCH "):
			used = http.MethodPatch
		case strings.Contains(example.command, " -d "):
			used = http.MethodPost
		}
		if used == method && strings.HasSuffix(example.command, "/administration/"+path+`"`) {
			return true
		}
	}
	return false
}
