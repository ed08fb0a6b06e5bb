//go:build !without_mount

package deploy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

// TestCommandBesideUnit runs the server as the unit does, with its settings in a folder
// that only root reads, and a command without any beside it.
func TestCommandBesideUnit(t *testing.T) {
	t.Parallel()
	port, token := testkit.FreePort(t), "Yq3vXr8LmN2pTz6wKb4s"
	folder := t.TempDir()
	for name, content := range map[string]string{
		"parsec.env":           "# Every other setting.\nPARSEC_PORT=" + port + "\nPARSEC_BACKEND_ADDR=parsec://parsec.example.com\nPARSEC_BLOCKSTORE='MOCKED'\n",
		"administration-token": token + "\n",
		"db":                   "MOCKED\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(application, "bin", "parsec")
	// What systemd makes of EnvironmentFile= and LoadCredential=.
	variables := []string{
		"PARSEC_PORT=" + port, "PARSEC_BACKEND_ADDR=parsec://parsec.example.com", "PARSEC_BLOCKSTORE=MOCKED",
		"PARSEC_DB_FILE=" + filepath.Join(folder, "db"), "PARSEC_ADMINISTRATION_TOKEN_FILE=" + filepath.Join(folder, "administration-token"),
	}
	process := testkit.StartProcess(t, variables, program, "backend", "run")
	process.Await(t, func(ctx context.Context) error { return testkit.GetOK(ctx, "http://127.0.0.1:"+port+"/readyz") })
	unshare := testkit.FindProgram(t, "unshare", "apt-get install util-linux")
	// The folder of the test is where that of the unit is, for this command alone.
	script := "mount --bind " + folder + " /mnt && mount -t tmpfs none /etc && mkdir /etc/parsec && mount --bind /mnt /etc/parsec && exec " + program + " organization create MyOrg"
	command := exec.CommandContext(t.Context(), unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	output, err := command.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(output), "Bootstrap organization url: parsec://parsec.example.com/MyOrg?action=bootstrap_organization&token=") {
		t.Errorf("%v: %s", err, output)
	}
}
