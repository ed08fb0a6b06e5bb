package hostile_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

const (
	// memory is what a container has in which the server must live, and
	// goMemory the GOMEMLIMIT that docs/hosting.md asks for with it.
	memory   = 256 << 20
	goMemory = "200MiB"
	// slowest is a good client's ping, of 99 in a hundred, with a margin of three.
	slowest = 3 * time.Second
	// settled is how many pings must be answered while all clients are there.
	settled = 200
	// patience bounds a siege.
	patience = 4 * time.Minute
)

// hostileClients returns how many hostile clients come.
func hostileClients() int {
	if testkit.Long() {
		return 2000
	}
	return 300
}

// program is the command under test.
var program string

func TestMain(m *testing.M) { testkit.RunWith(m, testkit.BuildMeasuredParsec, &program) }

// siege is a server with an organization, a good client, and hostile ones.
type siege struct {
	*testing.T
	ctx    context.Context
	server *testkit.Parsec
	client *parsec2.Client
	// founder is the device of the good client.
	founder *parsec2.Device
	host    string
}

// besiege has hostile clients come, while a good client pings. attack returns
// once they did their worst, and they stay until the end.
func besiege(t *testing.T, arguments []string, attack func(s *siege, count int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &siege{T: t, ctx: ctx}
	limit := testkit.LimitMemory(t, memory)
	s.server = testkit.StartParsecIn(t, program, []string{"GOMEMLIMIT=" + goMemory}, append([]string{"--log-level", "ERROR"}, arguments...)...)
	limit.Add(t, s.server)
	origin := s.server.Address.HTTPOrigin()
	s.host = "127.0.0.1" + origin[strings.LastIndexByte(origin, ':'):]
	s.client = parsec2.New(s.server.Address, client.Options{})
	t.Cleanup(s.client.Close)
	s.found()

	pinged := s.ping()
	attack(s, hostileClients())
	latencies := pinged()
	// Whoever comes now gets in.
	newcomer, err := s.client.DialAuthenticated(s.ctx, s.founder)
	s.ok(err)
	defer newcomer.CloseNow()
	_, err = parsec2.Call(s.ctx, newcomer, protocol.Ping, &protocol.PingRequest{Ping: "new"})
	s.ok(err)

	slices.Sort(latencies)
	p99 := latencies[len(latencies)*99/100]
	peak := s.server.PeakMemory()
	t.Logf("%d hostile clients: %d pings, p50 %s, p99 %s; peak %d MiB resident",
		hostileClients(), len(latencies), latencies[len(latencies)/2].Round(time.Microsecond), p99.Round(time.Microsecond), peak>>20)
	if p99 > slowest {
		t.Errorf("of the pings of a good client one in a hundred took %s", p99)
	}
	if peak > memory {
		t.Errorf("the server had %d MiB resident", peak>>20)
	}
}

// found makes the organization.
func (s *siege) found() {
	s.Helper()
	token, err := s.client.Administration(testkit.AdministrationToken).Create(s.ctx, organization, client.OrganizationSettings{})
	s.ok(err)
	device, request, err := parsec2.NewOrganization(s.server.Address.BootstrapAddress(organization, token), person("alice"), now())
	s.ok(err)
	s.ok(s.client.Bootstrap(s.ctx, organization, request))
	s.founder = device
}

var organization = must(parsec.ParseOrganizationID("Besieged"))

func person(name string) parsec2.Person {
	return parsec2.Person{
		Label: must(parsec.ParseDeviceLabel("laptop")), HumanHandle: must(parsec.ParseHumanHandle(name+"@example.com", name)),
	}
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// must is for what does not depend on the code under test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// ping has the good client ping until the function that it returns is called,
// and some more: then that gives how long each took.
func (s *siege) ping() (ended func() []time.Duration) {
	s.Helper()
	conn, err := s.client.DialAuthenticated(s.ctx, s.founder)
	s.ok(err)
	s.Cleanup(conn.CloseNow)
	var latencies []time.Duration
	attacked, done := make(chan struct{}), make(chan error, 1)
	go func() {
		pause := time.NewTicker(5 * time.Millisecond)
		defer pause.Stop()
		for last := settled; last > 0; {
			begin := time.Now()
			if _, err := parsec2.Call(s.ctx, conn, protocol.Ping, &protocol.PingRequest{Ping: "still there"}); err != nil {
				done <- err
				return
			}
			latencies = append(latencies, time.Since(begin))
			select {
			case <-attacked:
				last--
			default:
			}
			<-pause.C
		}
		done <- nil
	}()
	return func() []time.Duration {
		s.Helper()
		close(attacked)
		if err := <-done; err != nil {
			s.Fatalf("the good client lost its connection: %v", err)
		}
		return latencies
	}
}

func (s *siege) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// each runs act for count hostile clients, some at a time.
func (s *siege) each(count int, act func(i int)) {
	const together = 64
	var acting sync.WaitGroup
	places := make(chan struct{}, together)
	for i := range count {
		places <- struct{}{}
		acting.Go(func() {
			defer func() { <-places }()
			act(i)
		})
	}
	acting.Wait()
}

// dial connects from one of many addresses: 25 clients have the same.
func (s *siege) dial(i int) (*hostile, error) {
	const perAddress = 25
	place := i / perAddress
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, byte(place>>8), byte(place)+1)}}
	conn, err := dialer.DialContext(s.ctx, "tcp", s.host)
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { _ = conn.Close() })
	deadline, _ := s.ctx.Deadline()
	return &hostile{Conn: conn, read: bufio.NewReader(conn)}, conn.SetDeadline(deadline)
}

