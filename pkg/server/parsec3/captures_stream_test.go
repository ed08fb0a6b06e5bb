package parsec3_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"parsec-server/pkg/parsec"
)

// capturedStream is an event stream that is recorded.
type capturedStream struct {
	Name           string            `json:"name"`
	Request        capturedRequest   `json:"request"`
	Reply          capturedReply     `json:"reply"`
	Messages       []capturedMessage `json:"messages"`
	ClosedByServer bool              `json:"closed_by_server"`
}

type capturedMessage struct {
	Bytes   string        `json:"bytes"`
	ID      string        `json:"id"`
	Event   string        `json:"event"`
	Decoded recordedValue `json:"decoded"`
}

// dateOf returns the date of a certificate that a message tells of.
func (s *capturedStream) dateOf(t testing.TB, message int) parsec.DateTime {
	t.Helper()
	return s.Messages[message].Decoded.fields(t)["timestamp"].(parsec.DateTime)
}

// recordedStream returns the one with a name.
func (r *replay) recordedStream(name string) *capturedStream {
	r.t.Helper()
	for _, s := range r.captured.Streams {
		if s.Name == name {
			return s
		}
	}
	r.t.Fatalf("no stream is called %q", name)
	return nil
}

// replayedStream is the answer to the request of a recorded stream.
type replayedStream struct {
	*stream
	of       *replay
	recorded *capturedStream
	end      context.CancelFunc
}

// listen opens a recorded stream, once all that was published before is delivered, and
// compares the head of the answer.
func (r *replay) listen(name string) *replayedStream {
	r.t.Helper()
	synctest.Wait()
	recorded := r.recordedStream(name)
	r.played[recorded] = true
	ctx, end := context.WithCancel(r.ctx)
	response := r.send(ctx, &recorded.Request)
	want := r.wanted(name, &recorded.Request, recorded.Reply)
	r.compareHead(name, response, &want)
	return &replayedStream{&stream{r.t, response, bufio.NewReader(response.Body)}, r, recorded, end}
}

// expect wants the messages that are recorded, and the end where the server made it.
func (s *replayedStream) expect() {
	s.t.Helper()
	defer s.end()
	if s.response.StatusCode != http.StatusOK {
		return
	}
	for i, recorded := range s.recorded.Messages {
		lines := s.message()
		// Ours has an id for every message that may be the last one of a client
		// (docs/protocol/v5/events.md §4).
		last := lines[len(lines)-1]
		id, hasID := strings.CutPrefix(last, "id:")
		switch {
		case recorded.Event != "":
			if hasID != (recorded.Event == "missed_events") {
				s.t.Errorf("%s, message %d: %q", s.recorded.Name, i, lines)
			}
			if hasID {
				lines = lines[:len(lines)-1]
			}
			if got := strings.Join(lines, "\n") + "\n\n"; got != recorded.Bytes {
				s.t.Errorf("%s, message %d: %q, want %q", s.recorded.Name, i, got, recorded.Bytes)
			}
		case len(lines) != 2 || !hasID:
			s.t.Errorf("%s, message %d: %q", s.recorded.Name, i, lines)
		default:
			s.of.compareEvent(s.recorded.Name, lines[0], recorded.Decoded)
			s.of.sameID(s.recorded.Name, id, recorded.ID)
		}
	}
	if s.recorded.ClosedByServer {
		s.wantEnd()
	}
}

// message returns the next message that official servers send, too: they tell nobody of
// the certificates of Shamir recovery (docs/protocol/v5/commands.md §10.1, Improve).
func (s *replayedStream) message() []string {
	s.t.Helper()
	for {
		lines := s.stream.message()
		data, _ := strings.CutPrefix(lines[0], "data:")
		told, err := base64.StdEncoding.DecodeString(data)
		if err != nil || !strings.Contains(string(told), "SHAMIR_RECOVERY_CERTIFICATE") {
			return lines
		}
	}
}

func (r *replay) compareEvent(name, line string, recorded recordedValue) {
	r.t.Helper()
	data, _ := strings.CutPrefix(line, "data:")
	message, err := base64.StdEncoding.DecodeString(data)
	r.ok(err)
	r.compare(name, message, recorded.fields(r.t))
}

// sameID wants an event to have the id that it had in another stream.
func (r *replay) sameID(name, id, recorded string) {
	r.t.Helper()
	if recorded == "" {
		return
	}
	if known, found := r.ids[recorded]; found && known != id {
		r.t.Errorf("%s: the id of %s is %s, and was %s", name, recorded, id, known)
	}
	r.ids[recorded] = id
}
