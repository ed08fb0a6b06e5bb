package parsec2

import (
	"encoding/base64"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

func streamOf(text string) *ServerSentEvents {
	return &ServerSentEvents{client.NewServerSentEvents(io.NopCloser(strings.NewReader(text)))}
}

func eventText(t testing.TB, fields map[string]any) string {
	t.Helper()
	message, err := wire.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return "data:" + base64.StdEncoding.EncodeToString(message) + "\n\n"
}

func TestServerSentEvents(t *testing.T) {
	first := eventText(t, map[string]any{"status": "ok", "event": "pinged", "ping": "x"})
	second := eventText(t, map[string]any{"status": "ok", "event": "message.received", "index": 3})
	stream := streamOf(":keepalive\n\n" + first + ":keepalive\n\n:keepalive\n\n" + second)
	for _, want := range []protocol.Event{&protocol.PingedEvent{Ping: "x"}, &protocol.MessageReceivedEvent{Index: 3}} {
		if got, err := stream.Next(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("event %#v, error %v", got, err)
		}
	}
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestServerSentEventsMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"no base64":     "data:!\n\n",
		"no msgpack":    "data:wQ==\n\n",
		"space":         "data: wQ==\n\n",
		"another field": "id:1\n\n",
		"no event":      eventText(t, map[string]any{"status": "ok"}),
		"unknown event": eventText(t, map[string]any{"status": "ok", "event": "x"}),
		"no field":      eventText(t, map[string]any{"status": "ok", "event": "pinged"}),
		"refusal":       eventText(t, map[string]any{"status": "no_events"}),
		"too long":      "data:" + strings.Repeat("A", client.MaxStreamLine) + "\n\n",
	} {
		if event, err := streamOf(text).Next(); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: event %v, error %v", name, event, err)
		}
	}
}

func FuzzServerSentEvents(f *testing.F) {
	f.Add(":keepalive\n\n" + eventText(f, map[string]any{"status": "ok", "event": "pinged", "ping": "x"}))
	f.Add(eventText(f, map[string]any{"status": "ok", "event": "pki_enrollment.updated"}) + "data:wQ==\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		stream := streamOf(text)
		for {
			event, err := stream.Next()
			if (event == nil) == (err == nil) {
				t.Fatalf("event %v, error %v", event, err)
			}
			if err != nil {
				break
			}
			if again := notice.New(event.EventName()); reflect.TypeOf(again) != reflect.TypeOf(event) {
				t.Fatalf("event %T is named %s", event, event.EventName())
			}
		}
	})
}
