//go:build !without_systemd

package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnit has systemd judge the unit: how exposed its service is, 2.5 of 10 at
// most, and whether it understands it.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("systemd/parsec.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Environment=PARSEC_SHUTDOWN_GRACE_PERIOD=60", "TimeoutStopSec=75"} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	program := filepath.Join(application, "bin", "parsec")
	installed := filepath.Join(t.TempDir(), "parsec.service")
	text := strings.ReplaceAll(string(unit), "/usr/local/bin/parsec", program)
	if err := os.WriteFile(installed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{
		{"security", "--offline=true", "--no-pager", "--threshold=25", installed},
		{"verify", "--man=no", installed},
	} {
		output, err := exec.CommandContext(t.Context(), "systemd-analyze", arguments...).CombinedOutput()
		if err != nil || arguments[0] == "verify" && len(output) > 0 {
			t.Errorf("%s: %v: %s", arguments[0], err, output)
		}
	}
}
