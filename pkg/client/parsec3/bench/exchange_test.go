package bench_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// The load of the benchmarks that compare: the connections work at the same time,
// and the sides take turns by rounds, so that whatever else the machine does hurts
// both.
const (
	connections   = 32
	tripsPerRound = 300 // of each connection
	largestReply  = 8 << 20
)

// okReply is what an ok reply begins with, after its first byte.
var okReply = []byte("\xa6status\xa2ok")

// exchange is a connection that is kept alive, and the request that it sends again and
// again. It does as little as a client can, the same for every server. The token is
// signed once a second, as its date has whole seconds.
type exchange struct {
	address string
	conn    net.Conn // nil before it is connected
	device  *client3.Device
	request []byte
	// token is where that of the request is, body where its body begins.
	token, body int
	second      int64
	// freshen changes the body before it is sent; nil leaves it.
	freshen func(body []byte)
	// skipped and accepted check the beginning of the reply.
	skipped  int
	accepted []byte
	buffer   []byte
	// reply is the last one, in the buffer.
	reply []byte
}

// newExchange returns one with a path of a server, for requests with such a body. It
// connects for the first: servers do not wait long for that.
func newExchange(b *testing.B, origin, path string, device *client3.Device, body []byte) *exchange {
	b.Helper()
	address, err := url.Parse(origin)
	check(b, err)
	e := &exchange{address: address.Host, device: device, skipped: 1, accepted: okReply, buffer: make([]byte, 4<<10)}
	b.Cleanup(func() {
		if e.conn != nil {
			e.conn.Close()
		}
	})
	token := token(device, time.Now().Unix())
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nApi-Version: 5.5\r\nContent-Type: application/msgpack\r\n"+
		"User-Agent: Parsec-Client/3.9.3 Linux\r\nContent-Length: %d\r\nAuthorization: ", path, address.Host, len(body))
	e.token = len(head)
	e.request = append([]byte(head+token+"\r\n\r\n"), body...)
	e.body = len(e.request) - len(body)
	return e
}

