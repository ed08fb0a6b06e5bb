package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"parsec-server/pkg/parsec"
)

// Workload is what the connections do.
type Workload string

// The workloads. VlobRead, VlobUpdate and BlockRead work on what the run has
// stored before the clock starts.
const (
	Ping        Workload = "ping"
	VlobCreate  Workload = "vlob-create"
	VlobUpdate  Workload = "vlob-update"
	VlobRead    Workload = "vlob-read"
	BlockCreate Workload = "block-create"
	BlockRead   Workload = "block-read"
	// Mix is 70 % vlob_read, 20 % vlob_update and 10 % vlob_create.
	Mix Workload = "mix"
	// Connect opens an authenticated connection and drops it, again and again.
	Connect Workload = "connect"
	// Fanout is one more connection that updates a vlob, while the others
	// listen: an operation is an event received, its latency the time since
	// the update was sent.
	Fanout Workload = "fanout"
	// Idle opens the connections, which then wait for events that never come:
	// an operation is a connection opened and subscribed.
	Idle Workload = "idle"
	// CertificateGet reads all certificates of the organization that its author
	// may see, again and again.
	CertificateGet Workload = "certificate-get"
)

// The bounds of Options.
const (
	// MaxConnections is what a run may open.
	MaxConnections = 50_000
	// MaxDuration is how long a run may last.
	MaxDuration = 24 * time.Hour
	// MaxSize is the largest bin of the protocol (docs/protocol/transport.md
	// §5.2), in bytes.
	MaxSize = 1 << 20
)

// The payloads when Options has no size, in bytes: a small manifest, and the
// default block of the official clients.
const (
	vlobSize  = 1 << 10
	blockSize = 512 << 10
)

// Options describe a run.
type Options struct {
	// Address is the server's, and AdministrationToken opens its
	// administration.
	Address             parsec.ServerAddress
	AdministrationToken string
	// TLS is used with an address that wants TLS; nil trusts the authorities of the
	// system.
	TLS      *tls.Config
	Workload Workload
	// Connections is how many work at the same time, 1 to MaxConnections.
	Connections int
	// Duration is how long they work, at most MaxDuration. The preparations
	// come before.
	Duration time.Duration
	// Operations ends the run earlier, once so many have begun; 0 does not.
	Operations uint64
	// Size is that of a vlob or block in bytes, at most MaxSize; 0 is 1 KiB
	// for vlobs and 512 KiB for blocks.
	Size int
	// API is the API major.
	API uint32
	// SharedRealm has all connections write to one realm instead of one each.
	SharedRealm bool
	// Reconnect has the connections that are lost opened again, on vlobs and
	// realms of their own: what the lost one left half done is not known.
	// Fanout and Idle cannot.
	Reconnect bool
	// Sources are the local addresses that connections start from, in turn;
	// none leaves the choice to the system. One address has about 28,000
	// ports.
	Sources []netip.Addr
	// Progress is called every second, on a goroutine of the run; nil is not.
	Progress func(Progress)
}

// Check returns what is wrong with the options for clients that know workloads, or
// nil.
func (o *Options) Check(workloads []Workload) error {
	switch {
	case o.Address == (parsec.ServerAddress{}):
		return errors.New("the address of the server is missing")
	case o.AdministrationToken == "":
		return errors.New("the administration token is missing")
	case !slices.Contains(workloads, o.Workload):
		return fmt.Errorf("there is no workload %q, but %s", o.Workload, WorkloadNames(workloads))
	case o.Connections < 1 || o.Connections > MaxConnections:
		return fmt.Errorf("the number of connections must be between 1 and %d", MaxConnections)
	case o.Duration <= 0 || o.Duration > MaxDuration:
		return fmt.Errorf("the duration must be positive and at most %s", MaxDuration)
	case o.Size < 0 || o.Size > MaxSize:
		return fmt.Errorf("the size must be between 1 and %d bytes", MaxSize)
	case o.Reconnect && (o.Workload == Fanout || o.Workload == Idle):
		return fmt.Errorf("the workload %s cannot reconnect", o.Workload)
	}
	return nil
}

// WorkloadNames returns the names of workloads, for people.
func WorkloadNames(workloads []Workload) string {
	names := make([]string, len(workloads))
	for i, workload := range workloads {
		names[i] = string(workload)
	}
	return strings.Join(names, ", ")
}

// Payload returns the size of what the workload stores, 0 for nothing.
func (o *Options) Payload() int {
	byDefault := 0
	switch o.Workload {
	case VlobCreate, VlobUpdate, VlobRead, Mix, Fanout:
		byDefault = vlobSize
	case BlockCreate, BlockRead:
		byDefault = blockSize
	}
	if byDefault == 0 || o.Size == 0 {
		return byDefault
	}
	return o.Size
}

const connectTimeout = 10 * time.Second

// Dialers returns one for each source address, one without if there are none.
func (o *Options) Dialers() []*net.Dialer {
	if len(o.Sources) == 0 {
		return []*net.Dialer{{Timeout: connectTimeout}}
	}
	dialers := make([]*net.Dialer, len(o.Sources))
	for i, source := range o.Sources {
		dialers[i] = &net.Dialer{Timeout: connectTimeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}
	}
	return dialers
}
