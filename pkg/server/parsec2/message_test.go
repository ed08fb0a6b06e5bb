package parsec2_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit/commands"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	wing "parsec-server/pkg/server/parsec2"
	"parsec-server/pkg/wire"
)

// malformedMessage is an item of malformed_messages.json.
type malformedMessage struct {
	Name    string         `json:"name"`
	Opcode  string         `json:"opcode"`
	Message []byte         `json:"message"`
	Text    string         `json:"text"`
	Build   string         `json:"build"`
	Reply   map[string]any `json:"reply"`
}

// bytes returns the message, built when it is too big for the file.
func (m malformedMessage) bytes() []byte {
	if m.Build != "" {
		return oversizedBin(1<<20 + 1)
	}
	return m.Message
}

// oversizedBin returns a block_create with a block of any size.
func oversizedBin(size int) []byte {
	const bin32 = 0xc6
	head := append([]byte("\x82\xa3cmd\xacblock_create\xa5block"), bin32, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	return append(head, make([]byte, size)...)
}

func TestMalformedMessages(t *testing.T) {
	f := newFixture(t)
	items := vectors.Load[[]malformedMessage](t, "malformed_messages.json")
	for _, api := range []parsec.APIVersion{api1, api2, api3} {
		conn := f.connect("alice@dev1", api) // the same for all
		for _, item := range items {
			t.Run(api.String()+" "+item.Name, func(t *testing.T) {
				f := f.with(t)
				if item.Opcode == "text" {
					f.ok(conn.SendText(f.ctx, item.Text))
				} else {
					f.ok(conn.Send(f.ctx, item.bytes()))
				}
				reply := f.receive(conn)
				if reply["status"] != item.Reply["status"] {
					t.Fatalf("reply %v, want %v", reply, item.Reply)
				}
				checkMalformedReply(t, reply, item.Reply)
				f.wantPong(conn)
			})
		}
	}
}

// checkMalformedReply compares the texts, but for bad_message the names of the
// fields only.
func checkMalformedReply(t *testing.T, got map[any]any, want map[string]any) {
	t.Helper()
	if want["status"] != "bad_message" {
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s is %v, want %v", key, got[key], value)
			}
		}
		return
	}
	problems, _ := got["errors"].(map[any]any)
	for field := range want["errors"].(map[string]any) {
		texts, _ := problems[field].([]any)
		if len(texts) == 0 {
			t.Errorf("no text about %s in %v", field, got)
		}
	}
	if reason, _ := got["reason"].(string); reason == "" {
		t.Error("no reason")
	}
}

// TestCommandAvailability sends every command to every kind of connection: it
// is known exactly where the table says.
func TestCommandAvailability(t *testing.T) {
	f := newFixture(t)
	for _, command := range commands.All() {
		f.Parsec2.SetHandler(command, func(context.Context) (any, error) { return &protocol.PingReply{Pong: "stub"}, nil })
	}
	f.connectAll(func(name string, kind protocol.Kind, api parsec.APIVersion, conn *parsec2.Conn) {
		for _, command := range commandNames() {
			f.send(conn, command)
			status := f.receive(conn)["status"]
			if known := status != "unknown_command"; known != isKnown(command, kind, api) {
				t.Errorf("%s: %s answers %v", name, command, status)
			}
		}
	})
}

