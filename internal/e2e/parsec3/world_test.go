package parsec3_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// patience bounds a whole test.
const patience = 5 * time.Minute

// program is the command under test.
var program string

func TestMain(m *testing.M) { testkit.RunWith(m, testkit.BuildParsec, &program) }

// world is one organization on one server or several.
type world struct {
	t   *testing.T
	ctx context.Context
	// addresses are of the servers.
	addresses    []parsec.ServerAddress
	organization parsec.OrganizationID
	// logins counts the peers, which use the servers in turn.
	logins int
}

func newWorld(t *testing.T, servers ...*testkit.Parsec) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, organization: must(parsec.ParseOrganizationID("CoolOrg"))}
	for _, server := range servers {
		w.addresses = append(w.addresses, server.Address)
	}
	return w
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

func (w *world) administration() *client.Administration {
	c := client.New(w.addresses[0], client.Options{})
	w.t.Cleanup(c.Close)
	return c.Administration(testkit.AdministrationToken)
}

// do fails the test unless what is done succeeds.
func (w *world) do(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// found creates the organization and bootstraps it, and returns its first device.
func (w *world) found(email string) *client3.Device {
	w.t.Helper()
	text, err := w.administration().Create(w.ctx, w.organization, client.OrganizationSettings{})
	w.do("create", err)
	token := must(parsec3.ParseAccessToken(text))
	device, request, err := client3.NewOrganization(client3.Founding{Organization: w.organization, Token: &token}, person(email), now())
	w.do("found", err)
	anonymous := client3.New(w.addresses[len(w.addresses)-1], client3.LatestVersion, client.Options{})
	w.t.Cleanup(anonymous.Close)
	bootstrap := func() error {
		_, err := client3.Call(w.ctx, anonymous.Anonymous(w.organization), protocol.OrganizationBootstrap, request)
		return err
	}
	w.do("bootstrap", bootstrap())
	wantRefusal(w, protocol.StatusOrganizationAlreadyBootstrapped, bootstrap())
	return device
}

// person has the part of the address before the @ as name and label.
func person(name string) client3.Person {
	return client3.Person{
		Label:       must(parsec3.ParseDeviceLabel(name)),
		HumanHandle: must(parsec3.ParseHumanHandle(email(name), name)),
	}
}

func email(name string) string { return name + "@example.com" }

func wantRefusal(w *world, want protocol.Status, err error) {
	w.t.Helper()
	if refusal, refused := errors.AsType[*protocol.Refusal](err); !refused || refusal.Status != want {
		w.t.Errorf("%v, want %s", err, want)
	}
}

// content is size bytes that nothing else has.
func content(name string, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(data) // never fails
	return data
}

// line is what connects a peer to one of several servers. A peer knows one address:
// what stands before the servers chooses.
type line struct {
	mu     sync.Mutex
	target string
	// open is closed unless the line is down.
	open        chan struct{}
	connections []*breakableConn
}

func newLine(address parsec.ServerAddress) *line {
	l := &line{target: hostAndPort(address), open: make(chan struct{})}
	close(l.open)
	return l
}

func hostAndPort(address parsec.ServerAddress) string {
	return address.HTTPOrigin()[len("http://"):]
}

func (l *line) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	for {
		l.mu.Lock()
		open := l.open
		l.mu.Unlock()
		select {
		case <-open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if conn, err := l.connect(ctx, network, open); conn != nil || err != nil {
			return conn, err
		}
	}
}

// connect returns nil if the line is cut meanwhile.
func (l *line) connect(ctx context.Context, network string, open chan struct{}) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open != open {
		return nil, nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, l.target)
	if err != nil {
		return nil, err
	}
	breakable := &breakableConn{Conn: conn}
	l.connections = append(l.connections, breakable)
	return breakable, nil
}

// breakableConn sends nothing any more once it is broken.
type breakableConn struct {
	net.Conn
	broken atomic.Bool
}

func (c *breakableConn) Write(data []byte) (int, error) {
	if c.broken.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(data)
}

