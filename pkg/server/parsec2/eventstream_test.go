package parsec2_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// stream opens the event stream of a device of CoolOrg.
func (f *fixture) stream(device string, api parsec.APIVersion) *parsec2.ServerSentEvents {
	f.t.Helper()
	stream, err := f.client.AuthenticatedRPC(f.device(device), api).ServerSentEvents(f.ctx)
	f.ok(err)
	f.t.Cleanup(func() { _ = stream.Close() })
	return stream
}

// streamHeaders returns the headers of bob@dev1.
func (f *fixture) streamHeaders() []string {
	device := f.device("bob@dev1")
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(device.SigningKey, nil))
	return []string{
		"Authorization: PARSEC-SIGN-ED25519", "Accept: text/event-stream", "Signature: " + signature,
		"Author: " + base64.StdEncoding.EncodeToString([]byte(device.ID.String())),
	}
}

func TestStreamForm(t *testing.T) {
	f := newFixture(t)
	response := f.get("/authenticated/CoolOrg/events", f.streamHeaders()...)
	for name, value := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Content-Length": ""} {
		if got := response.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if !reflect.DeepEqual(response.TransferEncoding, []string{"chunked"}) {
		t.Errorf("transfer encoding %v", response.TransferEncoding)
	}
	f.must(parsec2.Call(f.ctx, f.connect("alice@dev1"), protocol.Ping, &protocol.PingRequest{Ping: "hello"}))
	reader := bufio.NewReader(response.Body)
	for _, want := range []string{":keepalive\n", "\n", "data:", "\n"} {
		line, err := reader.ReadString('\n')
		f.ok(err)
		data, isData := strings.CutPrefix(line, "data:")
		if !isData && line != want || isData != (want == "data:") {
			t.Fatalf("line %q, want %q", line, want)
		}
		if !isData {
			continue
		}
		reply, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(data, "\n"))
		f.ok(err)
		if got := decodeMap(t, reply); !reflect.DeepEqual(got, map[any]any{"status": "ok", "event": "pinged", "ping": "hello"}) {
			t.Errorf("event %v", got)
		}
	}
}

// No event is lost around keep-alives, however many.
func TestStreamKeepAliveLosesNothing(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.EventStreamKeepAlive = 100 * time.Microsecond })
	stream := f.stream("bob@dev1", api3)
	for i := range 300 {
		f.publishPing(numbered(i % 60))
		told, err := stream.Next()
		f.ok(err)
		if !reflect.DeepEqual(told, &protocol.PingedEvent{Ping: numbered(i % 60)}) {
			t.Fatalf("event %v", told)
		}
	}
}

func TestStreamFilters(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author := f.connect("alice@dev1")
	f.createRealm(author, alice, realmID(1))
	f.flush()
	own, other, current := f.stream("alice@dev1", api3), f.stream("alice@dev2", apiOf217OverHTTP), f.stream("alice@dev2", api2)
	archived := protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}
	f.must(parsec2.Call(f.ctx, author, protocol.Ping, &protocol.PingRequest{Ping: "mine"}))
	request, err := alice.UpdateArchiving(realmID(1), archived, f.now())
	f.ok(err)
	f.must(parsec2.Call(f.ctx, author, protocol.RealmUpdateArchiving, request))
	f.mark(coolOrg)
	mine, mark := &protocol.PingedEvent{Ping: "mine"}, &protocol.PingedEvent{Ping: "mark"}
	for _, item := range []struct {
		name   string
		stream *parsec2.ServerSentEvents
		events []protocol.Event
	}{
		{"author", own, []protocol.Event{mark}},
		{"client of 2.17", other, []protocol.Event{mine, &protocol.RealmArchivingUpdatedEvent{RealmID: realmID(1), Configuration: archived}, mark}},
		{"current client", current, []protocol.Event{mine, &protocol.RealmArchivingUpdatedEvent{RealmID: realmID(1), Configuration: archived}, mark}},
	} {
		for _, want := range item.events {
			told, err := item.stream.Next()
			f.ok(err)
			if !reflect.DeepEqual(told, want) {
				t.Errorf("%s: event %+v, want %+v", item.name, told, want)
			}
		}
	}
}

// A stream that does not keep up with the events ends; it does not go on
// without some of them.
func TestStreamOverflow(t *testing.T) {
	f := newFixture(t)
	stream := f.stream("bob@dev1", api3)
	other := f.connect("bob@dev1")
	const burst = 1000
	ended := f.logs.next("event stream ended")
	for sent, over := 0, false; !over; {
		events := make([]event.Event, burst)
		for i := range events {
			events[i] = event.Event{Organization: coolOrg, Body: notice.MessageReceived{Recipient: userID("bob"), Index: uint64(sent + i)}}
		}
		f.Bus.Publish(events)
		f.flush()
		sent += burst
		select {
		case <-ended:
			over = true
		case <-f.ctx.Done():
			t.Fatal("the stream does not end")
		default:
		}
	}
	for i := 0; ; i++ {
		told, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		f.ok(err)
		if !reflect.DeepEqual(told, &protocol.MessageReceivedEvent{Index: uint64(i)}) {
			t.Fatalf("event %+v in the place of %d", told, i)
		}
	}
	f.wantPong(other)
}

func TestStreamEndsWithTheClient(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(f.ctx)
	stream, err := f.client.AuthenticatedRPC(f.device("bob@dev1"), api3).ServerSentEvents(ctx)
	f.ok(err)
	ended := f.logs.next("event stream ended")
	cancel()
	_ = stream.Close()
	f.await(ended)
	if _, err := stream.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the client is told %v", err)
	}
}

// A session that ends while its stream opens says why.
func TestSessionEndsWhileTheStreamOpens(t *testing.T) {
	for name, item := range map[string]struct {
		cause  func(f *fixture)
		status int
	}{
		"frozen": {func(f *fixture) {
			f.must(f.Organizations.FreezeUser(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: userID("bob").String()}, true))
		}, client.StatusUserFrozen},
		"expired": {func(f *fixture) { f.expire(0) }, client.StatusOrganizationExpired},
	} {
		t.Run(name, func(t *testing.T) {
			store := &openingStore{}
			f := newFixture(t, func(options *testkit.InstanceOptions) {
				options.WrapStore = func(wrapped rules.Store) rules.Store {
					store.Store = wrapped
					return store
				}
			})
			store.meanwhile = func() {
				item.cause(f)
				f.flush()
			}
			_, err := f.client.AuthenticatedRPC(f.device("bob@dev1"), api3).ServerSentEvents(f.ctx)
			f.wantStatus(err, item.status)
		})
	}
}

// openingStore has something happen while a session subscribes.
type openingStore struct {
	rules.Store
	meanwhile func()
}

func (s *openingStore) RealmsOf(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) ([]rules.Realm, error) {
	s.meanwhile()
	return s.Store.RealmsOf(ctx, organization, user)
}
