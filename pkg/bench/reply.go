package bench

import (
	"bytes"

	"parsec-server/pkg/wire"
)

// okStatus comes after the first byte of an ok reply that begins with its
// status, as those of every known server do.
var okStatus = []byte("\xa6status\xa2ok")

// StatusOf returns the status of a reply, false if it has none. It is fast where
// that is ok and first.
func StatusOf(reply []byte) (status string, found bool) {
	if len(reply) > 0 && bytes.HasPrefix(reply[1:], okStatus) {
		return "ok", true
	}
	return wire.LookupString(reply, "status")
}
