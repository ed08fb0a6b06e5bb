package server

import (
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

// Observer is told what the server does. Its methods must not block, and are
// called from many goroutines.
type Observer interface {
	// CommandEnded tells how a command ended; the status is that of an answer.
	// The command is nil for a message that is no request.
	CommandEnded(command *protocol.Command, outcome Outcome, status protocol.Status, duration time.Duration)
	// HandshakeEnded tells the result told to the client, "" for a failure of
	// the server, for which there is none.
	HandshakeEnded(result protocol.HandshakeResult)
	// ConnectionBegun is called for each connection that lasts, and what it
	// returns when it ends. The version is the server's, of the client's major.
	ConnectionBegun(transport Transport, kind protocol.Kind, api parsec.APIVersion) (ended func())
}

// Outcome is how a command ended.
type Outcome int

// The outcomes.
const (
	// Answered commands gave the client a status.
	Answered Outcome = iota
	// Abandoned ones were cancelled by their client, or ended with the right
	// of their author to be served.
	Abandoned
	// Failed ones are for the administrator to look at.
	Failed
)

// Transport is how a connection that lasts came.
type Transport string

// The transports.
const (
	WebSocket   Transport = "websocket"
	EventStream Transport = "sse"
)

// unobserved is the Observer when nobody observes.
type unobserved struct{}

func (unobserved) CommandEnded(*protocol.Command, Outcome, protocol.Status, time.Duration) {}

func (unobserved) HandshakeEnded(protocol.HandshakeResult) {}

func (unobserved) ConnectionBegun(Transport, protocol.Kind, parsec.APIVersion) (ended func()) {
	return func() {}
}