// cut breaks all connections, and has new ones wait. None of them closes before all are
// broken: who notices would go on by another.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = make(chan struct{})
	for _, conn := range l.connections {
		conn.broken.Store(true)
	}
	for _, conn := range l.connections {
		conn.Close()
	}
	l.connections = nil
}

// mend has connections go to a server again.
func (l *line) mend(address parsec.ServerAddress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = hostAndPort(address)
	close(l.open)
}

// peer is a device whose owner is logged in, and hears the events.
type peer struct {
	*testclient3.Resident
	w      *world
	name   string
	client *client3.Client
	// server is the place of its server, which the line goes to.
	server   int
	line     *line
	messages chan client3.Message
	// left is what Listen returns.
	left   chan error
	logout context.CancelFunc
}

// maxMessages is more than any test has: listening must not block.
const maxMessages = 10_000

// login has a device listen, once it is told the configuration.
func (w *world) login(name string, device *client3.Device) *peer {
	w.t.Helper()
	address := w.addresses[w.logins%len(w.addresses)]
	p := &peer{w: w, name: name, server: w.logins, line: newLine(address), messages: make(chan client3.Message, maxMessages), left: make(chan error, 1)}
	w.logins++
	p.client = client3.New(w.addresses[0], client3.LatestVersion, client.Options{DialContext: p.line.dial})
	p.Resident = testclient3.NewResident(p.client, device)
	ctx, logout := context.WithCancel(w.ctx)
	p.logout = logout
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.left <- p.Listen(ctx, func(message client3.Message) { p.messages <- message })
	}()
	w.t.Cleanup(func() {
		logout()
		<-ended
		p.client.Close()
	})
	if _, told := p.next().(*protocol.OrganizationConfigEvent); !told {
		w.t.Fatalf("%s is not told the configuration first", name)
	}
	return p
}

// next waits for the next event.
func (p *peer) next() protocol.Event {
	p.w.t.Helper()
	select {
	case message := <-p.messages:
		if message.ID == "" {
			p.w.t.Errorf("%s: %T without id", p.name, message.Event)
		}
		if message.Event == nil {
			p.w.t.Errorf("%s is told that events were missed", p.name)
		}
		return message.Event
	case <-p.Stopped():
		p.w.t.Fatalf("%s: %v", p.name, p.Err())
	case <-p.w.ctx.Done():
		p.w.t.Fatalf("%s waits in vain for an event", p.name)
	}
	return nil
}

// nextOf waits for the next event of a type, and skips others.
func nextOf[E protocol.Event](p *peer) E {
	p.w.t.Helper()
	for {
		if event, is := p.next().(E); is {
			return event
		}
	}
}

// wantStop waits for the end of the stream, with an HTTP status, and wants commands
// answered likewise.
func (p *peer) wantStop(status int) {
	p.w.t.Helper()
	select {
	case <-p.Stopped():
	case <-p.w.ctx.Done():
		p.w.t.Fatalf("%s goes on, want %d", p.name, status)
	}
	p.w.wantHTTP(p.name+" listens", status, p.Err())
	p.w.wantHTTP(p.name+" pings", status, p.ping())
}

func (p *peer) ping() error {
	_, err := client3.Call(p.w.ctx, p.RPC(), protocol.CertificateGet, p.Knowledge().After())
	return err
}

func (w *world) wantHTTP(what string, status int, err error) {
	w.t.Helper()
	if failure, answered := errors.AsType[*client.HTTPError](err); !answered || failure.Status != status {
		w.t.Errorf("%s: %v, want HTTP %d", what, err, status)
	}
}

// wantRefused wants a command of the peer refused that its resident would not send.
func wantRefused[Request, Reply any](p *peer, want protocol.Status, command *rpc.Command[Request, Reply], request *Request) {
	p.w.t.Helper()
	_, err := client3.Call(p.w.ctx, p.RPC(), command, request)
	wantRefusal(p.w, want, err)
}
