package database

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Pinged is the body of most events of tests.
type Pinged struct {
	Ping string `wire:"ping"`
}

// Topics returns the organization.
func (Pinged) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// Noted is one that is only for other instances.
type Noted struct {
	Note string `wire:"note"`
}

// Topics returns the organization.
func (Noted) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// Known implements event.Known.
func (Noted) Known() {}

// PingedCodec knows Pinged and Noted.
type PingedCodec struct{}

// Encode implements Codec.
func (PingedCodec) Encode(body event.Body) (kind string, data []byte, err error) {
	switch body.(type) {
	case Pinged:
		kind = "pinged"
	case Noted:
		kind = "noted"
	default:
		return "", nil, fmt.Errorf("a %T", body)
	}
	data, err = wire.Marshal(body)
	return kind, data, err
}

// Decode implements Codec.
func (PingedCodec) Decode(kind string, data []byte) (event.Body, error) {
	switch kind {
	case "pinged":
		var body Pinged
		err := wire.Unmarshal(data, &body)
		return body, err
	case "noted":
		var body Noted
		err := wire.Unmarshal(data, &body)
		return body, err
	default:
		return nil, nil
	}
}

// bodies have, in all, more than a bin of the protocol may have.
var bodies = []event.Body{Pinged{Ping: "é"}, Pinged{}, Pinged{Ping: strings.Repeat("x", 1<<20)}, Pinged{Ping: strings.Repeat("y", 1<<20)}}

func TestOutboxRows(t *testing.T) {
	var events []event.Event
	for i, body := range bodies {
		e := event.Event{Organization: must(parsec.ParseOrganizationID("Acme")), Body: body}
		if i%2 == 0 {
			e.Author = must(parsec.ParseDeviceID("alice@one"))
		}
		events = append(events, e)
	}
	statements, err := outboxInsert(PingedCodec{}, events)
	if err != nil || len(statements) != 1 {
		t.Fatalf("%v, %v", statements, err)
	}
	args := statements[0].Args
	row := outboxRow{outboxPlace{id: 1}, args[0].([]string), args[1].([]string), args[2].([]string), args[3].([][]byte)}
	got, problems := row.events(PingedCodec{})
	if !reflect.DeepEqual(got, events) || problems != nil {
		t.Errorf("got %+v\n%v", got, problems)
	}
	if none, err := outboxInsert(PingedCodec{}, nil); none != nil || err != nil {
		t.Errorf("for no event: %v, %v", none, err)
	}
	if _, err := outboxInsert(PingedCodec{}, []event.Event{{Body: event.Lost{}}}); err == nil {
		t.Error("a body without kind is written")
	}
}

// otherCodec knows organizations that expire, by one name.
type otherCodec struct{}

func (otherCodec) Encode(body event.Body) (kind string, data []byte, err error) {
	if _, known := body.(event.OrganizationExpiration); !known {
		return "", nil, fmt.Errorf("no expiration: %T", body)
	}
	data, err = wire.Marshal(body)
	return "other.expiration", data, err
}

func (otherCodec) Decode(kind string, data []byte) (event.Body, error) {
	if kind != "other.expiration" {
		return nil, nil
	}
	var body event.OrganizationExpiration
	err := wire.Unmarshal(data, &body)
	return body, err
}

// TestCodecs has events of two in one outbox.
func TestCodecs(t *testing.T) {
	both := Codecs{PingedCodec{}, otherCodec{}}
	for kind, body := range map[string]event.Body{"pinged": Pinged{Ping: "x"}, "other.expiration": event.OrganizationExpiration{}} {
		named, data, err := both.Encode(body)
		if err != nil || named != kind {
			t.Errorf("%T is %q, %v", body, named, err)
		}
		if read, err := both.Decode(named, data); err != nil || read != body {
			t.Errorf("%s is read as %v, %v", kind, read, err)
		}
		if _, err := both.Decode(kind, []byte{0xc1}); err == nil {
			t.Errorf("bytes that are no %s are read", kind)
		}
	}
	if read, err := both.Decode("pki.future", nil); read != nil || err != nil {
		t.Errorf("an unknown kind is %v, %v", read, err)
	}
	if kind, _, err := both.Encode(event.Lost{}); err == nil || !strings.Contains(err.Error(), "no expiration") {
		t.Errorf("a body of neither is %q, %v", kind, err)
	}
}

// TestOtherVersions reads what a later server may write.
func TestOtherVersions(t *testing.T) {
	fine := must(wire.Marshal(Pinged{Ping: "fine"}))
	row := outboxRow{
		organizations: []string{"Acme", "not valid!", "Acme", "Acme", "Acme"},
		authors:       []string{"", "", "nobody", "", ""},
		kinds:         []string{"pinged", "pinged", "pinged", "pki.future", "pinged"},
		bodies:        [][]byte{{0xc1}, fine, fine, fine, fine},
	}
	got, problems := row.events(PingedCodec{})
	if len(got) != 1 || got[0].Body != (Pinged{Ping: "fine"}) || len(problems) != 4 {
		t.Errorf("got %v\n%v", got, problems)
	}
}

// TestKindsOfLaterServers has events of unknown kinds said once each, and not as
// errors, while what cannot be read is an error each time.
func TestKindsOfLaterServers(t *testing.T) {
	bus := event.NewBus()
	defer bus.Close()
	var lines bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	d := newDelivery(nil, &Database{codec: PingedCodec{}, logger: logger}, bus)
	for id := range int64(3) {
		row := outboxRow{
			outboxPlace:   outboxPlace{id: id + 1},
			organizations: []string{"Acme", "Acme", "Acme"},
			authors:       []string{"", "", ""},
			kinds:         []string{"pki.future", "pinged", "realm.future"},
			bodies:        [][]byte{{0xc1}, must(wire.Marshal(Pinged{Ping: "fine"})), nil},
		}
		if !d.publish(t.Context(), []outboxRow{row}, false) {
			t.Fatal("the row is not published")
		}
	}
	want := "level=INFO msg=\"events of a later server are left out\" kind=pki.future\n" +
		"level=INFO msg=\"events of a later server are left out\" kind=realm.future\n"
	if lines.String() != want {
		t.Errorf("logged\n%swant\n%s", lines.String(), want)
	}
	lines.Reset()
	broken := outboxRow{organizations: []string{"Acme"}, authors: []string{""}, kinds: []string{"pinged"}, bodies: [][]byte{{0xc1}}}
	for id := range int64(2) {
		broken.id = id + 4
		d.publish(t.Context(), []outboxRow{broken}, false)
	}
	if got := strings.Count(lines.String(), "level=ERROR msg=\"event left out\""); got != 2 {
		t.Errorf("two broken events are logged %d times:\n%s", got, lines.String())
	}
}

func FuzzReadEvent(f *testing.F) {
	for _, body := range bodies[:2] {
		kind, data, err := PingedCodec{}.Encode(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("Acme", "alice@one", kind, data)
	}
	f.Fuzz(func(t *testing.T, organization, author, name string, body []byte) {
		e, err := readEvent(PingedCodec{}, organization, author, name, body)
		if err != nil {
			return
		}
		if _, err := outboxInsert(PingedCodec{}, []event.Event{e}); err != nil {
			t.Errorf("%+v is read but not written: %v", e, err)
		}
	})
}
