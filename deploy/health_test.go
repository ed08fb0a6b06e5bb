package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHealthIsLiveness has whatever restarts a container, or routes no more
// clients to it, ask only whether its process lives. Kubernetes knows readiness
// besides, of which it restarts nothing, and so do the balancers that send clients
// to any server when none is ready (docs/monitoring.md).
func TestHealthIsLiveness(t *testing.T) {
	asks := regexp.MustCompile(`/readyz|"healthcheck"`)
	lives := regexp.MustCompile(`"healthcheck", "--live"|/healthz`)
	found := map[string]int{}
	err := filepath.Walk("..", func(path string, information os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		folder, _, _ := strings.Cut(relative, string(filepath.Separator))
		deployed := folder == "deploy" || folder == relative && !information.IsDir()
		if information.IsDir() || strings.HasPrefix(relative, "deploy/monitoring") || !deployed || strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".md") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			code, _, _ := strings.Cut(line, "#")
			if lives.MatchString(code) {
				found[relative]++
			} else if asks.MatchString(code) && !isReadinessProbe(relative, code) && !slices.Contains(preferReady, relative) {
				t.Errorf("%s asks for more than life: %s", relative, strings.TrimSpace(code))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"Dockerfile", "deploy/traefik/parsec.yml", "deploy/kubernetes/deployment.yaml"} {
		if found[path] == 0 {
			t.Errorf("%s asks for no life", path)
		}
	}
}

// preferReady are balancers with something to fall back on: TestTraefik and
// TestHAProxyPrefersReadyServers see to it.
var preferReady = []string{"deploy/haproxy/haproxy.cfg", "deploy/traefik/parsec.yml"}

func isReadinessProbe(path, line string) bool {
	return path == "deploy/kubernetes/deployment.yaml" && strings.Contains(line, "httpGet: {path: /readyz, port: parsec}")
}
