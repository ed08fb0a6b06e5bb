//go:build !without_postgresql

package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/metrics"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
)

// scrape reads a path as Prometheus does.
func scrape(t *testing.T, m *metrics.Metrics, path string) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler(true).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("%s answers %d", path, answer.Code)
	}
	return answer.Body.String()
}

func wantLines(t *testing.T, m *metrics.Metrics, lines ...string) {
	t.Helper()
	text := scrape(t, m, "/metrics")
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

// observed returns a server whose metrics are read.
func observed(t *testing.T) (*metrics.Metrics, *testkit.Instance) {
	t.Helper()
	m := metrics.New("v1", "cafe")
	var database *postgres.Store
	instance := testkit.Start(t, testkit.InstanceOptions{
		Server: server.Options{Observer: m},
		Store: func(t testing.TB, bus *event.Bus) rules.Store {
			database = testkit.OpenPostgres(t, testkit.NewPostgres(t, testkit.Unsound), bus)
			return database
		},
	})
	m.ObserveState(metrics.State{
		Serving: instance.Server.Serving, DatabaseReady: func() bool { return true },
		BlocksReady: func() bool { return false }, EmailReady: func() bool { return false },
		CertificateEnd: func() time.Time { return time.Unix(1234567890, 0) },
		QueuedEvents:   instance.Rules.QueuedEvents, EventOverflows: instance.Rules.EventOverflows, BusDepth: instance.Bus.Depth,
		Gathered: func() int { return 3 }, Database: database.Database,
	})
	count(t, m)
	return m, instance
}

// surveyor has what organizations hold.
type surveyor []organization.Surveyed

func (s surveyor) Survey(context.Context, *parsec.DateTime) iter.Seq2[organization.Surveyed, error] {
	return func(yield func(organization.Surveyed, error) bool) {
		for _, surveyed := range s {
			if !yield(surveyed, nil) {
				return
			}
		}
	}
}

// count counts two organizations, of which one has expired.
func count(t *testing.T, m *metrics.Metrics) {
	t.Helper()
	const now = parsec.DateTime(1000)
	held := organization.NewStatistics()
	held.DataSize, held.MetadataSize, held.Active[parsec.ProfileStandard], held.Revoked[parsec.ProfileAdmin] = 100, 10, 3, 1
	survey := metrics.NewSurvey(m, surveyor{
		{Organization: organization.Organization{BootstrappedOn: new(parsec.DateTime(1))}, Statistics: held},
		{Organization: organization.Organization{ExpirationDate: new(now)}, Statistics: held},
	}, func() parsec.DateTime { return now }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		survey.Run(ctx)
	}()
	testkit.Await(t, "it is counted", func() bool { return strings.Contains(scrape(t, m, "/metrics"), `parsec_stored_bytes{kind="metadata"}`) })
	cancel()
	<-ended
}

// TestServer counts what one administrator does.
func TestServer(t *testing.T) {
	m, instance := observed(t)
	reached := parsec2.New(instance.Address, client.Options{})
	t.Cleanup(reached.Close)
	if _, err := reached.DialAdministration(t.Context(), "wrong"); err == nil {
		t.Error("a wrong token is accepted")
	}
	conn, err := reached.DialAdministration(t.Context(), testkit.AdministrationToken)
	if err != nil {
		t.Fatal(err)
	}
	acme, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsec2.Call(t.Context(), conn, protocol.AdministrationCreate, &protocol.AdministrationCreateRequest{OrganizationID: acme}); err != nil {
		t.Fatal(err)
	}
	other, err := parsec.ParseOrganizationID("Other")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := parsec2.Call(t.Context(), conn, protocol.AdministrationStatus, &protocol.AdministrationStatusRequest{OrganizationID: other}); err == nil {
			t.Error("an unknown organization has a status")
		}
	}
	wantLines(t, m,
		`parsec_build_info{commit="cafe",goversion="`+goVersion(t, m)+`",version="v1"} 1`,
		`parsec_serving 1`,
		`parsec_writes_gathered 3`,
		`parsec_database_ready 1`,
		`parsec_blockstore_ready 0`,
		`parsec_email_ready 0`,
		`parsec_certificate_end_timestamp_seconds 1.23456789e+09`,
		`parsec_organizations{state="active"} 1`,
		`parsec_organizations{state="expired"} 1`,
		`parsec_organizations{state="not_bootstrapped"} 0`,
		`parsec_users{profile="STANDARD",state="active"} 6`,
		`parsec_users{profile="ADMIN",state="revoked"} 2`,
		`parsec_stored_bytes{kind="data"} 200`,
		`parsec_stored_bytes{kind="metadata"} 20`,
		`parsec_handshakes_total{result="bad_admin_token"} 1`,
		`parsec_handshakes_total{result="ok"} 1`,
		`parsec_connections{api="1",kind="administration",transport="websocket"} 1`,
		`parsec_commands_total{command="organization_create",status="ok"} 1`,
		`parsec_commands_total{command="organization_status",status="not_found"} 2`,
		`parsec_command_duration_seconds_count{command="organization_status"} 2`,
		`parsec_event_queue_depth 0`,
		`parsec_event_queue_overflows_total 0`,
	)
	conn.Close()
	testkit.Await(t, "the connection is counted out", func() bool {
		return strings.Contains(scrape(t, m, "/metrics"), `parsec_connections{api="1",kind="administration",transport="websocket"} 0`)
	})
	text := scrape(t, m, "/metrics")
	for _, positive := range []string{"parsec_database_acquires_total", "parsec_database_connections_max", "parsec_schema_version", "parsec_event_outbox_lag_seconds"} {
		if !regexp.MustCompile(`(?m)^` + positive + ` [0-9.e-]*[1-9]`).MatchString(text) {
			t.Errorf("%s is not positive in\n%s", positive, text)
		}
	}
}

