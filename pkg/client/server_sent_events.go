package client

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// MaxStreamLine bounds a line of an event stream, in bytes. Events have a few
// hundred.
const MaxStreamLine = 64 << 10

// ServerSentEvents is the event stream of HTTP (docs/protocol/events.md §5).
// One goroutine may use it.
type ServerSentEvents struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// NewServerSentEvents returns the event stream that body is.
func NewServerSentEvents(body io.ReadCloser) *ServerSentEvents {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, MaxStreamLine)
	return &ServerSentEvents{body: body, lines: lines}
}

// Next waits for the next event and returns its message. io.EOF is a stream that
// the server ended: the caller reconnects and resynchronises.
func (s *ServerSentEvents) Next() ([]byte, error) {
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
		return message, nil
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
