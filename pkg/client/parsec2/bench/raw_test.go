package bench_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// The load of the benchmarks that compare: the connections work at the same
// time, and the two sides take turns by rounds, so that whatever else the
// machine does hurts both.
const (
	benchmarkConnections = 32
	tripsPerRound        = 100 // of each connection
	largestReply         = 1 << 20
)

var api = parsec.APIVersion{Major: 3, Minor: 4}

// okReply is what an ok reply of this server begins with, after its first
// byte.
var okReply = []byte("\xa6status\xa2ok")

// exchange is a connection and the message that it sends again and again. It
// does as little as a client can, the same for every server.
type exchange struct {
	socket  *websocket.Conn
	message []byte
	// freshen changes the message before it is sent; nil leaves it.
	freshen func(message []byte)
	// skipped and accepted check the beginning of the reply.
	skipped  int
	accepted []byte
	buffer   []byte
	// reply is the last one, in the buffer.
	reply []byte
}

func newExchange(socket *websocket.Conn, message []byte) *exchange {
	return &exchange{
		socket: socket, message: bytes.Clone(message),
		skipped: 1, accepted: okReply,
		buffer: make([]byte, largestReply),
	}
}

func (e *exchange) roundTrip(ctx context.Context) error {
	if e.freshen != nil {
		e.freshen(e.message)
	}
	if err := e.socket.Write(ctx, websocket.MessageBinary, e.message); err != nil {
		return err
	}
	_, reader, err := e.socket.Reader(ctx)
	if err != nil {
		return err
	}
	size, err := io.ReadFull(reader, e.buffer)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read a reply: %w", err)
	}
	if e.reply = e.buffer[:size]; !bytes.HasPrefix(e.reply[e.skipped:], e.accepted) {
		return fmt.Errorf("reply %q", e.reply)
	}
	return nil
}

// contestant is one of two that are compared.
type contestant interface {
	// round has every connection do so many round trips.
	round(b *testing.B, trips int)
	// result returns the contestant and its round trips per second.
	result() (name string, perSecond float64)
}

// side is a server, or one state of a server.
type side struct {
	name      string
	exchanges []*exchange
	elapsed   time.Duration
	// spent is the processor time of the process meanwhile, clients' included.
	spent time.Duration
	trips int
}

func (s *side) round(b *testing.B, trips int) {
	b.Helper()
	start, before := time.Now(), processorTime(b)
	var working sync.WaitGroup
	for _, e := range s.exchanges {
		working.Go(func() {
			for range trips {
				if err := e.roundTrip(b.Context()); err != nil {
					b.Errorf("%s: %v", s.name, err)
					return
				}
			}
		})
	}
	working.Wait()
	s.elapsed += time.Since(start)
	s.spent += processorTime(b) - before
	s.trips += trips * len(s.exchanges)
}

func (s *side) result() (name string, perSecond float64) {
	return s.name, float64(s.trips) / s.elapsed.Seconds()
}

// compare reports the round trips per second of both, and the ratio of the
// second to the first under the name given.
func compare(b *testing.B, ratio string, baseline, subject contestant) {
	b.Helper()
	compareRounds(b, ratio, tripsPerRound, baseline, subject)
}

// compareRounds is compare with rounds of so many trips of each connection.
func compareRounds(b *testing.B, ratio string, trips int, baseline, subject contestant) {
	b.Helper()
	for b.Loop() {
		baseline.round(b, trips)
		subject.round(b, trips)
		if b.Failed() {
			b.FailNow()
		}
	}
	b.ReportMetric(0, "ns/op")
	baselineName, baselineRate := baseline.result()
	subjectName, subjectRate := subject.result()
	b.ReportMetric(baselineRate, baselineName+"/s")
	b.ReportMetric(subjectRate, subjectName+"/s")
	b.ReportMetric(subjectRate/baselineRate, ratio)
}

// organization is one of an instance, with its first device.
type organization struct {
	*testkit.Instance
	client *parsec2.Client
	device *parsec2.Device
	conn   *parsec2.Conn
}

