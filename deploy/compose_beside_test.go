package deploy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

// composeVariables returns what docker-compose.yml gives to a server, and so to a command
// in its container, where no .env says otherwise; changed are other values.
func composeVariables(t *testing.T, changed map[string]string) (variables []string) {
	t.Helper()
	content, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(content), "  environment: &settings\n")
	for _, line := range regexp.MustCompile(`(?m)\A(    .*\n)+`).FindAllString(block, 1) {
		for _, setting := range regexp.MustCompile(`(?m)^    (\w+): (.*?)( #.*)?$`).FindAllStringSubmatch(line, -1) {
			name, value := setting[1], strings.Trim(setting[2], `"`)
			if byDefault := regexp.MustCompile(`^\$\{\w+:-(.*)\}$`).FindStringSubmatch(value); byDefault != nil {
				value = byDefault[1]
			}
			if other, is := changed[name]; is {
				value = other
			}
			variables = append(variables, name+"="+value)
		}
	}
	return variables
}

// TestCommandInContainer runs the server with the variables of its container, and a
// command with the same ones beside it.
func TestCommandInContainer(t *testing.T) {
	t.Parallel()
	folder, changed := t.TempDir(), map[string]string{"PARSEC_PORT": testkit.FreePort(t), "PARSEC_METRICS_ADDRESS": "127.0.0.1:" + testkit.FreePort(t)}
	for variable, content := range map[string]string{
		"PARSEC_ADMINISTRATION_TOKEN_FILE": "Yq3vXr8LmN2pTz6wKb4s\n", "PARSEC_DB_FILE": "MOCKED\n", "PARSEC_BLOCKSTORE_FILE": "MOCKED\n",
	} {
		changed[variable] = filepath.Join(folder, variable)
		if err := os.WriteFile(changed[variable], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	variables := composeVariables(t, changed)
	program := filepath.Join(application, "bin", "parsec")
	process := testkit.StartProcess(t, variables, program, "backend", "run")
	process.Await(t, func(ctx context.Context) error {
		return testkit.GetOK(ctx, "http://127.0.0.1:"+changed["PARSEC_PORT"]+"/readyz")
	})
	command := exec.CommandContext(t.Context(), program, "organization", "create", "MyOrg")
	command.Env = variables
	output, err := command.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(output), "Bootstrap organization url: parsec://localhost:6777/MyOrg?") {
		t.Errorf("%v: %s", err, output)
	}
}