func (e *exchange) roundTrip() error {
	if second := time.Now().Unix(); second != e.second {
		e.second = second
		copy(e.request[e.token:], token(e.device, second))
	}
	if e.freshen != nil {
		e.freshen(e.request[e.body:])
	}
	if e.conn == nil {
		var err error
		if e.conn, err = net.Dial("tcp", e.address); err != nil { //nolint:noctx // what is measured ends in time
			return err
		}
	}
	if _, err := e.conn.Write(e.request); err != nil {
		return err
	}
	head, err := e.receive()
	if err != nil {
		return fmt.Errorf("receive a reply: %w", err)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || len(e.reply) < e.skipped || !bytes.HasPrefix(e.reply[e.skipped:], e.accepted) {
		return fmt.Errorf("reply %q %.100q", head, e.reply)
	}
	return nil
}

var (
	endOfHead     = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// receive reads an answer, and returns its head.
func (e *exchange) receive() (head []byte, err error) {
	read, end := 0, -1
	for end < 0 {
		n, err := e.conn.Read(e.buffer[read:])
		if err != nil {
			return nil, err
		}
		read += n
		end = bytes.Index(e.buffer[:read], endOfHead)
	}
	head = e.buffer[:end]
	length := 0
	if _, text, found := bytes.Cut(head, contentLength); found {
		text, _, _ := bytes.Cut(text, []byte("\r"))
		if length, err = strconv.Atoi(string(text)); err != nil {
			return nil, err
		}
	}
	whole := end + len(endOfHead) + length
	if whole > largestReply {
		return nil, errors.New("the reply is too long")
	}
	if whole > len(e.buffer) {
		e.buffer = slices.Concat(e.buffer[:read], make([]byte, whole-read))
	}
	if read < whole {
		if _, err := io.ReadFull(e.conn, e.buffer[read:whole]); err != nil {
			return nil, err
		}
	}
	e.reply = e.buffer[whole-length : whole]
	return e.buffer[:end], nil
}

// token returns that of a device in a second. All are as long as one another.
func token(device *client3.Device, second int64) string {
	return device.Token(parsec.DateTimeOf(time.Unix(second, 0)))
}

// side is a server, or one state of a server, and what its connections repeat.
type side struct {
	name      string
	exchanges []*exchange
	// server and database are their processor time; nil for none.
	server, database testkit.ProcessorTime
	spent            struct{ server, database, client time.Duration }
	elapsed          time.Duration
	latencies        []time.Duration
	trips            int
}

// round has every connection do so many round trips.
func (s *side) round(b *testing.B, trips int) {
	b.Helper()
	latencies := make([][]time.Duration, len(s.exchanges))
	server, database, client := of(b, s.server), of(b, s.database), processorTime(b)
	begun := time.Now()
	var working sync.WaitGroup
	for i, e := range s.exchanges {
		working.Go(func() {
			for range trips {
				sent := time.Now()
				if err := e.roundTrip(); err != nil {
					b.Errorf("%s: %v", s.name, err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	working.Wait()
	s.elapsed += time.Since(begun)
	s.spent.server += of(b, s.server) - server
	s.spent.database += of(b, s.database) - database
	s.spent.client += processorTime(b) - client
	s.latencies = append(s.latencies, slices.Concat(latencies...)...)
	s.trips += trips * len(s.exchanges)
	if b.Failed() {
		b.FailNow()
	}
}

func of(b *testing.B, processor testkit.ProcessorTime) time.Duration {
	if processor == nil {
		return 0
	}
	return processor(b)
}

func (s *side) rate() float64 { return float64(s.trips) / s.elapsed.Seconds() }

// microseconds returns the part of a round trip, in microseconds.
func (s *side) microseconds(spent time.Duration) float64 {
	return float64(spent.Microseconds()) / float64(s.trips)
}

// cost is the processor time of a round trip, clients' included, in microseconds.
func (s *side) cost() float64 {
	return s.microseconds(s.spent.server + s.spent.database + s.spent.client)
}

// report adds the rate of the side, and the processor time of a request: of server and
// database together, of the database, and of the clients that it was measured with.
func (s *side) report(b *testing.B) {
	b.ReportMetric(s.rate(), s.name+"/s")
	b.ReportMetric(s.microseconds(s.spent.server+s.spent.database), s.name+"-cpu-µs")
	if s.database != nil {
		b.ReportMetric(s.microseconds(s.spent.database), s.name+"-database-µs")
	}
	b.ReportMetric(s.microseconds(s.spent.client), s.name+"-client-µs")
}

// compare has two sides take turns, and reports the ratio of the rate of the second to
// that of the first, and that ratio as it would be if nothing but the processor time
// counted: it hardly depends on what else the machine does.
func compare(b *testing.B, ratio string, trips int, baseline, subject *side) {
	b.Helper()
	for b.Loop() {
		baseline.round(b, trips)
		subject.round(b, trips)
	}
	b.ReportMetric(0, "ns/op")
	baseline.report(b)
	subject.report(b)
	b.ReportMetric(subject.rate()/baseline.rate(), ratio)
	b.ReportMetric(baseline.cost()/subject.cost(), "cpu-"+ratio)
	slices.Sort(subject.latencies)
	b.ReportMetric(float64(subject.latencies[len(subject.latencies)*99/100].Microseconds())/1000, "p99-ms")
}

// exchange returns one of a command, with a device of its own.
func (o *founded) exchange(b *testing.B, command *rpc.Form, request any) *exchange {
	b.Helper()
	body, err := wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: command.Name}}, request)
	check(b, err)
	return newExchange(b, o.address.HTTPOrigin(), "/authenticated/"+o.device.Organization.String(), o.newDevice(b), body)
}

func (o *founded) pings(b *testing.B, _ parsec.RealmID, _ parsec.VlobID) *exchange {
	b.Helper()
	return o.exchange(b, protocol.Ping.Form, &protocol.PingRequest{Ping: "bench"})
}

func (o *founded) readings(b *testing.B, realm parsec.RealmID, vlob parsec.VlobID) *exchange {
	b.Helper()
	return o.exchange(b, protocol.VlobReadBatch.Form, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{vlob}})
}

func (o *founded) creations(b *testing.B, realm parsec.RealmID, _ parsec.VlobID) *exchange {
	b.Helper()
	vlob, date := parsec.NewUUID(), now()
	e := o.exchange(b, protocol.VlobCreate.Form, &protocol.VlobCreateRequest{
		RealmID: realm, VlobID: parsec.VlobID(vlob), Timestamp: date, Blob: kibibyte,
	})
	body := e.request[e.body:]
	freshID, freshDate := freshID(body, vlob), freshDate(body, date)
	e.freshen = func(body []byte) {
		freshID(body)
		freshDate(body)
	}
	return e
}

func (o *founded) updates(b *testing.B, realm parsec.RealmID, vlob parsec.VlobID) *exchange {
	b.Helper()
	const placeholder = 0x10000 // as long on the wire as any version in the loop
	date := now()
	e := o.exchange(b, protocol.VlobUpdate.Form, &protocol.VlobUpdateRequest{
		RealmID: realm, VlobID: vlob, Version: placeholder, Timestamp: date, Blob: kibibyte,
	})
	body := e.request[e.body:]
	const before = "\xa7version\xce"
	place, freshDate := bytes.Index(body, []byte(before))+len(before), freshDate(body, date)
	version := uint32(1)
	e.freshen = func(body []byte) {
		version++
		binary.BigEndian.PutUint32(body[place:], version)
		freshDate(body)
	}
	return e
}

func (o *founded) blockCreations(b *testing.B, realm parsec.RealmID, size int) *exchange {
	b.Helper()
	block := parsec.NewUUID()
	e := o.exchange(b, protocol.BlockCreate.Form, &protocol.BlockCreateRequest{RealmID: realm, BlockID: parsec.BlockID(block), Block: make([]byte, size)})
	e.freshen = freshID(e.request[e.body:], block)
	return e
}

// freshID counts in the last bytes of an id of the body.
func freshID(body []byte, id parsec.UUID) func([]byte) {
	place := bytes.Index(body, id[:]) + 8
	counter := binary.BigEndian.Uint64(id[8:])
	return func(body []byte) {
		counter++
		binary.BigEndian.PutUint64(body[place:], counter)
	}
}

// freshDate writes the time where the body has a date.
func freshDate(body []byte, date parsec.DateTime) func([]byte) {
	place := bytes.Index(body, binary.BigEndian.AppendUint64(nil, uint64(date)))
	return func(body []byte) { binary.BigEndian.PutUint64(body[place:], uint64(now())) }
}