func commandNames() []string {
	names := []string{"dummy"}
	for _, command := range commands.All() {
		names = append(names, command.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isKnown reads the table of commands without its index.
func isKnown(name string, kind protocol.Kind, api parsec.APIVersion) bool {
	return slices.ContainsFunc(commands.All(), func(command *rpc.Form) bool {
		return command.Name == name && protocol.Kind(command.Kinds)&kind != 0 && command.Majors.Has(api.Major)
	})
}

func TestEveryCommandHasOneHandlerAndOneForm(t *testing.T) {
	for _, command := range commands.All() {
		if !wing.HasHandler(command) {
			t.Errorf("%s has no handler", command.Name)
		}
		if command.Majors == 0 || command.Kinds == 0 {
			t.Errorf("%s is for nobody", command.Name)
		}
		for _, kind := range wing.Kinds() {
			for _, api := range []parsec.APIVersion{api1, api2, api3} {
				forms := 0
				for _, other := range commands.All() {
					if other.Name == command.Name && protocol.Kind(other.Kinds)&kind != 0 && other.Majors.Has(api.Major) {
						forms++
					}
				}
				if forms > 1 {
					t.Errorf("%s has %d forms for %s connections of API %s", command.Name, forms, kind, api)
				}
			}
		}
	}
}

// TestCommandAvailabilityOverHTTP is the same for the routes.
func TestCommandAvailabilityOverHTTP(t *testing.T) {
	f := newFixture(t)
	for _, command := range commands.All() {
		f.Parsec2.SetHandler(command, func(context.Context) (any, error) { return &protocol.PingReply{Pong: "stub"}, nil })
	}
	for _, api := range []parsec.APIVersion{api2, api3} {
		for kind, rpc := range map[protocol.Kind]*parsec2.RPC{
			protocol.Authenticated: f.client.AuthenticatedRPC(f.device("alice@dev1"), api),
			protocol.Invited:       f.client.InvitedRPC(f.invitation(), api),
			protocol.Anonymous:     f.client.AnonymousRPC(coolOrg, api),
		} {
			for _, command := range commandNames() {
				_, err := rpc.RoundTrip(f.ctx, message(command))
				if isKnown(command, kind, api) && !strings.HasPrefix(command, "events_") {
					f.ok(err)
				} else {
					f.wantStatus(err, http.StatusUnsupportedMediaType)
				}
			}
		}
	}
}

// Replies are in the order of the requests, however many wait.
func TestPipelinedRequests(t *testing.T) {
	f := newFixture(t)
	conn := f.connect("alice@dev1")
	const count = 200
	go func() {
		for i := range count {
			if conn.Send(f.ctx, message("ping", wire.Field{Key: "ping", Value: numbered(i)})) != nil {
				return // the test sees that a reply misses
			}
		}
	}()
	for i := range count {
		if reply := f.receive(conn); reply["pong"] != numbered(i) {
			t.Fatalf("reply %d is %v", i, reply)
		}
	}
}

func numbered(i int) string { return strings.Repeat("x", i) }

func TestMessageSizes(t *testing.T) {
	f := newFixture(t)
	padded := func(size int) []byte { // a ping with a key that nobody knows
		head := message("ping", wire.Field{Key: "ping", Value: "x"})
		head[0]++ // one more item in the map
		head = append(head, "\xa1u"...)
		items := size/(1<<20) + 1
		head = append(head, 0x90|byte(items))
		for left := items; left > 0; left-- {
			length := min(1<<20, size-len(head)-5*left)
			head = append(head, 0xc6, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
			head = append(head, make([]byte, length)...)
		}
		return head
	}
	conn := f.connect("alice@dev1")
	f.ok(conn.Send(f.ctx, padded(12<<20)))
	if reply := f.receive(conn); reply["pong"] != "x" {
		t.Errorf("a long message is answered by %v", reply)
	}
	for name, item := range map[string]struct {
		conn *parsec2.Conn
		size int
	}{
		"authenticated": {conn, wing.MaxMessageBytes + 1},
		"invited":       {f.connectInvited(), wing.MaxStrangerBytes + 1},
		"anonymous":     {f.connectAnonymous(), wing.MaxStrangerBytes + 1},
	} {
		// The server closes before the end of the message.
		_ = item.conn.Send(f.ctx, make([]byte, item.size))
		if _, err := item.conn.Receive(f.ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A fragmented message is one message, and pings may come in between.
func TestFragmentedMessages(t *testing.T) {
	f := newFixture(t)
	raw := f.dialRaw("alice@dev1", api3)
	text := strings.Repeat("long ", 1000)
	pieces := slices.Collect(slices.Chunk(message("ping", wire.Field{Key: "ping", Value: text}), 500))
	for i, piece := range pieces {
		opcode := byte(opContinuation)
		if i == 0 {
			opcode = opBinary
		}
		last := i == len(pieces)-1
		raw.writeFrame(opcode, last, piece)
		if last {
			break
		}
		raw.writeFrame(opPing, true, []byte{byte(i)})
		if got, payload := raw.readFrame(); got != opPong || !bytes.Equal(payload, []byte{byte(i)}) {
			t.Fatalf("frame %d %x instead of the pong", got, payload)
		}
	}
	if _, reply := raw.readFrame(); decodeMap(t, reply)["pong"] != text {
		t.Errorf("reply %v", decodeMap(t, reply))
	}
}
