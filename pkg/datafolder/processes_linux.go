package datafolder

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const knowsProcesses = true

// processesIn are those that work in a folder, as every process of PostgreSQL does in
// its data.
func processesIn(folder string) map[int]bool {
	found := make(map[int]bool)
	if followed, err := filepath.EvalSymlinks(folder); err == nil {
		folder = followed
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // The pattern is good.
	for _, link := range links {
		if in, err := os.Readlink(link); err == nil && in == folder {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link))) // They are digits.
			found[pid] = true
		}
	}
	return found
}

// stopWithThread has a process stop in order when the thread that starts it ends, as
// with a process that is killed.
func stopWithThread(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGINT }
