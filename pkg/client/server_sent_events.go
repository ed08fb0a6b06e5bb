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

// ServerSentEvent is one message of an event stream.
type ServerSentEvent struct {
	// Name is that of the event, "" for one without.
	Name string
	// ID is what resumes the stream after the event, "" for an event without.
	ID string
	// Data is what its data is the base64 of; nil for an event without data.
	Data []byte
}

// Next waits for the next event. Comments are skipped. io.EOF is a stream that the
// server ended: the caller reconnects.
func (s *ServerSentEvents) Next() (ServerSentEvent, error) {
	var event ServerSentEvent
	begun := false
	// This server has one data line in each event.
	for s.lines.Scan() {
		line := s.lines.Bytes()
		if len(line) == 0 && begun {
			return event, nil
		}
		if len(line) == 0 || line[0] == ':' {
			continue
		}
		begun = true
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "event":
			event.Name = string(value)
		case "id":
			event.ID = string(value)
		case "data":
			data, err := base64.StdEncoding.AppendDecode(nil, value)
			if err != nil {
				return event, fmt.Errorf("%w: event stream: %w", ErrProtocol, err)
			}
			event.Data = data
		default:
			return event, fmt.Errorf("%w: event stream line %q", ErrProtocol, line)
		}
	}
	if err := s.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return event, fmt.Errorf("%w: event stream: %w", ErrProtocol, err)
		}
		return event, err
	}
	return event, io.EOF
}

// Close ends the stream.
func (s *ServerSentEvents) Close() error { return s.body.Close() }
