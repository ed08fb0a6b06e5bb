package client_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"parsec-server/pkg/client"
)

func streamOf(text string) *client.ServerSentEvents {
	return client.NewServerSentEvents(io.NopCloser(strings.NewReader(text)))
}

func TestServerSentEvents(t *testing.T) {
	stream := streamOf(":keepalive\n\ndata:Zmlyc3Q=\n\n:keepalive\n\n:keepalive\n\ndata:c2Vjb25k\n\n")
	for _, want := range []string{"first", "second"} {
		if got, err := stream.Next(); err != nil || string(got.Data) != want {
			t.Errorf("message %q, error %v", got.Data, err)
		}
	}
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestServerSentEventsMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"no base64":     "data:!\n\n",
		"space":         "data: wQ==\n\n",
		"another field": "retry:1\n\n",
		"too long":      "data:" + strings.Repeat("A", client.MaxStreamLine) + "\n\n",
	} {
		if message, err := streamOf(text).Next(); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: message %q, error %v", name, message.Data, err)
		}
	}
}

// TestServerSentEventFields has events with a name and an id, as API 5 has.
func TestServerSentEventFields(t *testing.T) {
	stream := streamOf("data:Zmlyc3Q=\nid:1a\n\nevent:keepalive\ndata:\n\nevent:missed_events\ndata:\nid:2b\n\ndata:Y3V0\n")
	for _, want := range []client.ServerSentEvent{
		{ID: "1a", Data: []byte("first")}, {Name: "keepalive"}, {Name: "missed_events", ID: "2b"},
	} {
		got, err := stream.Next()
		if err != nil || got.Name != want.Name || got.ID != want.ID || string(got.Data) != string(want.Data) {
			t.Errorf("event %+v, error %v, want %+v", got, err, want)
		}
	}
	if got, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("an event that is cut: %+v, error %v", got, err)
	}
}
