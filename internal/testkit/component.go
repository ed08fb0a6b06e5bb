package testkit

import (
	"bytes"
	"context"
	"fmt"
	"go/build"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// componentStartLimit is how long a component may take to answer.
	componentStartLimit = 3 * time.Minute
	componentPoll       = 50 * time.Millisecond
	// componentEndLimit is how long one may take to stop that a test waits for, and
	// componentStopLimit how long at the end of a test, when nobody asks how.
	componentEndLimit  = 2 * time.Minute
	componentStopLimit = 10 * time.Second
)

// FindProgram looks for a program where shells and the Go tool put them. It
// ends the test with what to install if there is none.
func FindProgram(t testing.TB, name, install string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	folders := []string{os.Getenv("GOBIN"), filepath.Join(build.Default.GOPATH, "bin"), "/usr/sbin"}
	for _, folder := range folders {
		if path, err := exec.LookPath(filepath.Join(folder, name)); folder != "" && err == nil {
			return path
		}
	}
	t.Fatalf("this test needs %s: %s", name, install)
	return ""
}

// runTool runs a program to its end, which is a success.
func runTool(ctx context.Context, t testing.TB, name string, arguments ...string) {
	t.Helper()
	if output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, arguments, err, output)
	}
}

// sharedFolder makes a folder until the test ends that other users can be let into, with
// a short name, as those of sockets must be.
func sharedFolder(t testing.TB, of string) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "parsec-test-"+of+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// Ports of servers are below those that connections take by themselves (32768
// and up on Linux), which thousands of clients of other tests use meanwhile.
const (
	firstPort = 20000
	ports     = 12768
	// portsOfProcess is how far the processes of tests, which run at once, begin
	// from each other.
	portsOfProcess = 64
)

// portsTried counts the ports that FreePort has tried.
var portsTried atomic.Int64

// FreePort returns a port that nothing listened on just now, on any address. Until
// the test ends it is nobody else's, in any process of tests, though nothing listen on
// it for a while.
func FreePort(t testing.TB) string {
	t.Helper()
	var err error
	for range 1000 {
		place := int64(os.Getpid())*portsOfProcess + portsTried.Add(1)
		port := strconv.FormatInt(firstPort+place%ports, 10)
		var mark *os.File
		if mark, err = takePort(t.Context(), port); err == nil {
			t.Cleanup(func() { mark.Close() })
			return port
		}
	}
	t.Fatalf("find a free port: %v", err)
	return ""
}

// takePort returns a file whose lock says that the port is taken.
func takePort(ctx context.Context, port string) (*os.File, error) {
	folder := filepath.Join(os.TempDir(), fmt.Sprintf("parsec-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	mark, err := os.OpenFile(filepath.Join(folder, port), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		mark.Close()
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+port)
	if err != nil {
		mark.Close()
		return nil, err
	}
	listener.Close()
	return mark, nil
}

// Process is a program that runs for a test.
type Process struct {
	command *exec.Cmd
	name    string
	output  Output
	// exited is closed when the process has ended, with err.
	exited chan struct{}
	err    error
}

// Output keeps what is written to it, by a process or a logger. The zero value
// is empty.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// StartProcess runs a program until the test ends, or dies.
func StartProcess(t testing.TB, environment []string, program string, arguments ...string) *Process {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...)
	command.Env = append(os.Environ(), environment...)
	return startCommand(t, command)
}

// startCommand is StartProcess for what it cannot say.
func startCommand(t testing.TB, command *exec.Cmd) *Process {
	t.Helper()
	p := &Process{command: command, name: filepath.Base(command.Path), exited: make(chan struct{})}
	command.Stdout, command.Stderr = &p.output, &p.output
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		defer close(p.exited)
		p.err = command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.end(syscall.SIGTERM, componentStopLimit) // How it ends does not matter: Await reports if it was too early.
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.Output())
		}
	})
	return p
}

// Stop asks the process to end, kills it if it does not, and returns how it
// ended: nil for success.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM, componentEndLimit) }

// end is Stop by another signal, or sooner.
func (p *Process) end(signal os.Signal, limit time.Duration) error {
	_ = p.command.Process.Signal(signal) // It may have ended.
	select {
	case <-p.exited:
	case <-time.After(limit):
		_ = p.command.Process.Kill() // The same.
		<-p.exited
	}
	return p.err
}

// Kill ends the process without letting it do anything more.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // It may have ended.
	<-p.exited
}

// Output returns what the process has printed so far.
func (p *Process) Output() string { return p.output.String() }

// Await waits until probe succeeds.
func (p *Process) Await(t testing.TB, probe func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), componentStartLimit)
	defer cancel()
	ticker := time.NewTicker(componentPoll)
	defer ticker.Stop()
	err := fmt.Errorf("%s was not asked", p.name)
	for {
		select {
		case <-p.exited:
			t.Fatalf("%s ended: %s", p.name, p.Output())
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %v: %s", p.name, err, p.Output())
		case <-ticker.C:
			if err = probe(ctx); err == nil {
				return
			}
		}
	}
}

// AwaitPort waits until a port of the loopback is listened on.
func (p *Process) AwaitPort(t testing.TB, port string) {
	t.Helper()
	p.Await(t, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// GetOK fails unless address answers 200.
func GetOK(ctx context.Context, address string) error { return GetStatus(ctx, address, http.StatusOK) }

// GetStatus fails unless address answers with a status.
func GetStatus(ctx context.Context, address string, want int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Close = true // a server that ends waits for connections that may be used again
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		return fmt.Errorf("GET %s: %s", address, response.Status)
	}
	return nil
}
