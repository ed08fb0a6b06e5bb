package server_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/client"
)

const acceptsStream = "Accept: text/event-stream"

func TestStreamForm(t *testing.T) {
	f := newFixture(t)
	response := f.get("/authenticated/CoolOrg/events", acceptsStream)
	for name, value := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Content-Length": ""} {
		if got := response.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if !reflect.DeepEqual(response.TransferEncoding, []string{"chunked"}) {
		t.Errorf("transfer encoding %v", response.TransferEncoding)
	}
	f.wing.told <- "hello"
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
		if want := "\x81\xa4told\xa5hello"; string(reply) != want {
			t.Errorf("event %q, want %q", reply, want)
		}
	}
}

func TestStreamKeepAlive(t *testing.T) {
	f := newFixture(t, func(options *options) { options.EventStreamKeepAlive = 10 * time.Millisecond })
	response := f.get("/authenticated/CoolOrg/events", acceptsStream)
	lines := bufio.NewScanner(response.Body)
	for keepAlives := 0; keepAlives < 5 && lines.Scan(); keepAlives++ {
		if lines.Text() != ":keepalive" || !lines.Scan() || lines.Text() != "" {
			t.Fatalf("line %q", lines.Text())
		}
	}
	f.ok(lines.Err())
}

// No event is lost around keep-alives, however many.
func TestStreamKeepAliveLosesNothing(t *testing.T) {
	f := newFixture(t, func(options *options) { options.EventStreamKeepAlive = 100 * time.Microsecond })
	stream := client.NewServerSentEvents(f.get("/authenticated/CoolOrg/events", acceptsStream).Body)
	for i := range 300 {
		f.wing.told <- fmt.Sprintf("%03d", i)
		told, err := stream.Next()
		f.ok(err)
		if want := fmt.Sprintf("\x81\xa4told\xa3%03d", i); string(told.Data) != want {
			t.Fatalf("event %q, want %q", told.Data, want)
		}
	}
}

func TestStreamEndsWithTheClient(t *testing.T) {
	f := newFixture(t)
	ended := f.logs.next("event stream ended")
	f.ok(f.get("/authenticated/CoolOrg/events", acceptsStream).Body.Close())
	f.await(ended)
}
