package config

import (
	"slices"
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "value": "value", " \t value \r\n\n": "value", "\ufeffvalue\n": "value", "\u00a0value\u00a0": "value",
		`"value"`: "value", "'value'\r\n": "value", "\ufeff\"value\"\n": "value", "\"value\n\"": "value", `""`: "", "''": "", `" "`: "",
		`"`: `"`, `"value`: `"value`, `value"`: `value"`, `"value'`: `"value'`, `'it's'`: `'it's'`,
		`"Doe, John" <john@example.com>`: `"Doe, John" <john@example.com>`, `"a" "b"`: `"a" "b"`, `""value""`: `""value""`,
		`'"value"'`: `"value"`, "a b": "a b",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

// TestCleanVariables has every variable that is read, and its file, with what
// platforms put around values.
func TestCleanVariables(t *testing.T) {
	around := []string{"%s\r\n", " %s ", "\ufeff%s", `"%s"`, "'%s'\n"}
	for i, name := range knownVariables() {
		t.Setenv(name, strings.ReplaceAll(around[i%len(around)], "%s", "value"))
	}
	t.Setenv("OTHER_URL", "'postgresql://h/d'\n")
	environment, err := ReadEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range knownVariables() {
		looked, _ := environment.Lookup(name)
		if environment.Variables[name] != "value" || looked != "value" {
			t.Errorf("%s is %q, %q", name, environment.Variables[name], looked)
		}
	}
	if dsn, found := environment.Lookup("OTHER_URL"); !found || dsn != "postgresql://h/d" {
		t.Errorf("a reference is %q", dsn)
	}
	if _, found := environment.Lookup("NOTHING_OF_THE_KIND"); found {
		t.Error("found what is not there")
	}
	for _, text := range []string{"value\r\n\r\n", "\ufeffvalue", " \"value\"\n"} {
		loaded := mustLoad(t, typed(required...), map[string]string{"PARSEC_EMAIL_HOST_PASSWORD_FILE": writeFile(t, text)})
		if got := loaded.Config.Email.Password.Reveal(); got != "value" {
			t.Errorf("a file with %q gives %q", text, got)
		}
	}
	stores := map[string]string{"PARSEC_BLOCKSTORE": "\"RAID1:0:MOCKED\" 'RAID1:1:MOCKED'"}
	arguments := typed("db=MOCKED", "administration-token="+goodToken)
	if nodes := mustLoad(t, arguments, stores).Config.Blockstore.Nodes; len(nodes) != 2 {
		t.Errorf("%d nodes of a quoted list", len(nodes))
	}
}

// TestServiceLinks has what Kubernetes puts into the pods beside services called
// parsec, parsec-email and parsec-sse.
func TestServiceLinks(t *testing.T) {
	links := map[string]string{
		"PARSEC_PORT": "tcp://10.96.12.34:6777", "PARSEC_SERVICE_HOST": "10.96.12.34", "PARSEC_SERVICE_PORT": "6777", "PARSEC_SERVICE_PORT_PARSEC": "6777",
		"PARSEC_PORT_6777_TCP": "tcp://10.96.12.34:6777", "PARSEC_PORT_6777_TCP_PROTO": "tcp", "PARSEC_PORT_6777_TCP_PORT": "6777", "PARSEC_PORT_6777_TCP_ADDR": "10.96.12.34",
		"PARSEC_EMAIL_PORT": "tcp://10.96.12.35:25", "PARSEC_EMAIL_SERVICE_HOST": "10.96.12.35", "PARSEC_EMAIL_PORT_25_TCP_ADDR": "10.96.12.35",
		"PARSEC_SSE_PORT_53_UDP": "udp://10.96.12.36:53",
	}
	for name, value := range links {
		t.Setenv(name, value)
	}
	t.Setenv("PARSEC_SERVICE_HOTS", "typed wrong")
	environment, err := ReadEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(typed(required...), environment)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Config.Port != 6777 || loaded.Config.Email.Port != 25 {
		t.Errorf("ports %d and %d", loaded.Config.Port, loaded.Config.Email.Port)
	}
	var told, unknown []string
	for _, warning := range loaded.Warnings {
		switch {
		case strings.HasPrefix(warning, "variables of Kubernetes service links are ignored"):
			told = append(told, warning)
		case strings.HasPrefix(warning, "unknown variable PARSEC_TEST_"): // those of the tests themselves
		case strings.HasPrefix(warning, "unknown variable"):
			unknown = append(unknown, warning)
		}
	}
	if len(told) != 1 || !slices.Equal(unknown, []string{"unknown variable PARSEC_SERVICE_HOTS is ignored"}) {
		t.Errorf("warnings %q, %q", told, unknown)
	}
	for name := range links {
		if !strings.Contains(strings.Join(told, ""), name) {
			t.Errorf("%s is not named", name)
		}
	}
	t.Setenv("PARSEC_PORT", "7000")
	if environment, err = ReadEnvironment(); err != nil || environment.Variables["PARSEC_PORT"] != "7000" {
		t.Errorf("the setting is %q, %v", environment.Variables["PARSEC_PORT"], err)
	}
}
