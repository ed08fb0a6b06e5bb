package testkit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresProxy stands between a store and its database, and knows the messages
// that the store sends.
type PostgresProxy struct {
	// DSN names the database through the proxy.
	DSN string
	// Waits counts the messages after which a client waits for the answer, on
	// connections that do not listen to notifications.
	Waits atomic.Int64
	// Listening counts those on connections that do, once they do.
	Listening atomic.Int64
	// Executed counts the statements that are run on connections that do not listen.
	Executed atomic.Int64
	// Refusals is how many connections are refused first.
	Refusals atomic.Int64

	mu sync.Mutex
	// fault is what happens when a statement is sent that contains its text,
	// once.
	fault *PostgresFault
	open  map[net.Conn]struct{}
	// statements are those that were prepared or sent as text, each once.
	statements map[string]bool
}

// PostgresFault loses the connection that a statement comes on.
type PostgresFault struct {
	// Statement is a text in it.
	Statement string
	// Executed has the statement reach the database before the connection is
	// lost.
	Executed bool
	// Then is called once the database has answered, before the connection is lost;
	// nil for nothing.
	Then func()
}

// StartPostgresProxy listens until the test ends. Only DSNs that send statements as text
// have faults.
func StartPostgresProxy(t testing.TB, dsn string) *PostgresProxy {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &PostgresProxy{open: map[net.Conn]struct{}{}, statements: map[string]bool{}}
	p.DSN = fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=disable",
		listener.Addr().(*net.TCPAddr).Port, config.User, config.Database)
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.hold(client)
			connections.Go(func() {
				defer p.drop(client)
				l := &line{proxy: p, client: client}
				first, err := l.message(0)
				if err != nil || isCancellation(first) || p.Refusals.Add(-1) >= 0 {
					return
				}
				if l.server, err = (&net.Dialer{}).Dial(network, address); err != nil {
					return
				}
				p.hold(l.server)
				connections.Go(l.answer)
				l.forward(first)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.Cut()
		connections.Wait()
	})
	return p
}

func (p *PostgresProxy) hold(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range connections {
		p.open[c] = struct{}{}
	}
}

func (p *PostgresProxy) drop(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range connections {
		c.Close()
		delete(p.open, c)
	}
}

// Cut loses every connection.
func (p *PostgresProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
	clear(p.open)
}

// Lose sets the fault.
func (p *PostgresProxy) Lose(f PostgresFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = &f
}

// Statements lists what was prepared, or sent as text, on any connection.
func (p *PostgresProxy) Statements() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.statements))
}

// note keeps the statement of a message, if it has one.
func (p *PostgresProxy) note(message []byte) {
	const header, parse, query = 5, 'P', 'Q'
	var text []byte
	switch message[0] {
	case parse:
		_, text, _ = bytes.Cut(message[header:], []byte{0}) // what it is called comes first
	case query:
		text = message[header:]
	default:
		return
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.statements[string(text)] = true
}

// takeFault returns the fault of a message.
func (p *PostgresProxy) takeFault(message []byte) *PostgresFault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil || !bytes.Contains(message, []byte(p.fault.Statement)) {
		return nil
	}
	f := p.fault
	p.fault = nil
	return f
}

// line is one connection through the proxy.
type line struct {
	proxy          *PostgresProxy
	client, server net.Conn
	// deaf is the fault by which the next answer does not reach the client.
	deaf atomic.Pointer[PostgresFault]
}

// message reads one of the client, that begins with kind bytes for its kind:
// the first one has none, the others have one.
func (l *line) message(kind int) ([]byte, error) {
	message := make([]byte, kind+4)
	if _, err := io.ReadFull(l.client, message); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(message[kind:])-4)
	_, err := io.ReadFull(l.client, rest)
	return slices.Concat(message, rest), err
}

// isCancellation reports whether a first message is the one that opens no
// session. Clients send it when they abandon a connection.
func isCancellation(first []byte) bool { return binary.BigEndian.Uint32(first[4:]) == 80877102 }

// forward sends the messages of the client to the database.
func (l *line) forward(message []byte) {
	defer l.proxy.drop(l.client, l.server)
	listens := false
	for {
		if f := l.proxy.takeFault(message); f != nil {
			if !f.Executed {
				return
			}
			l.deaf.Store(f)
		}
		l.proxy.note(message)
		listens = listens || bytes.Contains(message, []byte("LISTEN"))
		const query, sync, execute = 'Q', 'S', 'E'
		if !listens && (message[0] == query || message[0] == execute) {
			l.proxy.Executed.Add(1)
		}
		if message[0] == query || message[0] == sync {
			if listens {
				l.proxy.Listening.Add(1)
			} else {
				l.proxy.Waits.Add(1)
			}
		}
		if _, err := l.server.Write(message); err != nil {
			return
		}
		var err error
		if message, err = l.message(1); err != nil {
			return
		}
	}
}

// answer sends what the database answers to the client.
func (l *line) answer() {
	defer l.proxy.drop(l.client, l.server)
	buffer := make([]byte, 1<<16)
	for {
		n, err := l.server.Read(buffer)
		if err != nil {
			return
		}
		if fault := l.deaf.Load(); fault != nil {
			// The message that ends an answer is 6 bytes long.
			if end := n - 6; end < 0 || buffer[end] != 'Z' {
				continue
			}
			if fault.Then != nil {
				fault.Then()
			}
			return
		}
		if _, err := l.client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
