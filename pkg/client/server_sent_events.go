package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// maxStreamLine bounds a line of the event stream. Events are a few hundred
// bytes.
const maxStreamLine = 64 << 10

// ServerSentEvents is the event stream of HTTP (docs/protocol/events.md §5).
// One goroutine may use it.
type ServerSentEvents struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// ServerSentEvents opens the event stream of an authenticated caller; every
// event committed after its return is in it. A status other than 200 is an
// *HTTPError. The stream ends when ctx does.
func (r *RPC) ServerSentEvents(ctx context.Context) (*ServerSentEvents, error) {
	const streamType = "text/event-stream"
	response, err := r.do(ctx, http.MethodGet, r.route+"/events", nil, http.Header{"Accept": {streamType}})
	if err != nil {
		return nil, err
	}
	if found := response.Header.Get("Content-Type"); found != streamType {
		response.Body.Close()
		return nil, fmt.Errorf("%w: event stream of type %q", ErrProtocol, found)
	}
	return newServerSentEvents(response.Body), nil
}

func newServerSentEvents(body io.ReadCloser) *ServerSentEvents {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxStreamLine)
	return &ServerSentEvents{body: body, lines: lines}
}

// Next waits for the next event. io.EOF is a stream that the server ended: the
// caller reconnects and resynchronises.
func (s *ServerSentEvents) Next() (protocol.Event, error) {
	// This server has one data line in each event.
	for s.lines.Scan() {
		line := s.lines.Bytes()
		if len(line) == 0 || line[0] == ':' {
			continue // end of an event, or keepalive
		}
		data, found := bytes.CutPrefix(line, []byte("data:"))
		if !found {
			return nil, fmt.Errorf("%w: event stream line %q", ErrProtocol, line)
		}
		message, err := base64.StdEncoding.AppendDecode(nil, data)
		if err != nil {
			return nil, fmt.Errorf("%w: event stream: %w", ErrProtocol, err)
		}
		if err := checkReply(message); err != nil {
			return nil, fmt.Errorf("%w: event stream: %w", ErrProtocol, err)
		}
		return decodeEvent(message)
	}
	if err := s.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fmt.Errorf("%w: event stream: %w", ErrProtocol, err)
		}
		return nil, err
	}
	return nil, io.EOF
}

// Close ends the stream.
func (s *ServerSentEvents) Close() error { return s.body.Close() }

// decodeEvent reads an ok reply of events_listen. An event that the client
// does not know breaks the protocol: servers keep them from older clients
// (docs/protocol/events.md §2).
func decodeEvent(reply []byte) (protocol.Event, error) {
	name, found := wire.LookupString(reply, "event")
	if !found {
		return nil, fmt.Errorf("%w: event without name", ErrProtocol)
	}
	event := protocol.NewEvent(name)
	if event == nil {
		return nil, fmt.Errorf("%w: unknown event %q", ErrProtocol, name)
	}
	if err := wire.Unmarshal(reply, event); err != nil {
		return nil, fmt.Errorf("%w: event %s: %w", ErrProtocol, name, err)
	}
	return event, nil
}
