package e2e_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
)

// TestPlatform does to the server what platforms do to processes.
func TestPlatform(t *testing.T) {
	t.Parallel()
	parsecCommand := buildBinary(t)
	for name, test := range map[string]func(*testing.T, binary){
		"signals":  testSignals,
		"streams":  testStreams,
		"log file": testLogFile,
		"token":    testToken,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, parsecCommand)
		})
	}
}

// lastSignal is the highest number of a signal.
const lastSignal = 64

// testSignals sends all that would end a process, but for those that stop this
// one, and those of faults.
func testSignals(t *testing.T, b binary) {
	ends := map[syscall.Signal]bool{
		syscall.SIGTERM: true, syscall.SIGINT: true, syscall.SIGKILL: true, syscall.SIGABRT: true,
		syscall.SIGSEGV: true, syscall.SIGBUS: true, syscall.SIGFPE: true, syscall.SIGILL: true, syscall.SIGTRAP: true, syscall.SIGSYS: true,
		syscall.SIGSTOP: true, syscall.SIGTSTP: true, syscall.SIGTTIN: true, syscall.SIGTTOU: true,
		32: true, 33: true, 34: true, // of the C library, which Go leaves alone
	}
	p := b.run(t)
	for number := syscall.Signal(1); number <= lastSignal; number++ {
		if ends[number] {
			continue
		}
		for range 2 {
			if err := p.command.Process.Signal(number); err != nil {
				t.Fatalf("%d (%s): %v", number, number, err)
			}
		}
		p.wantServing()
	}
	p.stop(syscall.SIGTERM)
	if !strings.Contains(p.stderr.String(), "goroutine profile:") {
		t.Error("SIGQUIT does not tell what runs")
	}
}

// wantServing checks that the server answers, and has it write to its log.
func (p *process) wantServing() {
	p.t.Helper()
	for range 3 {
		p.administrate("wrong") // a warning
	}
}

// testStreams has everybody gone who read what the server prints.
func testStreams(t *testing.T, b binary) {
	p := b.run(t)
	_ = p.stop(syscall.SIGTERM) // its address is free
	_, port, _ := strings.Cut(strings.TrimPrefix(p.address.HTTPOrigin(), "http://"), ":")
	command := b.command(p.ctx, "backend", "run", "--dev", "--port", port, "--log-level", "DEBUG")
	stdout, stderr := must(command.StdoutPipe()), must(command.StderrPipe())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(stdout, first); err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	_ = stderr.Close()
	q := &process{t: t, ctx: p.ctx, command: command, address: p.address}
	q.wantServing()
	q.wantServing()
	if err := command.Process.Signal(os.Interrupt); err != nil { // which prints a word at the end
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// testLogFile has the log moved away without a word.
func testLogFile(t *testing.T, b binary) {
	path := filepath.Join(t.TempDir(), "log")
	p := b.run(t, "--log-file", path)
	p.wantServing()
	for _, change := range []func() error{
		func() error { return os.Rename(path, path+".1") },
		func() error { return os.Remove(path) },
		func() error { return os.Truncate(path, 0) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		ticker := time.NewTicker(50 * time.Millisecond)
		for written := false; !written; {
			p.wantServing()
			content, err := os.ReadFile(path)
			written = err == nil && strings.Contains(string(content), "wrong administration token")
			select {
			case <-ticker.C:
			case <-p.ctx.Done():
				t.Fatal("nothing is written to the new file")
			}
		}
		ticker.Stop()
	}
	p.stop(syscall.SIGTERM)
}

// testToken has the file of the administration token replaced: the new one
// opens at once, and the old one no more.
func testToken(t *testing.T, b binary) {
	const first, second = "mP3kV7xTq9Lw2ZcR8bNd", "XqY4r2bC9vLw8pTz1mNd"
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	port := testkit.FreePort(t)
	p := b.start(t, []string{"PARSEC_ADMINISTRATION_TOKEN_FILE=" + path},
		"--db=MOCKED", "--blockstore=MOCKED", "--port="+port, "--backend-addr=parsec://localhost:"+port+"?no_ssl=true")
	for _, row := range []struct{ written, right, wrong string }{
		{first, first, second}, {second, second, first}, {"changeme", second, "changeme"}, {first, first, second},
	} {
		write(row.written)
		for token, want := range map[string]int{row.right: http.StatusNotFound, row.wrong: http.StatusForbidden} {
			if got := p.administrate(token); got != want {
				t.Errorf("the file holds %s: %s gets %d, want %d", row.written, token, got, want)
			}
		}
	}
	p.stop(syscall.SIGTERM)
}

// administrate returns the status of a request with a token.
func (p *process) administrate(token string) int {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.address.HTTPOrigin()+"/administration/organizations/Unknown", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}
