package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// BreakablePostgres is a PostgreSQL server that a test has for itself, to stop
// and start. What is committed survives its process, not the machine: nothing
// is synchronised to the disk.
type BreakablePostgres struct {
	// DSN is of a database without schema.
	DSN string

	t          testing.TB
	directory  string
	command    []string
	attributes *syscall.SysProcAttr
	process    *Process
}

// StartBreakablePostgres runs a server, with settings such as port=5432, until
// the test ends.
func StartBreakablePostgres(t testing.TB, settings ...string) *BreakablePostgres {
	t.Helper()
	directory := sharedFolder(t, "postgres")
	p := &BreakablePostgres{DSN: postgresIn(directory), t: t, directory: directory}
	var err error
	if p.command, p.attributes, err = preparePostgres(directory); err != nil {
		t.Fatal(err)
	}
	for _, setting := range settings {
		p.command = append(p.command, "-c", setting)
	}
	p.Start()
	return p
}

// Start runs the server, and returns once it answers. Where its process was
// killed it recovers first.
func (p *BreakablePostgres) Start() {
	p.t.Helper()
	command := exec.CommandContext(context.WithoutCancel(p.t.Context()), p.command[0], p.command[1:]...)
	command.Dir = p.directory
	attributes := *p.attributes
	command.SysProcAttr = &attributes
	p.process = startCommand(p.t, command)
	p.process.Await(p.t, func(ctx context.Context) error {
		connection, err := pgx.Connect(ctx, p.DSN)
		if err != nil {
			return err
		}
		return connection.Close(ctx)
	})
}

// Stop ends the server with all its processes, which hold its output open:
// SIGINT rolls back what is under way, SIGQUIT leaves it to recovery, and so
// does SIGKILL, without a word to the processes of the connections.
func (p *BreakablePostgres) Stop(signal syscall.Signal) {
	_ = p.process.end(signal, componentStopLimit) // How does not matter.
}

// Terminate ends every connection.
func (p *BreakablePostgres) Terminate() {
	p.t.Helper()
	connection := Connect(p.t, p.DSN)
	Execute(p.t, connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
	_ = connection.Close(p.t.Context()) // It has done its work.
}

// Freeze stops the server and the processes of its connections without ending
// them, until the test does: nothing answers any more, and nothing is lost.
func (p *BreakablePostgres) Freeze() {
	p.t.Helper()
	// The first process is stopped before the others are counted: it begins no
	// more of them, and those that end meanwhile keep their numbers.
	main := p.process.command.Process.Pid
	p.stop(main)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", main, main))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, text := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			p.t.Fatal(err)
		}
		p.stop(pid)
	}
}

// stop stops one process, and returns once it does nothing any more.
func (p *BreakablePostgres) stop(pid int) {
	p.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it may have ended
	p.process.Await(p.t, func(context.Context) error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && !stopped.Match(status) {
			err = fmt.Errorf("process %d runs", pid)
		}
		return err
	})
}

// stopped is how Linux tells of a process that is stopped, or has ended.
var stopped = regexp.MustCompile(`(?m)^State:\s+[TZ]`)
