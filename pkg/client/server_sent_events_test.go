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
		if got, err := stream.Next(); err != nil || string(got) != want {
			t.Errorf("message %q, error %v", got, err)
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
		"another field": "id:1\n\n",
		"too long":      "data:" + strings.Repeat("A", client.MaxStreamLine) + "\n\n",
	} {
		if message, err := streamOf(text).Next(); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: message %q, error %v", name, message, err)
		}
	}
}
