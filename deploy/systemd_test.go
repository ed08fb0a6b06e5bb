//go:build !without_systemd

package deploy_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
)

// TestUnit has systemd judge the units: how exposed the service is, 2.5 of 10 at
// most, and whether it understands them.
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
	socket, err := os.ReadFile("systemd/parsec.socket")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load([]config.Argument{{Name: "dev", Text: "true"}}, config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort(loaded.Config.Host, strconv.Itoa(loaded.Config.Port))
	if !strings.Contains(string(socket), "\nListenStream="+address+"\n") {
		t.Errorf("systemd does not listen on %s, as the server does", address)
	}
	program := filepath.Join(application, "bin", "parsec")
	folder := t.TempDir()
	installed, listens := filepath.Join(folder, "parsec.service"), filepath.Join(folder, "parsec.socket")
	text := strings.ReplaceAll(string(unit), "/usr/local/bin/parsec", program)
	for path, content := range map[string]string{installed: text, listens: string(socket)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arguments := range [][]string{
		{"security", "--offline=true", "--no-pager", "--threshold=25", installed},
		{"verify", "--man=no", installed, listens},
	} {
		output, err := exec.CommandContext(t.Context(), "systemd-analyze", arguments...).CombinedOutput()
		if err != nil || arguments[0] == "verify" && len(output) > 0 {
			t.Errorf("%s: %v: %s", arguments[0], err, output)
		}
	}
}

// TestUnitHasTheFolderOfCommands has the unit take its settings from where a command that
// an administrator runs beside it looks for them: its file of variables, and each secret
// in a file of the name of its option.
func TestUnitHasTheFolderOfCommands(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("systemd/parsec.service")
	if err != nil {
		t.Fatal(err)
	}
	if line := "\nEnvironmentFile=" + config.Folder + "/parsec.env\n"; !strings.Contains(string(unit), line) {
		t.Errorf("no line %s", line)
	}
	credentials := 0
	for line := range strings.Lines(string(unit)) {
		credential, found := strings.CutPrefix(strings.TrimSpace(line), "LoadCredential=")
		if !found {
			continue
		}
		credentials++
		name, path, _ := strings.Cut(credential, ":")
		i := slices.IndexFunc(config.Settings(), func(setting config.Setting) bool { return setting.Name == name && setting.Secret })
		if i < 0 || path != filepath.Join(config.Folder, name) || !strings.Contains(string(unit), "\nEnvironment="+config.Settings()[i].Variable+"_FILE=%d/"+name+"\n") {
			t.Errorf("%s: commands do not find it", line)
		}
	}
	if credentials == 0 {
		t.Error("the unit has no credentials")
	}
}

// TestSocketActivation has systemd listen, and start the server when somebody
// connects.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	port := testkit.FreePort(t)
	address := net.JoinHostPort("127.0.0.1", port)
	activate := testkit.FindProgram(t, "systemd-socket-activate", "apt-get install systemd")
	process := testkit.StartProcess(t, nil, activate, "--listen="+address,
		filepath.Join(application, "bin", "parsec"), "backend", "run", "--dev", "--port", port)
	process.Await(t, func(ctx context.Context) error { return testkit.GetOK(ctx, "http://"+address+"/readyz") })
	if err := process.Stop(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if !strings.Contains(process.Output(), "Starting Parsec Backend on "+address+" ") { // all is read once it has ended
		t.Errorf("printed %s", process.Output())
	}
}
