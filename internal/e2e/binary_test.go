package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// binary is the path of the command, built for one test.
type binary string

// TestBinary runs the command as operators do.
func TestBinary(t *testing.T) {
	t.Parallel()
	parsecCommand := buildBinary(t)
	for name, test := range map[string]func(*testing.T, binary){
		"README":        testReadme,
		"SIGTERM":       testSIGTERM,
		"Ctrl-C":        testInterrupt,
		"port in use":   testPortInUse,
		"health routes": testHealthRoutes,
		"mocked e-mail": testMockedEmail,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, parsecCommand)
		})
	}
}

func buildBinary(t *testing.T) binary {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	path, err := testkit.BuildParsec(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary(path)
}

// command has no setting but its arguments.
func (b binary) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, string(b), arguments...)
	command.Env = []string{"HOME=/nonexistent"} // nothing set on this machine counts
	return command
}

// succeed returns what a command prints.
func (b binary) succeed(t *testing.T, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := b.command(ctx, arguments...).Output()
	if err != nil {
		t.Fatalf("%q: %v, printed %q", arguments, err, output)
	}
	return string(output)
}

// process is a server that runs.
type process struct {
	t       *testing.T
	ctx     context.Context
	command *exec.Cmd
	stdout  *bufio.Reader
	stderr  bytes.Buffer // to be read once ended
	address parsec.ServerAddress
}

var startUpLine = regexp.MustCompile(`^Starting Parsec Backend on 127\.0\.0\.1:(\d+) \(db=MOCKED blockstore=MOCKED .* backend_addr=(parsec://\S+)\)\n$`)

// run waits for the start-up line.
func (b binary) run(t *testing.T, arguments ...string) *process {
	t.Helper()
	return b.start(t, nil, append([]string{"--dev"}, arguments...)...)
}

// start is run without --dev, with variables instead.
func (b binary) start(t *testing.T, variables []string, arguments ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &process{t: t, ctx: ctx, command: b.command(ctx, append([]string{"backend", "run", "--port", "0"}, arguments...)...)}
	p.command.Env = append(p.command.Env, variables...)
	p.command.Stderr = &p.stderr
	output, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = p.command.Wait() // the test has waited, unless it has failed
	})
	p.stdout = bufio.NewReader(output)
	line, err := p.stdout.ReadString('\n')
	found := startUpLine.FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("start-up line %q, %v", line, err)
	}
	p.address, err = parsec.ParseServerAddress(found[2])
	if err != nil || !strings.Contains(p.address.String(), ":"+found[1]) {
		t.Fatalf("address %s, %v", p.address, err)
	}
	return p
}

// stop sends a signal and returns the rest of what is printed, once it is over
// with success.
func (p *process) stop(signal os.Signal) string {
	p.t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	printed, err := io.ReadAll(p.stdout)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		p.t.Errorf("after %v: %v\n%s", signal, err, &p.stderr)
	}
	return string(printed)
}

// organization does what the README does, and returns the file of the keys.
func (p *process) organization(b binary) string {
	p.t.Helper()
	created := b.succeed(p.t, "organization", "create", "--addr", p.address.String(), "--administration-token", "s3cr3t", "MyOrg")
	first, _, _ := strings.Cut(created, "\n")
	_, url, found := strings.Cut(first, ": ")
	if !found {
		p.t.Fatalf("created %q", created)
	}
	keys := filepath.Join(p.t.TempDir(), "keys")
	b.succeed(p.t, "organization", "bootstrap", url,
		"--human-label", "Alice", "--human-email", "alice@example.com", "--device-label", "laptop", "--output", keys)
	return keys
}

// connect returns a connection with the keys of a file.
func (p *process) connect(keys string) *parsec2.Conn {
	p.t.Helper()
	device, err := testclient.LoadDevice(keys)
	if err != nil {
		p.t.Fatal(err)
	}
	reached := parsec2.New(p.address, client.Options{})
	p.t.Cleanup(reached.Close)
	conn, err := reached.DialAuthenticated(p.ctx, device)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(conn.CloseNow)
	return conn
}