func goVersion(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	found := regexp.MustCompile(`go_info\{version="([^"]+)"\} 1`).FindStringSubmatch(scrape(t, m, "/metrics"))
	if found == nil {
		t.Fatal("the version of Go is not told")
	}
	return found[1]
}

// failing is a block store out of order.
type failing struct{ blockstore.Store }

func (failing) Read(context.Context, parsec.OrganizationID, parsec.BlockID, *blockstore.Checksum, ...[]byte) error {
	return errors.New("out of order")
}

func TestBlocks(t *testing.T) {
	m := metrics.New("v1", "cafe")
	var organization parsec.OrganizationID
	good, bad := m.ObserveBlocks(0, blockstore.NewMemory()), m.ObserveBlocks(1, failing{})
	block := make([]byte, 5)
	_ = good.Read(t.Context(), organization, parsec.BlockID{1}, nil, block)
	if err := good.Create(t.Context(), organization, parsec.BlockID{1}, []byte("block")); err != nil {
		t.Error(err)
	}
	if err := good.Read(t.Context(), organization, parsec.BlockID{1}, nil, block); err != nil || string(block) != "block" {
		t.Errorf("read %q, %v", block, err)
	}
	_ = bad.Read(t.Context(), organization, parsec.BlockID{1}, nil, block)
	wantLines(t, m,
		`parsec_blockstore_calls_total{node="0",operation="read",result="not_found"} 1`,
		`parsec_blockstore_calls_total{node="0",operation="read",result="ok"} 1`,
		`parsec_blockstore_calls_total{node="0",operation="create",result="ok"} 1`,
		`parsec_blockstore_calls_total{node="1",operation="read",result="error"} 1`,
		`parsec_blockstore_call_duration_seconds_count{node="0",operation="read"} 2`,
	)
	if name := fmt.Sprint(good); name != "memory" {
		t.Errorf("the store is called %s", name)
	}
}

func TestOutcomes(t *testing.T) {
	m := metrics.New("v1", "cafe")
	m.CommandEnded(t.Context(), server.EndedCommand{Command: protocol.Ping.Form, Outcome: server.Abandoned})
	m.CommandEnded(t.Context(), server.EndedCommand{Command: protocol.Ping.Form, Outcome: server.Failed})
	m.CommandEnded(t.Context(), server.EndedCommand{Status: protocol.StatusUnknownCommand})
	m.HandshakeEnded("")
	wantLines(t, m,
		`parsec_commands_total{command="ping",status="abandoned"} 1`,
		`parsec_commands_total{command="ping",status="failed"} 1`,
		`parsec_commands_total{command="unknown",status="unknown_command"} 1`,
		`parsec_handshakes_total{result="failed"} 1`,
	)
}

// TestEmails counts from 0.
func TestEmails(t *testing.T) {
	m := metrics.New("v1", "cafe")
	kinds := mail.Invitations()
	ended := m.ObserveEmails(kinds)
	ended(kinds[0], mail.Sent)
	ended(kinds[0], mail.Sent)
	ended(kinds[1], mail.BadRecipient)
	wantLines(t, m,
		`parsec_emails_total{kind="invitation_user",outcome="sent"} 2`,
		`parsec_emails_total{kind="invitation_device",outcome="bad_recipient"} 1`,
		`parsec_emails_total{kind="invitation_device",outcome="not_available"} 0`,
		`parsec_emails_total{kind="invitation_device",outcome="misconfigured"} 0`,
		`parsec_emails_total{kind="invitation_shamir_recovery",outcome="sent"} 0`,
	)
}

