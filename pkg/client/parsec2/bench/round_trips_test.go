package bench_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// BenchmarkRoundTrips compares the server with one that only echoes: the rest
// is what the protocol costs. The message of the echo is half as long as
// request and reply together, so that as many bytes cross.
func BenchmarkRoundTrips(b *testing.B) {
	for _, item := range []struct {
		name        string
		newExchange func(*testing.B, *organization) *exchange
	}{
		{"ping", pings},
		{"vlob_read_1KiB", vlobReads},
		{"vlob_create_1KiB", vlobCreations},
		{"vlob_update_1KiB", vlobUpdates},
		{"block_create_64KiB", blockCreations},
	} {
		b.Run(item.name, func(b *testing.B) {
			o := newOrganization(b, testkit.Start(b, testkit.InstanceOptions{}))
			server := &side{name: "server"}
			for range benchmarkConnections {
				server.exchanges = append(server.exchanges, item.newExchange(b, o))
			}
			compare(b, "ratio-to-echo", newEcho(b, server.exchanges[0]), server)
		})
	}
}

// newEcho starts a server that echoes, with messages in the size of model.
func newEcho(b *testing.B, model *exchange) *side {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(echo))
	b.Cleanup(server.Close)
	if err := model.roundTrip(b.Context()); err != nil {
		b.Fatal(err)
	}
	size := (len(model.message) + len(model.reply)) / 2
	echo := &side{name: "echo"}
	for range benchmarkConnections {
		e := newExchange(dialRaw(b, server.URL), bytes.Repeat([]byte{0xa5}, size))
		e.skipped, e.accepted = 0, e.message
		echo.exchanges = append(echo.exchanges, e)
	}
	return echo
}

// echo is the plainest server: it reads a message and writes it.
func echo(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(largestReply)
	for {
		kind, message, err := socket.Read(r.Context())
		if err != nil {
			return
		}
		if err := socket.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func pings(b *testing.B, o *organization) *exchange {
	return newExchange(o.dial(b), encode(b, protocol.Ping.Form, &protocol.PingRequest{Ping: "bench"}))
}

func vlobReads(b *testing.B, o *organization) *exchange {
	b.Helper()
	return vlobReadsIn(b, o, o.newRealm(b))
}

func vlobReadsIn(b *testing.B, o *organization, realm parsec.RealmID) *exchange {
	b.Helper()
	vlob := o.newVlob(b, realm, 1<<10)
	return newExchange(o.dial(b), encode(b, protocol.VlobRead.Form, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob}))
}

func vlobCreations(b *testing.B, o *organization) *exchange {
	b.Helper()
	return vlobCreationsIn(b, o, o.newRealm(b))
}

func vlobCreationsIn(b *testing.B, o *organization, realm parsec.RealmID) *exchange {
	b.Helper()
	vlob := parsec.NewUUID()
	e := newExchange(o.dial(b), encode(b, protocol.VlobCreate.Form, &protocol.VlobCreateRequest{
		RealmID: realm, EncryptionRevision: 1, VlobID: parsec.VlobID(vlob), Timestamp: now(), Blob: make([]byte, 1<<10),
	}))
	e.freshen = freshID(e.message, vlob)
	return e
}

func vlobUpdates(b *testing.B, o *organization) *exchange {
	b.Helper()
	return vlobUpdatesIn(b, o, o.newRealm(b))
}

func vlobUpdatesIn(b *testing.B, o *organization, realm parsec.RealmID) *exchange {
	b.Helper()
	const placeholder = 0x10000 // as long on the wire as any version in the loop
	vlob := o.newVlob(b, realm, 1<<10)
	e := newExchange(o.dial(b), encode(b, protocol.VlobUpdate.Form, &protocol.VlobUpdateRequest{
		EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Version: placeholder, Blob: make([]byte, 1<<10),
	}))
	const before = "\xa7version\xce"
	place := bytes.Index(e.message, []byte(before)) + len(before)
	version := uint32(1)
	e.freshen = func(message []byte) {
		version++
		binary.BigEndian.PutUint32(message[place:], version)
	}
	return e
}

func blockCreations(b *testing.B, o *organization) *exchange {
	b.Helper()
	return blockCreationsIn(b, o, o.newRealm(b), 64<<10)
}

func blockCreationsIn(b *testing.B, o *organization, realm parsec.RealmID, size int) *exchange {
	b.Helper()
	block := parsec.NewUUID()
	e := newExchange(o.dial(b), encode(b, protocol.BlockCreate.Form, &protocol.BlockCreateRequest{
		RealmID: realm, BlockID: parsec.BlockID(block), Block: make([]byte, size),
	}))
	e.freshen = freshID(e.message, block)
	return e
}

// freshID counts in the last bytes of an id of the message.
func freshID(message []byte, id parsec.UUID) func([]byte) {
	place := bytes.Index(message, id[:]) + 8
	counter := binary.BigEndian.Uint64(id[8:])
	return func(message []byte) {
		counter++
		binary.BigEndian.PutUint64(message[place:], counter)
	}
}
