package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// InstallPrometheus is how Debian has it.
const InstallPrometheus = "apt-get install prometheus"

// Prometheus is a server of that name, which scrapes others.
type Prometheus struct{ address string }

// StartPrometheus runs one until the test ends. It takes the rules of a file, and scrapes
// addresses each second, as its job parsec.
func StartPrometheus(t testing.TB, rules string, scraped ...string) *Prometheus {
	t.Helper()
	folder, port := t.TempDir(), FreePort(t)
	configuration := filepath.Join(folder, "prometheus.yml")
	text := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: parsec
    static_configs: [{targets: ["%s"]}]
`, rules, strings.Join(scraped, `", "`))
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process := StartProcess(t, nil, FindProgram(t, "prometheus", InstallPrometheus), "--config.file="+configuration,
		"--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address=127.0.0.1:"+port, "--log.level=warn")
	p := &Prometheus{address: "http://127.0.0.1:" + port}
	process.Await(t, func(ctx context.Context) error { return GetOK(ctx, p.address+"/-/ready") })
	return p
}

// CheckRules fails the test unless promtool finds a file of rules right.
func CheckRules(t testing.TB, rules string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), FindProgram(t, "promtool", InstallPrometheus), "check", "rules", rules).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, output)
	}
}

// Query returns how many series answer an expression now.
func (p *Prometheus) Query(ctx context.Context, expression string) (series int, err error) {
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	err = p.get(ctx, "/api/v1/query?query="+url.QueryEscape(expression), &answer)
	return len(answer.Data.Result), err
}

// Alerts returns the names of the alerts that would fire, those that wait until they
// have lasted included.
func (p *Prometheus) Alerts(ctx context.Context) (names map[string]bool, err error) {
	var answer struct {
		Data struct {
			Alerts []struct{ Labels map[string]string }
		}
	}
	err = p.get(ctx, "/api/v1/alerts", &answer)
	names = map[string]bool{}
	for _, alert := range answer.Data.Alerts {
		names[alert.Labels["alertname"]] = true
	}
	return names, err
}

func (p *Prometheus) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var failure struct{ Error string }
		_ = json.NewDecoder(answer.Body).Decode(&failure) // the status says enough
		return fmt.Errorf("%s: %s: %s", strings.TrimPrefix(path, "/api/v1/"), answer.Status, failure.Error)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
