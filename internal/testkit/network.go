package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// networkVariable tells a test that it is in a network of its own, and with
// which built command.
const networkVariable = "PARSEC_TEST_NETWORK"

// OwnNetwork puts a test in a network of its own, which has the loopback alone:
// it runs the test again in there, in a process of its own, and fails when that
// does. It returns true only there. Root must run it.
func OwnNetwork(t *testing.T, program string) (inside bool) {
	t.Helper()
	if NetworkProgram() != "" {
		runTool(t.Context(), t, "ip", "link", "set", "lo", "up")
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	again.Env = append(os.Environ(), networkVariable+"="+program)
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	output, err := again.CombinedOutput()
	t.Logf("in a network of its own:\n%s", output)
	if err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("it fails there: %v", err)
	}
	return false
}

// NetworkProgram returns what OwnNetwork was given, in the process that it
// starts.
func NetworkProgram() string { return os.Getenv(networkVariable) }

// PacketFilter drops packets of the network that OwnNetwork makes, of
// connections to one TCP port.
type PacketFilter struct{ t testing.TB }

// NewPacketFilter lets all pass.
func NewPacketFilter(t testing.TB, server int) *PacketFilter {
	t.Helper()
	f := &PacketFilter{t}
	f.nft("add table inet filter")
	f.nft("add set inet filter silent { type inet_service; }")
	f.nft("add chain inet filter input { type filter hook input priority 0; policy accept; }")
	// Both ports of a connection are asked for: a client's port alone is used
	// again, for connections to other servers.
	f.nft(fmt.Sprintf("add rule inet filter input tcp sport @silent tcp dport %d drop", server))
	f.nft(fmt.Sprintf("add rule inet filter input tcp dport @silent tcp sport %d drop", server))
	return f
}

// Silence drops, from now on, what the connections of clients at these ports
// carry, both ways.
func (f *PacketFilter) Silence(clients ...int) {
	f.t.Helper()
	texts := make([]string, len(clients))
	for i, port := range clients {
		texts[i] = strconv.Itoa(port)
	}
	f.nft("add element inet filter silent { " + strings.Join(texts, ", ") + " }")
}

func (f *PacketFilter) nft(command string) {
	f.t.Helper()
	runTool(f.t.Context(), f.t, "nft", command)
}
