package bench

import (
	"context"
	"errors"
	"strconv"

	"github.com/coder/websocket"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec2/protocol"
)

// goingAway names what a connection ends with when its server stops in order:
// nothing under way is lost, and clients connect again.
const goingAway = "going away"

// nameOf returns the name under which an error is counted.
func nameOf(err error) string {
	if refusal, ok := errors.AsType[*protocol.Refusal](err); ok {
		return string(refusal.Status)
	}
	if refused, ok := errors.AsType[*parsec2.HandshakeError](err); ok {
		return "handshake " + refused.Result
	}
	if answer, ok := errors.AsType[*client.HTTPError](err); ok {
		return "HTTP " + strconv.Itoa(answer.Status)
	}
	switch {
	case websocket.CloseStatus(err) == websocket.StatusGoingAway:
		return goingAway
	case errors.Is(err, client.ErrProtocol):
		return "protocol broken"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	default:
		return "connection lost"
	}
}
