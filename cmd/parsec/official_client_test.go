package main

import (
	"strings"
	"testing"
)

// TestOfficialClientCommands runs what scripts have that were written for official
// clients.
func TestOfficialClientCommands(t *testing.T) {
	s := newShell(t)
	address, token := s.variables["PARSEC_ADDR"], s.variables["PARSEC_ADMINISTRATION_TOKEN"]
	s.variables = nil
	for _, row := range []struct {
		line string
		want string
	}{
		{"create_organization Acme -B ADDRESS -T TOKEN", "Bootstrap organization url: parsec://"},
		{"create_organization Other --addr ADDRESS --administration-token TOKEN", "Bootstrap organization url: parsec://"},
		{"status_organization Acme -B ADDRESS -T TOKEN", "is_bootstrapped: false"},
		{"stats_organization Acme -B ADDRESS -T TOKEN", "data_size: 0"},
		{"stats_server -B ADDRESS -T TOKEN --format csv", "organization_id,data_size"},
	} {
		words := strings.Fields(strings.NewReplacer("ADDRESS", address, "TOKEN", token).Replace("core " + row.line))
		stdout, stderr, err := s.run(words...)
		if err != nil || !strings.Contains(stdout, row.want) {
			t.Errorf("%s: %v, %s%s", row.line, err, stdout, stderr)
		}
	}
}
