package parsec2

import (
	"errors"
	"log/slog"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// caller is who sends commands: a connection after its handshake, or an HTTP
// request after its checks.
type caller struct {
	kind protocol.Kind
	// api is the version that the client announced.
	api parsec.APIVersion
	// release is the one that it named.
	release protocol.Release
	// overHTTP is true where the announced minor means nothing.
	overHTTP bool
	// commands are those of whom the authentication returned.
	commands answerer
	// account is the owner of what an authenticated caller holds, in the budget
	// of users; nil for others.
	account any
	logger  *slog.Logger
}

// serverAPI is this server's version of the client's major.
func (c *caller) serverAPI() parsec.APIVersion {
	version, _ := parsec.Negotiate(c.api) // an unknown one is refused
	return version
}

// client returns what is known of the client's understanding.
func (c *caller) client() protocol.Client {
	if c.overHTTP {
		return protocol.Client{API: c.serverAPI(), Release: c.release}
	}
	return protocol.Client{API: c.api, Release: c.release}
}

// Kind implements server.Caller.
func (c *caller) Kind() string { return c.kind.String() }

// API implements server.Caller.
func (c *caller) API() parsec.APIVersion { return c.api }

// Logger implements server.Caller.
func (c *caller) Logger() *slog.Logger { return c.logger }

// IsOver implements server.Caller.
func (c *caller) IsOver(err error) bool { return isOver(err) }

// Told implements server.Caller: older clients do not know every status.
func (c *caller) Told(form *rpc.Form, now parsec.DateTime, refusal *protocol.Refusal) *protocol.Refusal {
	return protocol.ForClient(form, c.client(), now, refusal)
}

// answerer finds what a caller asks for.
type answerer interface {
	// decode finds the command of a message that an API major has, and decodes
	// its fields. The task aliases the message.
	decode(message []byte, major uint32) server.Task
}

// callerOf is a caller with the commands of its type.
type callerOf[Caller any] struct {
	table  rpc.Table[Caller]
	caller Caller
}

func (c callerOf[Caller]) decode(message []byte, major uint32) server.Task {
	if wire.Scan(message) != nil || !wire.IsMap(message) {
		return server.Task{Err: protocol.Refuse(protocol.StatusInvalidMessageFormat, "Invalid message format")}
	}
	name, _ := wire.LookupString(message, "cmd")
	entry, known := c.table.Find(name, major)
	if !known {
		return server.Task{Err: protocol.Refuse(protocol.StatusUnknownCommand, "Unknown command")}
	}
	call, err := entry.Decode(message, c.caller)
	if err != nil {
		return server.Task{Form: entry.Form, Err: refuseBadMessage(err)}
	}
	return server.Task{Form: entry.Form, Call: call}
}

// claimer is an invited caller.
type claimer struct{ callerOf[*rules.Invitee] }

func (c claimer) decode(message []byte, major uint32) server.Task {
	t := c.callerOf.decode(message, major)
	if !c.caller.MaySend(t.Form) {
		t.Call, t.Err = nil, rules.DeletedInvitation
	}
	return t
}

// badMessageDetails are the errors of each field.
type badMessageDetails struct {
	Errors map[string]any `wire:"errors"`
}

func refuseBadMessage(err error) *protocol.Refusal {
	refusal := protocol.Refuse(protocol.StatusBadMessage, "Invalid message.")
	var fields *wire.FieldError
	if errors.As(err, &fields) {
		refusal.Details = &badMessageDetails{Errors: fields.Errors()}
	} else {
		refusal.Reason = err.Error()
	}
	return refusal
}

// appendEvent encodes an event: its status, its name, then its fields, flat.
func appendEvent(buffer []byte, told protocol.Event) ([]byte, error) {
	return wire.AppendMap(buffer, []wire.Field{server.StatusOK, {Key: "event", Value: told.EventName()}}, told)
}