func testReadme(t *testing.T, b binary) {
	p := b.run(t)
	conn := p.connect(p.organization(b))
	if _, err := parsec2.Call(p.ctx, conn, protocol.Ping, &protocol.PingRequest{Ping: "x"}); err != nil {
		t.Error(err)
	}
	administer := func(command string, options ...string) string {
		t.Helper()
		arguments := []string{"organization", command, "--addr", p.address.String(), "--administration-token", "s3cr3t", "MyOrg"}
		return b.succeed(t, append(arguments, options...)...)
	}
	if got, want := administer("status"), "is_bootstrapped: true\nis_expired: false\nuser_profile_outsider_allowed: true\nactive_users_limit: none\nminimum_archiving_period: 2592000\n"; got != want {
		t.Errorf("status %q", got)
	}
	if got, want := administer("stats", "--websocket"), "users: 1\ndata_size: 0\nmetadata_size: 0\nworkspaces: 0\n"; got != want {
		t.Errorf("stats %q", got)
	}
	administer("update", "--websocket", "--expiration-date", "2020-01-02T03:04:05Z", "--user-profile-outsider-allowed=false")
	if got := administer("status", "--websocket"); !strings.Contains(got, "expiration_date: 2020-01-02T03:04:05.000000Z\nuser_profile_outsider_allowed: false\n") {
		t.Errorf("status %q", got)
	}
	if !isClosed(p.ctx, conn) {
		t.Errorf("the connection of an expired organization: %v", conn.Err())
	}
	p.stop(syscall.SIGTERM)
}

// testSIGTERM has a connection that is idle and one that waits.
func testSIGTERM(t *testing.T, b binary) {
	p := b.run(t)
	keys := p.organization(b)
	idle, waiting := p.connect(keys), p.connect(keys)
	if _, err := parsec2.Call(p.ctx, waiting, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{}); err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		_, err := parsec2.EventsListen(p.ctx, waiting, &protocol.EventsListenRequest{Wait: true})
		told <- err
	}()
	if printed := p.stop(syscall.SIGTERM); printed != "" {
		t.Errorf("printed %q", printed)
	}
	if err := <-told; err == nil {
		t.Error("an event at the end")
	}
	for name, conn := range map[string]*parsec2.Conn{"idle": idle, "waiting": waiting} {
		<-conn.Done()
		if websocket.CloseStatus(conn.Err()) != websocket.StatusGoingAway {
			t.Errorf("%s connection: %v", name, conn.Err())
		}
	}
}

func testInterrupt(t *testing.T, b binary) {
	p := b.run(t)
	if printed := p.stop(os.Interrupt); printed != "bye ;-)\n" {
		t.Errorf("printed %q", printed)
	}
}

func testPortInUse(t *testing.T, b binary) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	output, err := b.command(ctx, "backend", "run", "--dev", "--port", port).CombinedOutput()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if !failed || exit.ExitCode() != 1 {
		t.Errorf("exit: %v", err)
	}
	line, rest, _ := strings.Cut(string(output), "\n")
	if rest != "" || !strings.Contains(line, port) || !strings.Contains(line, "address already in use") {
		t.Errorf("printed %q", output)
	}
}

func testHealthRoutes(t *testing.T, b binary) {
	p := b.run(t)
	for _, route := range []string{"/healthz", "/readyz"} {
		request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.address.HTTPOrigin()+route, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || string(body) != "ok\n" || err != nil {
			t.Errorf("%s: HTTP %d %q, %v", route, response.StatusCode, body, err)
		}
	}
	p.stop(syscall.SIGTERM)
}

var mockedEmail = regexp.MustCompile(`alice@example\.com.* path=\S*?(/\S+\.html)`)

func testMockedEmail(t *testing.T, b binary) {
	p := b.run(t)
	conn := p.connect(p.organization(b))
	invited, err := parsec2.Call(p.ctx, conn, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationDevice, SendEmail: true})
	if err != nil || invited.EmailSent != protocol.EmailSuccess {
		t.Fatalf("%+v, %v", invited, err)
	}
	p.stop(syscall.SIGTERM)
	found := mockedEmail.FindStringSubmatch(p.stderr.String())
	if found == nil {
		t.Fatalf("no e-mail in the log: %s", &p.stderr)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(found[1])) }) // a leftover in the temporary folder harms nobody
	page, err := os.ReadFile(found[1])
	if err != nil || !bytes.Contains(page, []byte(p.address.HTTPOrigin()+"/redirect/MyOrg?action=claim_device")) {
		t.Errorf("%v: %s", err, page)
	}
}
