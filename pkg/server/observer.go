package server

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
)

// Observer is told what the server does. Its methods must not block, and are
// called from many goroutines.
type Observer interface {
	// CommandBegun is called before a command runs, and returns the context that
	// it runs with. Its name is the one of EndedCommand.
	CommandBegun(ctx context.Context, name string) context.Context
	// CommandEnded is called with that context.
	CommandEnded(ctx context.Context, ended EndedCommand)
	// RequestRefused is called for each HTTP request that is answered by a status
	// instead of a reply, with what sent it.
	RequestRefused(kind string, status int)
	// HandshakeEnded is called with the result that the client is told, "" for a
	// failure of the server, for which there is none.
	HandshakeEnded(result string)
	// ConnectionBegun is called for each connection that lasts, and what it
	// returns when it ends. The version is the server's, of the client's major.
	ConnectionBegun(transport Transport, kind string, api parsec.APIVersion) (ended func())
}

// EndedCommand is a command that ended. Nothing in it says who its author is.
type EndedCommand struct {
	// Command is nil for a message that is no request.
	Command *rpc.Form
	// Kind and API are of the client.
	Kind    string
	API     parsec.APIVersion
	Outcome Outcome
	// Status is that of an answer.
	Status   rpc.Status
	Duration time.Duration
}

// Name returns the name of the command, or "unknown".
func (e EndedCommand) Name() string {
	if e.Command == nil {
		return "unknown"
	}
	return e.Command.Name
}

// Told returns what the client was told: a status, or the outcome without
// answer.
func (e EndedCommand) Told() string {
	switch e.Outcome {
	case Answered:
		return string(e.Status)
	case Abandoned:
		return "abandoned"
	default:
		return "failed"
	}
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

// Unobserved is the Observer when nobody observes.
type Unobserved struct{}

// CommandBegun implements Observer.
func (Unobserved) CommandBegun(ctx context.Context, _ string) context.Context { return ctx }

// CommandEnded implements Observer.
func (Unobserved) CommandEnded(context.Context, EndedCommand) {}

// RequestRefused implements Observer.
func (Unobserved) RequestRefused(string, int) {}

// HandshakeEnded implements Observer.
func (Unobserved) HandshakeEnded(string) {}

// ConnectionBegun implements Observer.
func (Unobserved) ConnectionBegun(Transport, string, parsec.APIVersion) (ended func()) {
	return func() {}
}
