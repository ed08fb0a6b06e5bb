package main

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"parsec-server/internal/testkit"
)

// TestHelpFitsTerminal wraps help to a width, but for words and examples that are longer,
// and prints it bold only where it is told to.
func TestHelpFitsTerminal(t *testing.T) {
	t.Parallel()
	p := program{environment: environmentOf(nil)}
	command, _, err := p.rootCommand().Find([]string{"organization", "create"})
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{leastWidth, defaultWidth, mostWidth} {
		for _, bold := range []bool{false, true} {
			var text strings.Builder
			writeHelp(&text, newHelpPage(command), width, bold)
			for line := range strings.Lines(text.String()) {
				line = strings.TrimSuffix(line, "\n")
				words := len(strings.Fields(line))
				example := strings.HasPrefix(line, "  parsec ") || strings.HasPrefix(line, "  -") || strings.Contains(line, "Usage:")
				if utf8.RuneCountInString(line) > width && words > 1 && !example {
					t.Errorf("width %d: %q", width, line)
				}
			}
			if strings.Contains(text.String(), "\x1b") != bold {
				t.Errorf("bold %t: %q", bold, text.String())
			}
		}
	}
}

// TestBackQuotes are no names of values.
func TestBackQuotes(t *testing.T) {
	t.Parallel()
	got := executeWith(t.Context(), idle, nil, "backend", "run", "--help")
	if !strings.Contains(got.stdout, "as `parsec backend migrate` does") || !strings.Contains(got.stdout, "  --migrate\n") {
		t.Errorf("%s", got.stdout)
	}
}

// TestDumbTerminals cannot move their cursor.
func TestDumbTerminals(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	for kind, want := range map[string]bool{"xterm-256color": true, "dumb": false} {
		t.Setenv("TERM", kind)
		if isTerminal(terminal) != want {
			t.Errorf("TERM=%s", kind)
		}
	}
	if isTerminal(&testkit.Output{}) {
		t.Error("what is no file is a terminal")
	}
}

// TestCompletionOfValues asks what may follow options and arguments.
func TestCompletionOfValues(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.create("First")
	s.create("Second")
	for line, want := range map[string]string{
		"organization status ":                     "First\nSecond\n:4\n",
		"organization server-stats --format ":      "json\ncsv\n:4\n",
		"backend run --log-format ":                "CONSOLE\nCONSOLE_NO_TIMESTAMP\nJSON\n:4\n",
		"backend run --ssl-certfile ":              ":0\n",
		"backend run --port ":                      ":4\n",
		"realm list-deletable --organization ":     ":4\n",
		"organization status First ":               ":4\n",
		"sequester create-service --service-type ": "storage\nwebhook\n:4\n",
	} {
		got := executeWith(t.Context(), idle, s.variables, append([]string{"__completeNoDesc"}, strings.Split(line, " ")...)...)
		if got.code != 0 || got.stdout != want {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}
