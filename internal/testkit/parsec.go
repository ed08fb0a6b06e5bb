package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"parsec-server/pkg/parsec"
)

// BuildParsec builds the command in a folder, with the race detector where the
// tests have it.
func BuildParsec(ctx context.Context, folder string) (program string, err error) {
	return buildParsec(ctx, folder, raceDetector, "")
}

// BuildParsecWithoutLock builds a command that does without one lock of the stores of
// Parsec 3: that which the variable LeftOutLock of its environment names.
func BuildParsecWithoutLock(ctx context.Context, folder string) (program string, err error) {
	return buildParsec(ctx, folder, false, "leave_out_lock")
}

// LeftOutLock names a lock for a command of BuildParsecWithoutLock.
const LeftOutLock = "PARSEC_TEST_LEAVE_OUT_LOCK"

// BuildMeasuredParsec is BuildParsec for what is measured: without the race
// detector, which takes memory and time of its own.
func BuildMeasuredParsec(ctx context.Context, folder string) (program string, err error) {
	return buildParsec(ctx, folder, false, "")
}

// RunWith builds the command by build, names it in program, and has the tests
// of a package run: it is what their TestMain does, and does not return.
func RunWith(m *testing.M, build func(ctx context.Context, folder string) (string, error), program *string) {
	code, err := buildAndRun(m, build, program)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M, build func(ctx context.Context, folder string) (string, error), program *string) (code int, err error) {
	folder, err := os.MkdirTemp("", "parsec-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if *program, err = build(context.Background(), folder); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// programsVariable names a folder of commands that all processes of tests share, each
// linked once: with the race detector that takes long. Nobody changes the code meanwhile.
const programsVariable = "PARSEC_TEST_PROGRAMS"

// buildParsec builds a command in folder, unless another process shares one.
func buildParsec(ctx context.Context, folder string, race bool, tags string) (program string, err error) {
	shared := os.Getenv(programsVariable)
	if shared == "" {
		return linkParsec(ctx, filepath.Join(folder, "parsec"), race, tags)
	}
	folder = filepath.Join(shared, fmt.Sprintf("race-%t-%s", race, tags))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	program = filepath.Join(folder, "parsec")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	linked, err := linkParsec(ctx, program+".new", race, tags)
	if err != nil {
		return "", err
	}
	return program, os.Rename(linked, program)
}

func linkParsec(ctx context.Context, program string, race bool, tags string) (string, error) {
	build := exec.CommandContext(ctx, "go", "build", fmt.Sprintf("-race=%t", race), "-tags", tags, "-o", program, "parsec-server/cmd/parsec")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, output)
	}
	return program, nil
}

// Parsec is `parsec backend run`, in a process of its own.
type Parsec struct {
	t         testing.TB
	program   string
	arguments []string
	// environment is all that the server gets.
	environment []string
	// socket is that of systemd, nil for none.
	socket  *os.File
	process *Process
	// Address stays when the server is started again.
	Address parsec.ServerAddress
}

// StartParsec runs a server on a free port, with the settings of arguments and
// no other, until the test ends. AdministrationToken opens it.
func StartParsec(t testing.TB, program string, arguments ...string) *Parsec {
	t.Helper()
	return StartParsecIn(t, program, nil, arguments...)
}

// StartParsecIn is StartParsec with variables of the environment.
func StartParsecIn(t testing.TB, program string, environment []string, arguments ...string) *Parsec {
	t.Helper()
	p := newParsec(t, program, environment, arguments...)
	p.run(FreePort(t)) // which connections do not take while it is stopped
	return p
}

// newParsec returns a server that does not run yet.
func newParsec(t testing.TB, program string, environment []string, arguments ...string) *Parsec {
	token := []string{"backend", "run", "--dev", "--administration-token", AdministrationToken}
	return &Parsec{
		t: t, program: program, arguments: append(token, arguments...),
		environment: append([]string{"HOME=/nonexistent"}, environment...), // No setting of this machine counts.
	}
}

// Start runs the server again, after Kill.
func (p *Parsec) Start() {
	p.t.Helper()
	address, err := url.Parse(p.Address.HTTPOrigin())
	if err != nil {
		p.t.Fatal(err)
	}
	p.run(address.Port())
}

// Stop asks the server to end, and returns how it did: nil for success.
func (p *Parsec) Stop() error { return p.process.Stop() }

// Output returns what the server has printed so far.
func (p *Parsec) Output() string { return p.process.Output() }

// Kill ends the server without letting it do anything more.
func (p *Parsec) Kill() {
	_ = p.process.end(syscall.SIGKILL, componentStopLimit) // It ends by the signal.
}

// Freeze keeps the server from doing anything, with its connections open, until
// Thaw.
func (p *Parsec) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw has the server go on after Freeze.
func (p *Parsec) Thaw() { p.signal(syscall.SIGCONT) }

// PeakMemory returns the most memory that the server had resident since it
// started, in bytes, as Linux counts it.
func (p *Parsec) PeakMemory() int64 {
	p.t.Helper()
	return p.memory("VmHWM")
}

// Memory returns what the server has resident now, in bytes, as Linux counts it.
func (p *Parsec) Memory() int64 {
	p.t.Helper()
	return p.memory("VmRSS")
}

// memory returns a line of the status that Linux has of the server.
func (p *Parsec) memory(line string) int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.command.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), "\n"+line+":")
	text, _, _ := strings.Cut(rest, " kB\n")
	if !found {
		p.t.Fatalf("the server has ended: %s", p.process.Output())
	}
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kilobytes << 10
}

func (p *Parsec) signal(signal os.Signal) {
	p.t.Helper()
	if err := p.process.command.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
}

var announcement = regexp.MustCompile(`(?m)^Starting Parsec Backend on .* backend_addr=(parsec://\S+)\)$`)

// run returns once the server announces itself, and is ready.
func (p *Parsec) run(port string) {
	p.t.Helper()
	command := p.command(port)
	command.Env = p.environment
	started := startCommand(p.t, command)
	p.process = started
	p.t.Cleanup(func() {
		if strings.Contains(started.Output(), "WARNING: DATA RACE") {
			p.t.Error("a data race in the server: " + started.Output())
		}
	})
	started.Await(p.t, func(ctx context.Context) error {
		found := announcement.FindStringSubmatch(started.Output())
		if found == nil {
			return errors.New("not announced")
		}
		var err error
		if p.Address, err = parsec.ParseServerAddress(found[1]); err != nil {
			return err
		}
		return GetOK(ctx, p.Address.HTTPOrigin()+"/readyz")
	})
}