func newOrganization(b *testing.B, instance *testkit.Instance) *organization {
	b.Helper()
	c := parsec2.New(instance.Address, client.Options{})
	b.Cleanup(c.Close)
	id := must(parsec.ParseOrganizationID("Acme"))(b)
	token := must(instance.Organizations.Create(b.Context(), organizations.Administrator{}, id, organizations.Change{}))(b)
	device, request, err := parsec2.NewOrganization(instance.Address.BootstrapAddress(id, token), parsec2.Person{}, now())
	if err == nil {
		err = c.Bootstrap(b.Context(), id, request)
	}
	if err != nil {
		b.Fatal(err)
	}
	conn := must(c.DialAuthenticated(b.Context(), device))(b)
	b.Cleanup(conn.CloseNow)
	return &organization{instance, c, device, conn}
}

func (o *organization) newRealm(b *testing.B) parsec.RealmID {
	b.Helper()
	realm := parsec.RealmID(parsec.NewUUID())
	o.createRealm(b, realm)
	return realm
}

func (o *organization) createRealm(b *testing.B, realm parsec.RealmID) {
	b.Helper()
	request := must(o.device.NewRealm(realm, now()))(b)
	must(parsec2.Call(b.Context(), o.conn, protocol.RealmCreate, request))(b)
}

func (o *organization) newVlob(b *testing.B, realm parsec.RealmID, size int) parsec.VlobID {
	b.Helper()
	vlob := parsec.VlobID(parsec.NewUUID())
	o.createVlob(b, realm, vlob, size)
	return vlob
}

func (o *organization) createVlob(b *testing.B, realm parsec.RealmID, vlob parsec.VlobID, size int) {
	b.Helper()
	must(parsec2.Call(b.Context(), o.conn, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Blob: make([]byte, size),
	}))(b)
}

// dial opens an authenticated connection without pkg/client, whose reading
// goroutine would be measured too.
func (o *organization) dial(b *testing.B) *websocket.Conn {
	b.Helper()
	socket := dialRaw(b, o.Address.HTTPOrigin()+"/ws")
	_, message, err := socket.Read(b.Context())
	var challenge protocol.ChallengeFrame
	if err == nil {
		err = wire.Unmarshal(message, &challenge)
	}
	if err != nil {
		b.Fatal(err)
	}
	signed := must(wire.Marshal(protocol.SignedAnswer{Type: "signed_answer", Answer: challenge.Challenge}))(b)
	answer := must(wire.Marshal(protocol.AuthenticatedAnswer{
		AnswerHeader:   protocol.AnswerHeader{Handshake: "answer", Type: "AUTHENTICATED", ClientAPIVersion: api},
		OrganizationID: o.device.Organization,
		DeviceID:       o.device.ID,
		RootVerifyKey:  o.device.RootVerifyKey,
		Answer:         append(ed25519.Sign(o.device.SigningKey, signed), signed...),
	}))(b)
	if err := socket.Write(b.Context(), websocket.MessageBinary, answer); err != nil {
		b.Fatal(err)
	}
	var result protocol.HandshakeResultFrame
	if _, message, err = socket.Read(b.Context()); err == nil {
		err = wire.Unmarshal(message, &result)
	}
	if err != nil || result.Result != protocol.HandshakeOK {
		b.Fatalf("handshake: %+v, error %v", result, err)
	}
	return socket
}

func dialRaw(b *testing.B, url string) *websocket.Conn {
	b.Helper()
	socket, _, err := websocket.Dial(b.Context(), url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		b.Fatal(err)
	}
	socket.SetReadLimit(largestReply)
	b.Cleanup(func() { _ = socket.CloseNow() })
	return socket
}

// encode makes the message of a command.
func encode(b *testing.B, command *rpc.Form, request any) []byte {
	b.Helper()
	return must(wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: command.Name}}, request))(b)
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// must returns the value to who has a test to fail.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
