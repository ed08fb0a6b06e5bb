package testkit

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ProcessorTime is what processes have used of all processors so far, as Linux counts
// it: in hundredths of a second, and 0 where there is no /proc.
type ProcessorTime func(t testing.TB) time.Duration

// ProcessorTime is that of the server.
func (p *Parsec) ProcessorTime(t testing.TB) time.Duration { return p.process.ProcessorTime(t) }

// ProcessorTime is that of the process alone.
func (p *Process) ProcessorTime(testing.TB) time.Duration {
	_, own, _ := readProcess(strconv.Itoa(p.command.Process.Pid))
	return own
}

// DatabaseProcessorTime returns that of all processes of the server of a database, also
// of those that have ended, if it runs on this machine.
func DatabaseProcessorTime(t testing.TB, dsn string) ProcessorTime {
	t.Helper()
	backend := Number(t, Connect(t, dsn), "SELECT pg_backend_pid()")
	parent, _, _ := readProcess(strconv.FormatInt(backend, 10)) // elsewhere there is none
	return func(t testing.TB) (sum time.Duration) {
		t.Helper()
		processes, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			t.Fatal(err)
		}
		for _, process := range processes {
			id := filepath.Base(process)
			if of, own, all := readProcess(id); id == strconv.Itoa(parent) {
				sum += all
			} else if of == parent {
				sum += own
			}
		}
		return sum
	}
}

// readProcess returns the parent of a process, and the processor time of the process
// alone, and with its children that have ended.
func readProcess(id string) (parent int, own, all time.Duration) {
	const name, fieldParent, fieldUser, fieldEnd = ") ", 1, 11, 15 // after the name
	text, err := os.ReadFile("/proc/" + id + "/stat")
	_, rest, found := strings.Cut(string(text), name)
	fields := strings.Fields(rest)
	if err != nil || !found || len(fields) < fieldEnd {
		return 0, 0, 0
	}
	parent, _ = strconv.Atoi(fields[fieldParent])
	for i, field := range fields[fieldUser:fieldEnd] {
		ticks, _ := strconv.Atoi(field)
		spent := time.Duration(ticks) * time.Second / 100
		if all += spent; i < 2 {
			own += spent
		}
	}
	return parent, own, all
}
