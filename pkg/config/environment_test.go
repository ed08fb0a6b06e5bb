package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// environmentOf returns what ReadEnvironment returns of the variables.
func environmentOf(variables map[string]string) Environment {
	environment := Environment{
		Variables: make(map[string]string),
		Lookup:    func(name string) (string, bool) { value, found := variables[name]; return value, found },
	}
	known := knownVariables()
	for name, text := range variables {
		environment.Names = append(environment.Names, name)
		if text != "" && slices.Contains(known, name) {
			environment.Variables[name] = text
		}
	}
	return environment
}

func TestReadEnvironment(t *testing.T) {
	t.Setenv("PARSEC_HOST", "0.0.0.0")
	t.Setenv("PARSEC_PORT", "")
	t.Setenv("PARSEC_DB_FILE", "/run/secrets/db")
	t.Setenv("PARSEC_HOST_FILE", "/run/host")
	t.Setenv("PARSEC_SENTRY_URL", "https://k@s/1")
	t.Setenv("PARSEC_CMD_ARGS", "backend $RUN")
	t.Setenv("RUN", "run")
	t.Setenv("DEBUG", "1")
	environment, err := ReadEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"PARSEC_HOST": "0.0.0.0", "PARSEC_DB_FILE": "/run/secrets/db", "PARSEC_SENTRY_URL": "https://k@s/1",
		"PARSEC_CMD_ARGS": "backend $RUN", "DEBUG": "1",
	} {
		if got := environment.Variables[name]; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"PARSEC_PORT", "PARSEC_HOST_FILE", "RUN"} {
		if text, found := environment.Variables[name]; found {
			t.Errorf("%s = %q, want none", name, text)
		}
	}
	if !slices.Contains(environment.Names, "PARSEC_HOST_FILE") || slices.Contains(environment.Names, "RUN") {
		t.Errorf("names %q", environment.Names)
	}
	if got := environment.Arguments(); !slices.Equal(got, []string{"backend", "run"}) {
		t.Errorf("arguments %q", got)
	}
}

func TestEnvironmentArguments(t *testing.T) {
	variables := map[string]string{
		"DB_URL": "postgres://a b", "OPTS": "--port=1 --dev", "X": "x", "2": "two", "REFERENCE": "$X", "EMPTY": "",
	}
	for _, row := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t\n ", nil},
		{"backend  run\t--dev\n", []string{"backend", "run", "--dev"}},
		{"--db=$DB_URL", []string{"--db=postgres://a b"}},
		{"$OPTS", []string{"--port=1 --dev"}},
		{`--log-filter="a"`, []string{`--log-filter="a"`}},
		{"${X}y $Xy $X.y", []string{"xy", "$Xy", "x.y"}},
		{"$UNDEFINED ${UNDEFINED} a$", []string{"$UNDEFINED", "${UNDEFINED}", "a$"}},
		{`\$X '$X'`, []string{`\x`, `'x'`}},
		{"$$X $${X}", []string{"$x", "$x"}},
		{"$REFERENCE", []string{"$X"}},
		{"${X ${} $é $2 ${2}", []string{"${X", "${}", "$é", "two", "two"}},
		{"a${EMPTY}b $EMPTY", []string{"ab", ""}},
	} {
		environment := environmentOf(variables)
		environment.Variables[ArgumentsVariable] = row.text
		if got := environment.Arguments(); !slices.Equal(got, row.want) {
			t.Errorf("%q: got %q, want %q", row.text, got, row.want)
		}
	}
}

// FuzzExpandArguments checks that no value of a variable makes an argument.
func FuzzExpandArguments(f *testing.F) {
	for _, text := range []string{"--db=$DB_URL ${X} $$X", "${", `\$X`, "$é"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain := expandArguments(text, func(string) (string, bool) { return "", false })
		if got := strings.Join(plain, " "); got != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("without variables: %q", got)
		}
		if spaced := expandArguments(text, func(string) (string, bool) { return "$X b", true }); len(spaced) != len(plain) {
			t.Fatalf("%d arguments, or %d", len(plain), len(spaced))
		}
	})
}

func TestUnknownVariables(t *testing.T) {
	environment := environmentOf(map[string]string{
		"PARSEC_SSE_KEEPALICE": "30", "PARSEC_HOST": "h", "PARSEC_HOST_FILE": "f", "PARSEC_DB_FILE": "f",
		"PARSEC_CMD_ARGS": "x", "PARSEC_ADDR": "a", "PARSEC_BLOCKSTORE_TO": "MOCKED", "PARSEC_COMPLETELY_DIFFERENT": "", "PARSEC_BACKEND_ADRESS": "",
	})
	want := []string{
		"unknown variable PARSEC_BACKEND_ADRESS is ignored, did you mean PARSEC_BACKEND_ADDR?",
		"unknown variable PARSEC_COMPLETELY_DIFFERENT is ignored",
		"unknown variable PARSEC_HOST_FILE is ignored, did you mean PARSEC_HOST?",
		"unknown variable PARSEC_SSE_KEEPALICE is ignored, did you mean PARSEC_SSE_KEEPALIVE?",
	}
	if got := environment.unknownVariables(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEditDistance(t *testing.T) {
	for _, row := range []struct {
		from, to string
		want     int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2},
	} {
		if got := editDistance(row.from, row.to); got != row.want {
			t.Errorf("%q to %q: got %d, want %d", row.from, row.to, got, row.want)
		}
	}
}

// TestFolder has the settings of a server that systemd runs, for a command that is told
// nothing.
func TestFolder(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		folderFile:             "# comment\n; comment\nPARSEC_PORT=7000\n PARSEC_BACKEND_ADDR = \"parsec://example.com\"\nOTHER=x\nPARSEC_DB=postgresql://variable/db\n",
		"administration-token": goodToken + "\n",
		"db":                   "postgresql://file/db",
		"host":                 "is no secret",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, denied, err := environmentOf(map[string]string{"DATABASE_URL": "postgresql://platform/db"}).InFolder(folder)
	if err != nil || denied {
		t.Fatal(denied, err)
	}
	beside, err := LoadBeside(nil, found)
	if err != nil || beside.Port != 7000 || beside.Address.String() != "parsec://example.com" || beside.Host != "127.0.0.1" {
		t.Errorf("%+v, %v", beside, err)
	}
	if token, origin, err := LoadToken(nil, found); err != nil || token.Reveal() != goodToken || !strings.Contains(origin, filepath.Join(folder, "administration-token")) {
		t.Errorf("%s from %s, %v", token.Reveal(), origin, err)
	}
	if dsn, err := LoadDSN(nil, found); err != nil || dsn.Reveal() != "postgresql://variable/db" {
		t.Errorf("database %s, %v", dsn.Reveal(), err)
	}
	if other, is := found.Lookup("OTHER"); !is || other != "x" {
		t.Errorf("OTHER is %q", other)
	}
	set := map[string]string{"PARSEC_DB": "postgresql://set/db"}
	if alone, _, err := environmentOf(set).InFolder(folder); err != nil || !maps.Equal(alone.Variables, set) {
		t.Errorf("with a setting of its own: %q, %v", alone.Variables, err)
	}
	if none, denied, err := environmentOf(nil).InFolder(filepath.Join(folder, "none")); err != nil || denied || len(none.Variables) > 0 {
		t.Errorf("no folder: %q, %v", none.Variables, err)
	}
}
