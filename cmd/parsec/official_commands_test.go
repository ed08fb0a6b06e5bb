package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commonOfficialOptions are of every official command that touches data.
var commonOfficialOptions = []string{
	"db", "db-min-connections", "db-max-connections", "blockstore",
	"log-level", "log-format", "log-file", "sentry-dsn", "sentry-environment", "debug",
}

// officialCommandRow is a row of the table of commands: its name, and its own options.
type officialCommandRow struct {
	name    string
	options []string
}

var officialCommandName = regexp.MustCompile("^\\| `([a-z_ ]+?)(?: \\[OUTPUT\\])?` \\|([^|]*)\\|")

func officialCommandRows(t *testing.T) []officialCommandRow {
	t.Helper()
	rows := []officialCommandRow{{name: "export_email"}} // is named below the table
	for line := range strings.Lines(officialSection(t, "## 3. Command line", "## 4. ")) {
		found := officialCommandName.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		row := officialCommandRow{name: found[1]}
		for _, option := range officialOption.FindAllStringSubmatch(found[2], -1) {
			row.options = append(row.options, option[1])
		}
		rows = append(rows, row)
	}
	const least = 12
	if len(rows) < least {
		t.Fatalf("only %d commands are found: %v", len(rows), rows)
	}
	return rows
}

// TestOfficialCommandLines has every official command be there, take every option that it
// takes officially, and be in no help.
func TestOfficialCommandLines(t *testing.T) {
	root := program{environment: environmentOf(nil)}.rootCommand()
	for _, row := range officialCommandRows(t) {
		command, rest, err := root.Find(strings.Fields(row.name))
		if err != nil || len(rest) > 0 || !command.Runnable() || command.HasSubCommands() && row.name != "migrate" {
			t.Errorf("%s: %s, %q, %v", row.name, command.CommandPath(), rest, err)
			continue
		}
		for _, option := range slices.Concat(row.options, commonOfficialOptions) {
			if command.Flag(option) == nil {
				t.Errorf("%s does not take --%s", row.name, option)
			}
		}
	}
	help := executeWith(t.Context(), idle, nil, "--help")
	for _, official := range officialCommands {
		if strings.Contains(help.stdout, official.name) && !isOurs(root, official.name) {
			t.Errorf("help shows %s:\n%s", official.name, help.stdout)
		}
	}
}

// isOurs reports whether a word is part of what help says of our own commands.
func isOurs(root *cobra.Command, word string) bool {
	return slices.ContainsFunc(root.Commands(), func(command *cobra.Command) bool {
		return !command.Hidden && (strings.Contains(command.Short, word) || strings.Contains(command.Name(), word))
	})
}

// TestOfficialRun takes the forms in which files write the options of a server.
func TestOfficialRun(t *testing.T) {
	for _, words := range [][]string{
		{"run", "--dev", "-P7000", "-l", "WARNING"}, {"run", "--port", "7000", "--dev", "--log-level=WARNING"}, nil,
	} {
		variables := map[string]string{}
		if words == nil {
			variables["PARSEC_CMD_ARGS"], variables["LEVEL"] = "run --dev --port 7000 --log-level=$LEVEL", "WARNING"
		}
		got := executeWith(t.Context(), idle, variables, words...)
		if got.code != 0 || got.settings == nil || got.settings.Port != 7000 || got.settings.Log.Level.String() != "WARN" {
			t.Errorf("%q: got %+v", words, got)
		}
	}
	got := executeWith(t.Context(), idle, nil, "run")
	if want := "Usage: parsec run [OPTIONS]\nTry 'parsec run --help' for help.\n\nError: " + missingServer; got.code != 2 || got.stderr != want {
		t.Errorf("got %+v", got)
	}
}
