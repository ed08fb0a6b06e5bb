package server

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

// StreamMessage is one message of event streams, as a chunk of HTTP/1.1. It is made
// once for all streams that tell it: nobody changes it.
type StreamMessage []byte

// NewStreamMessage returns the message with a text.
func NewStreamMessage(text string) StreamMessage {
	return append(append(beginChunk(len(text)), text...), '\r', '\n')
}

// beginChunk returns the head of a chunk of length bytes, with room for the rest of
// it.
func beginChunk(length int) StreamMessage {
	const most = 16 + 2 + 2 // the length in hexadecimal, and two ends of lines
	return append(strconv.AppendUint(make([]byte, 0, length+most), uint64(length), 16), '\r', '\n')
}

// text returns the message without what makes it a chunk.
func (m StreamMessage) text() []byte {
	head := bytes.IndexByte(m, '\n') + 1
	return m[head : len(m)-2]
}

// StreamedEvent is what a message tells.
type StreamedEvent struct {
	// Reply is what the event tells, nil for nothing.
	Reply []byte
	// Name is that of the event, and ID what the client sends to resume after it, ""
	// for none.
	Name, ID string
}

// Message returns the message that tells the event.
func (e StreamedEvent) Message() StreamMessage {
	const name, data, id = "event:", "data:", "\nid:"
	length := len(data) + base64.StdEncoding.EncodedLen(len(e.Reply)) + 2
	if e.Name != "" {
		length += len(name) + len(e.Name) + 1
	}
	if e.ID != "" {
		length += len(id) + len(e.ID)
	}
	m := beginChunk(length)
	if e.Name != "" {
		m = append(append(append(m, name...), e.Name...), '\n')
	}
	m = base64.StdEncoding.AppendEncode(append(m, data...), e.Reply)
	if e.ID != "" {
		m = append(append(m, id...), e.ID...)
	}
	return append(m, "\n\n\r\n"...)
}