var documentRow = regexp.MustCompile("(?m)^\\| `(parsec_\\w+)` \\| (\\w+) \\| ([^|]*)\\|")

// TestDocument compares the table of docs/monitoring.md with what is served.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range documentRow.FindAllStringSubmatch(string(document), -1) {
		documented[row[1]] = row[2] + " " + strings.Join(slices.Sorted(slices.Values(strings.FieldsFunc(row[3], func(r rune) bool { return strings.ContainsRune("`, ", r) }))), ",")
	}
	served := served(t)
	if !maps.Equal(served, documented) {
		t.Errorf("served\n%v\ndocumented\n%v", served, documented)
	}
}

// served returns the type and the labels of every metric of ours.
func served(t *testing.T) map[string]string {
	t.Helper()
	m, _ := observed(t)
	m.CommandEnded(t.Context(), server.EndedCommand{Command: protocol.Ping.Form, Status: protocol.StatusOK})
	m.HandshakeEnded(string(protocol.HandshakeOK))
	m.RequestRefused(protocol.Authenticated.String(), http.StatusForbidden)
	m.ConnectionBegun(server.WebSocket, protocol.Authenticated.String(), parsec.APIVersion{Major: 3})
	_ = m.ObserveBlocks(0, blockstore.NewMemory()).Create(t.Context(), parsec.OrganizationID{}, parsec.BlockID{}, nil)
	folder, err := blockstore.NewFolder(blockstore.FolderOptions{Path: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := blockstore.Init(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if err := m.ObserveBlocks(1, blockstore.NewLimited(folder, blockstore.DefaultLimits())).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.ObserveEmails(mail.Invitations())
	served := map[string]string{}
	text := scrape(t, m, "/metrics")
	for _, kind := range regexp.MustCompile(`(?m)^# TYPE (parsec_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		suffix := ""
		if kind[2] == "histogram" {
			suffix = "_count"
		}
		sample := regexp.MustCompile(`(?m)^` + kind[1] + suffix + `(?:\{(.*)\})? `).FindStringSubmatch(text)
		if sample == nil {
			t.Fatalf("%s has no sample", kind[1])
		}
		var labels []string
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(sample[1], -1) {
			labels = append(labels, label[1])
		}
		served[kind[1]] = kind[2] + " " + strings.Join(slices.Sorted(slices.Values(labels)), ",")
	}
	return served
}

var (
	metricName = regexp.MustCompile(`\bparsec_\w+`)
	// partOfHistogram is what Prometheus adds to the name of a histogram.
	partOfHistogram = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// TestMonitoring has the alerts ask for metrics that are served, and the
// dashboard show all of them.
func TestMonitoring(t *testing.T) {
	served := served(t)
	named := func(path string) map[string]bool {
		content, err := os.ReadFile("../../deploy/monitoring/" + path)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, name := range metricName.FindAllString(string(content), -1) {
			if base := partOfHistogram.ReplaceAllString(name, ""); strings.HasPrefix(served[base], "histogram") {
				name = base
			}
			if served[name] == "" {
				t.Errorf("%s asks for %s, which is not served", path, name)
			}
			names[name] = true
		}
		return names
	}
	named("alerts.yml")
	shown := named("grafana/dashboards/parsec.json")
	for name := range served {
		if !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// TestDashboard has no panel lie on another, and every panel ask the data
// source that is chosen.
func TestDashboard(t *testing.T) {
	content, err := os.ReadFile("../../deploy/monitoring/grafana/dashboards/parsec.json")
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ UID string }
	var dashboard struct {
		Panels []struct {
			ID         int
			Title      string
			Datasource source
			GridPos    struct{ X, Y, W, H int }
			Targets    []struct {
				Expr       string
				Datasource source
			}
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("%s has the identifier of another panel", panel.Title)
		}
		ids[panel.ID] = true
		at := panel.GridPos
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", panel.Title, other)
				}
				cells[[2]int{x, y}] = panel.Title
			}
		}
		if at.X+at.W > 24 {
			t.Errorf("%s is out of the grid", panel.Title)
		}
		for _, target := range panel.Targets {
			if target.Expr == "" || target.Datasource != (source{"${datasource}"}) || panel.Datasource != target.Datasource {
				t.Errorf("%s asks %+v", panel.Title, target)
			}
		}
	}
}

// TestServe has a real port, on which profiles are served when asked for only.
func TestServe(t *testing.T) {
	for profiles, status := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- metrics.New("v1", "cafe").Serve(ctx, listener, profiles) }()
		for path, want := range map[string]int{"/metrics": http.StatusOK, "/debug/pprof/goroutine": status, "/debug/pprof/cmdline": http.StatusNotFound, "/": http.StatusNotFound} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("profiles %t: %s answers %d", profiles, path, answer.StatusCode)
			}
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
