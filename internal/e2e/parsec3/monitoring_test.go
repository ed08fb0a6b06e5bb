//go:build !without_minio && !without_postgresql_programs && !without_prometheus

package parsec3_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

const monitoring = "../../../deploy/monitoring/"

// TestPrometheus has a real Prometheus scrape a server, with the alerts that come with
// it, and asks it what the dashboard asks.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	rules := must(filepath.Abs(monitoring + "alerts.yml"))
	testkit.CheckRules(t, rules)
	n := serveNeedy(t, true)
	certificate, key, _ := testkit.CertificateFiles(t)
	encrypted := "127.0.0.1:" + testkit.FreePort(t)
	folder := "--blockstore=file:" + filepath.Join(t.TempDir(), "blocks")
	if output, err := exec.CommandContext(t.Context(), program, "backend", "blockstore", "init", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	testkit.StartProcess(t, nil, program, "backend", "run", "--dev", folder, "--host=127.0.0.1", "--port="+testkit.FreePort(t),
		"--ssl-certfile="+certificate, "--ssl-keyfile="+key, "--metrics-address="+encrypted)
	prometheus := testkit.StartPrometheus(t, rules, n.metrics, encrypted)
	n.await("database", "parsec_database_ready", 0, 0)
	testkit.Await(t, "the server is ready", func() bool { return testkit.GetOK(t.Context(), n.address.HTTPOrigin()+"/readyz") == nil })

	w := newWorld(t, &testkit.Parsec{Address: n.address})
	testkit.Await(t, "the first scrape, from which on increases are seen", func() bool {
		series, err := prometheus.Query(w.ctx, fmt.Sprintf("parsec_emails_total{instance=%q}", n.metrics))
		return err == nil && series > 0
	})
	w.useAll()
	for _, query := range dashboard(t) {
		testkit.Await(t, "an answer to "+query, func() bool {
			series, err := prometheus.Query(w.ctx, query)
			if err != nil {
				t.Fatal(err)
			}
			return series > 0
		})
	}
	for _, alert := range alerts(t) {
		if _, err := prometheus.Query(w.ctx, alert.Expr); err != nil {
			t.Errorf("%s: %v", alert.Alert, err)
		}
		for _, metric := range regexp.MustCompile(`\b(parsec_\w+|up)\b`).FindAllString(alert.Expr, -1) {
			testkit.Await(t, alert.Alert+" has "+metric, func() bool {
				series, err := prometheus.Query(w.ctx, metric)
				return err == nil && series > 0
			})
		}
	}
	wantAlerts := func(names ...string) {
		t.Helper()
		testkit.Await(t, "alerts "+strings.Join(names, ", "), func() bool {
			found, err := prometheus.Alerts(w.ctx)
			return err == nil && !slices.ContainsFunc(names, func(name string) bool { return !found[name] })
		})
	}
	if found, err := prometheus.Alerts(w.ctx); err != nil || found["ParsecDatabaseAway"] || found["ParsecBlockStoreAway"] || found["ParsecDown"] {
		t.Errorf("at rest: %v, %v", found, err)
	}
	n.blocks.Kill()
	wantAlerts("ParsecBlockStoreAway")
	n.database.Stop(syscall.SIGINT)
	wantAlerts("ParsecDatabaseAway", "ParsecNotServing", "ParsecBlockStoreAway")
	n.process.Kill()
	wantAlerts("ParsecDown")
}

// useAll does what makes the metrics tell something: something of each kind happens.
func (w *world) useAll() {
	alice := w.login("alice", w.found("alice"))
	realm, err := alice.NewWorkspace(w.ctx, "work")
	w.do("create the workspace", err)
	file := parsec.VlobID(parsec.NewUUID())
	w.do("upload a block", alice.UploadBlock(w.ctx, realm, file, parsec.BlockID(parsec.NewUUID()), []byte("block")))
	w.do("upload a file", alice.Upload(w.ctx, realm, file, []byte("file")))
	_, err = client3.Call(w.ctx, alice.RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email("bob"), SendEmail: true})
	w.do("invite", err)
	_, err = client3.Call(w.ctx, alice.RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email("alice")})
	wantRefusal(w, protocol.StatusClaimerEmailAlreadyEnrolled, err)
	// A request that is refused by a status, and a handshake of a WebSocket.
	request := must(http.NewRequestWithContext(w.ctx, http.MethodPost, w.addresses[0].HTTPOrigin()+"/authenticated/CoolOrg", nil))
	request.Header.Set("Api-Version", "5.0")
	answer, err := http.DefaultClient.Do(request)
	w.do("send no token", err)
	_ = answer.Body.Close()
	second := parsec2.New(w.addresses[0], client.Options{})
	defer second.Close()
	if _, err := second.DialAdministration(w.ctx, "wrong"); err == nil {
		w.t.Error("a wrong token is accepted")
	}
}

// dashboard returns the queries of the dashboard, as Grafana fills them in.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	var shown struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(must(os.ReadFile(monitoring+"grafana/dashboards/parsec.json")), &shown); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$instance", ".*", "$__rate_interval", "10s")
	for _, panel := range shown.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, fill.Replace(target.Expr))
		}
	}
	if len(queries) == 0 {
		t.Fatal("the dashboard asks nothing")
	}
	return queries
}

type alert struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

// alerts returns the alerts, each of which says how grave it is and what to do.
func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal(must(os.ReadFile(monitoring+"alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	for _, alert := range all {
		if severity := alert.Labels["severity"]; severity != "critical" && severity != "warning" || alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s is %+v", alert.Alert, alert)
		}
	}
	return all
}
