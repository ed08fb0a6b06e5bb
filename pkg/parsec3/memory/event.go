package memory

import (
	"bytes"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec3/notice"
)

// ownEvent copies what the body of e shares with its producer.
func ownEvent(e event.Event) event.Event {
	if body, ok := e.Body.(notice.Vlob); ok {
		body.Blob = bytes.Clone(body.Blob)
		e.Body = body
	}
	return e
}
