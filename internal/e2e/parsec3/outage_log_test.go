//go:build !without_minio && !without_postgresql_programs

package parsec3_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

// needs are a database, a block store and an SMTP server that go and come back, and a
// server that needs them.
type needs struct {
	t        *testing.T
	database *testkit.BreakablePostgres
	blocks   *testkit.MinIO
	mails    *testkit.FaultProxy
	process  *testkit.Process
	address  parsec.ServerAddress
	metrics  string

	mu      sync.Mutex
	reports []string
}

// serveNeedy starts a server whose log is JSON, while what it needs is there or not.
func serveNeedy(t *testing.T, there bool) *needs {
	n := &needs{t: t, database: testkit.StartBreakablePostgres(t), blocks: testkit.StartMinIO(t)}
	s3 := n.blocks.S3("parsec")
	testkit.Await(t, "the bucket is made", func() bool {
		return blockstore.Init(t.Context(), must(blockstore.NewS3(blockstore.S3Options{
			Endpoint: s3.Endpoint, Region: s3.Region, Bucket: s3.Bucket, Key: s3.Key.Reveal(), Secret: s3.Secret.Reveal(),
		}))) == nil
	})
	settings := testkit.StartSMTP(t, testkit.SMTPOptions{}).Settings()
	var mails string
	n.mails, mails = testkit.StandInFor(t, "smtp://"+net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port)))
	if !there {
		n.leave()
	}
	port := testkit.FreePort(t)
	n.metrics = "127.0.0.1:" + testkit.FreePort(t)
	n.address = must(parsec.ParseServerAddress("parsec://127.0.0.1:" + port + "?no_ssl=true"))
	n.process = testkit.StartProcess(t, nil, program,
		"backend", "run", "--dev", "--administration-token", testkit.AdministrationToken, "--host=127.0.0.1", "--port="+port,
		"--server-addr="+n.address.String(), "--db="+n.database.DSN, "--migrate", "--maximum-database-connection-attempts=1000",
		"--pause-before-retry-database-connection=0.1", "--metrics-address="+n.metrics,
		"--blockstore="+strings.Join([]string{
			"s3", strings.ReplaceAll(s3.Endpoint, ":", `\:`), s3.Region, s3.Bucket, s3.Key.Reveal(), s3.Secret.Reveal(),
		}, ":"),
		"--email-host=127.0.0.1", "--email-port="+must(url.Parse(mails)).Port(), "--email-sender=no-reply@example.com",
		"--log-format=JSON", "--sentry-dsn="+n.playSentry())
	return n
}

// leave has everything go.
func (n *needs) leave() {
	n.mails.Set(testkit.Fault{Reset: true})
	n.blocks.Kill()
	n.database.Stop(syscall.SIGINT)
}

// playSentry keeps the messages of what is reported.
func (n *needs) playSentry() (dsn string) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			n.t.Error(err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		for line := range strings.Lines(string(body)) {
			var event struct{ Message, Level string }
			if json.Unmarshal([]byte(line), &event) == nil && event.Message != "" && event.Level != "" {
				n.reports = append(n.reports, event.Message)
			}
		}
	}))
	n.t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http://", "http://key@", 1) + "/7"
}

// logLine is a line of the log.
type logLine struct {
	Timestamp, Level, Event, Error string
	Outage                         float64
}

// log returns the lines of the log, which must be JSON.
func (n *needs) log() (lines []logLine) {
	n.t.Helper()
	text := n.process.Output()
	for line := range strings.Lines(text[:strings.LastIndexByte(text, '\n')+1]) {
		var read logLine
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			n.t.Fatalf("%v: a line is %q", err, line)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", read.Timestamp); err != nil {
			n.t.Fatal(err)
		}
		lines = append(lines, read)
	}
	return lines
}

func (n *needs) count(level, event string) (found int) {
	for _, line := range n.log() {
		if line.Level == level && (line.Event == event || event == "") {
			found++
		}
	}
	return found
}

// await waits until as many outages of something have begun and ended, as the log and
// the metrics tell.
func (n *needs) await(name, metric string, begun, ended int) {
	n.t.Helper()
	testkit.Await(n.t, fmt.Sprintf("%s: %d outages have begun and %d ended", name, begun, ended), func() bool {
		return n.count("ERROR", name+" not available") == begun && n.count("INFO", name+" available again") == ended
	})
	if want := fmt.Sprintf("\n%s %d\n", metric, 1-begun+ended); n.ready() && metric != "" {
		testkit.Await(n.t, "the metrics tell of the "+name, func() bool {
			text, err := n.get("http://" + n.metrics + "/metrics")
			return err == nil && strings.Contains(text, want)
		})
	}
}

