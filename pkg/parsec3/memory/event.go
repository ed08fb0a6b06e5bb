package memory

import (
	"bytes"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec3/notice"
)

// ownEvent copies what the body of e shares with its producer.
func ownEvent(e event.Event) event.Event {
	switch body := e.Body.(type) {
	case notice.Vlob:
		body.Blob = bytes.Clone(body.Blob)
		e.Body = body
	case notice.ShamirCertificate:
		body.Users = slices.Clone(body.Users)
		e.Body = body
	case notice.GreetingStepSaid:
		body.Said = bytes.Clone(body.Said)
		e.Body = body
	case notice.Invitation:
		body.Greeters = slices.Clone(body.Greeters)
		e.Body = body
	}
	return e
}
