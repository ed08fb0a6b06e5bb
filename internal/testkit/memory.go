package testkit

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
)

// MemoryLimit is a control group of Linux, whose processes are killed when
// together they have more memory than it allows, what the kernel keeps for
// them included, such as the buffers of their sockets.
type MemoryLimit struct{ folder string }

// LimitMemory makes a group until the test ends, which outlives the processes
// that the test starts after it. Where none can be made, such as by a user who
// is not root, it limits nothing.
func LimitMemory(t testing.TB, bytes int64) *MemoryLimit {
	t.Helper()
	for _, root := range []struct{ folder, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, // version 1
		{"/sys/fs/cgroup", "memory.max"},
	} {
		folder := filepath.Join(root.folder, "parsec_test_"+parsec.NewUUID().Hex())
		if !hasMemoryController(root.folder) || os.Mkdir(folder, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(folder); err != nil {
				t.Errorf("end the limit of memory: %v", err)
			}
		})
		if os.WriteFile(filepath.Join(folder, root.limit), []byte(strconv.FormatInt(bytes, 10)), 0o600) == nil {
			return &MemoryLimit{folder}
		}
	}
	t.Log("no control group can be made here: what is measured is checked, and nothing is killed")
	return &MemoryLimit{}
}

func hasMemoryController(root string) bool {
	if _, err := os.Stat(filepath.Join(root, "memory.limit_in_bytes")); err == nil {
		return true
	}
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control"))
	return err == nil && slices.Contains(strings.Fields(string(controllers)), "memory")
}

// Add puts a server into the group, with what it needs from now on.
func (l *MemoryLimit) Add(t testing.TB, server *Parsec) {
	t.Helper()
	if l.folder == "" {
		return
	}
	pid := strconv.Itoa(server.process.command.Process.Pid)
	if err := os.WriteFile(filepath.Join(l.folder, "cgroup.procs"), []byte(pid), 0o600); err != nil {
		t.Fatal(err)
	}
}