// hostile is a client that says what it is told. It is free to fail: the server
// may cut it at any time.
type hostile struct {
	net.Conn
	read *bufio.Reader
}

// request sends a request whose body is not whole.
func (h *hostile) request(method, target string, length int, begun []byte, headers ...string) error {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/msgpack\r\nContent-Length: %d\r\n%s\r\n",
		method, target, length, strings.Join(append(headers, ""), "\r\n"))
	if _, err := io.WriteString(h, head); err != nil {
		return err
	}
	_, err := h.Write(begun)
	return err
}

// upgraded returns the challenge of a WebSocket.
func (h *hostile) upgraded() (challenge []byte, err error) {
	if _, err := io.WriteString(h, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(h.read, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, errRefused
	}
	told, err := h.receive()
	if err != nil {
		return nil, err
	}
	var frame protocol.ChallengeFrame
	err = wire.Unmarshal(told, &frame)
	return frame.Challenge, err
}

var errRefused = errors.New("refused")

// send sends one message, or all but its last byte if more is to come.
func (h *hostile) send(message []byte, more bool) error {
	size := len(message)
	if more {
		size++
	}
	if err := h.begin(size); err != nil {
		return err
	}
	_, err := h.Write(message)
	return err
}

// begin sends the head of a frame of size bytes, which is a message.
func (h *hostile) begin(size int) error {
	const binaryMessage, masked = 0x82, 0x80
	frame := binary.BigEndian.AppendUint64([]byte{binaryMessage, masked | 127}, uint64(size))
	_, err := h.Write(append(frame, 0, 0, 0, 0)) // the mask
	return err
}

// receive reads one frame.
func (h *hostile) receive() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(h.read, head[:]); err != nil {
		return nil, err
	}
	size := uint64(head[1])
	if extended := map[uint64]int{126: 2, 127: 8}[size]; extended > 0 {
		var length [8]byte
		if _, err := io.ReadFull(h.read, length[8-extended:]); err != nil {
			return nil, err
		}
		size = binary.BigEndian.Uint64(length[:])
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(h.read, payload)
	return payload, err
}

// message is one of any fields.
func message(fields ...wire.Field) []byte { return must(wire.AppendMap(nil, fields, nil)) }

// anonymous returns an anonymous WebSocket of API 1.
func (h *hostile) anonymous() error {
	if _, err := h.upgraded(); err != nil {
		return err
	}
	if err := h.send(message(
		wire.Field{Key: "handshake", Value: "answer"}, wire.Field{Key: "type", Value: "anonymous"},
		wire.Field{Key: "client_api_version", Value: parsec.APIVersion{Major: 1, Minor: 3}},
		wire.Field{Key: "organization_id", Value: organization}, wire.Field{Key: "rvk", Value: nil}), false); err != nil {
		return err
	}
	return h.accepted()
}

// accepted reads the result of a handshake.
func (h *hostile) accepted() error {
	result, err := h.receive()
	if told, _ := wire.LookupString(result, "result"); err == nil && told != "ok" {
		return errRefused
	}
	return err
}