// ready reports whether the server has begun to serve.
func (n *needs) ready() bool {
	return strings.Contains(n.process.Output(), `"event":"metrics served"`)
}

func (n *needs) get(address string) (string, error) {
	request := must(http.NewRequestWithContext(n.t.Context(), http.MethodGet, address, nil))
	request.Header.Set("Authorization", "Bearer "+testkit.AdministrationToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// TestOutagesAreSeen has the database, the block store and the SMTP server away when
// the server starts, and again while it serves.
func TestOutagesAreSeen(t *testing.T) {
	t.Parallel()
	n := serveNeedy(t, false)
	const database, blocks, email = "parsec_database_ready", "parsec_blockstore_ready", "parsec_email_ready"
	n.await("database", database, 1, 0)
	n.database.Start()
	n.await("database", database, 1, 1)
	n.await("block store", blocks, 1, 0)
	n.await("e-mail", email, 1, 0)
	n.mails.Set(testkit.Fault{})
	n.blocks.Start()
	n.await("block store", blocks, 1, 1)
	n.await("e-mail", email, 1, 1)

	w := newWorld(t, &testkit.Parsec{Address: n.address})
	alice := w.login("alice", w.found("alice"))
	invite := func(email string) error {
		reply, err := client3.Call(w.ctx, alice.RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email, SendEmail: true})
		if err == nil && reply.EmailSent != protocol.EmailSuccess {
			err = errors.New(string(reply.EmailSent))
		}
		return err
	}
	n.mails.Set(testkit.Fault{Reset: true})
	n.blocks.Kill()
	for i := range 5 {
		if invite(guest(i)) == nil {
			t.Error("an e-mail is sent without SMTP server")
		}
	}
	n.await("e-mail", email, 2, 1)
	n.await("block store", blocks, 2, 1)
	n.database.Stop(syscall.SIGINT)
	for range 20 {
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		_, _ = n.get(n.address.HTTPOrigin() + "/administration/organizations/CoolOrg/stats")
		_, _ = client3.Call(ctx, alice.RPC(), protocol.Ping, &protocol.PingRequest{})
		cancel()
	}
	n.await("database", database, 2, 1)
	n.database.Start()
	n.blocks.Start()
	n.mails.Set(testkit.Fault{})
	n.await("database", database, 2, 2)
	n.await("block store", blocks, 2, 2)
	n.await("e-mail", email, 2, 2)
	testkit.Await(t, "the server is ready", func() bool { return testkit.GetOK(w.ctx, n.address.HTTPOrigin()+"/readyz") == nil })
	if err := invite("late@example.com"); err != nil {
		t.Errorf("after the outages: %v", err)
	}
	if err := n.process.Stop(); err != nil {
		t.Error(err)
	}
	if errs, warnings := n.count("ERROR", "")+n.count("CRITICAL", ""), n.count("WARNING", ""); errs != 6 || warnings > 10 {
		t.Errorf("%d errors and %d warnings in\n%s", errs, warnings, n.process.Output())
	}
	for _, line := range n.log() {
		if strings.HasSuffix(line.Event, "available again") && (line.Outage <= 0 || line.Outage > patience.Seconds()) {
			t.Errorf("%s after %g s", line.Event, line.Outage)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.Sort(n.reports)
	want := []string{
		"block store not available", "block store not available", "database not available", "database not available",
		"e-mail not available", "e-mail not available",
	}
	if !slices.Equal(n.reports, want) {
		t.Errorf("Sentry is told %q", n.reports)
	}
}

func guest(i int) string { return email("guest" + strconv.Itoa(i)) }

// TestEndIsJSON has the server end by itself: its settings are right, and its port is
// taken.
func TestEndIsJSON(t *testing.T) {
	t.Parallel()
	taken := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	n := &needs{t: t, process: testkit.StartProcess(t, nil, program, "backend", "run", "--dev", "--host=127.0.0.1", "--port="+port, "--log-format=JSON")}
	testkit.Await(t, "the server says why it ends", func() bool { return n.count("CRITICAL", "the server ends") == 1 })
	for _, line := range n.log() {
		if line.Level == "CRITICAL" && !strings.Contains(line.Error, "address already in use") {
			t.Errorf("it says %+v", line)
		}
	}
}
