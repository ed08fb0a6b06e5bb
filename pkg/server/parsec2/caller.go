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
	// decode is for the commands of whom the authentication returned.
	decode decoder
	// account is the owner of what an authenticated caller holds, in the budget
	// of users; nil for others.
	account any
	logger  *slog.Logger
}

// serverAPI returns this server's version of the client's major.
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

// Dates implements server.Caller.
func (c *caller) Dates() *wire.Profile { return wire.Seconds }

// Logger implements server.Caller.
func (c *caller) Logger() *slog.Logger { return c.logger }

// IsOver implements server.Caller.
func (c *caller) IsOver(err error) bool {
	_, denied := errors.AsType[rules.Denial](err)
	return denied || errors.Is(err, rules.ErrSessionOver)
}

// Told implements server.Caller: older clients do not know every status.
func (c *caller) Told(form *rpc.Form, now parsec.DateTime, refusal *protocol.Refusal) *protocol.Refusal {
	return protocol.ForClient(form, c.client(), now, refusal)
}

// decoder finds the command of a message that an API major has, and decodes its
// fields. The task aliases the message.
type decoder func(message []byte, major uint32) server.Task

// decoderOf returns the decoder for a caller of the commands in table.
func decoderOf[Caller any](table rpc.Table[Caller], caller Caller) decoder {
	return func(message []byte, major uint32) server.Task {
		if wire.Scan(message) != nil || !wire.IsMap(message) {
			return server.Task{Err: protocol.Refuse(protocol.StatusInvalidMessageFormat, "Invalid message format")}
		}
		name, _ := wire.LookupString(message, "cmd")
		entry, known := table.Find(name, major)
		if !known {
			return server.Task{Err: protocol.Refuse(protocol.StatusUnknownCommand, "Unknown command")}
		}
		call, err := entry.Decode(message, caller)
		if err != nil {
			return server.Task{Form: entry.Form, Err: refuseBadMessage(err)}
		}
		return server.Task{Form: entry.Form, Call: call}
	}
}

// decoderOfClaimer returns the decoder for a claimer.
func decoderOfClaimer(tables tables, claimer *rules.Invitee) decoder {
	decode := decoderOf(tables.invitees, claimer)
	return func(message []byte, major uint32) server.Task {
		t := decode(message, major)
		if !claimer.MaySend(t.Form) {
			t.Call, t.Err = nil, rules.DeletedInvitation
		}
		return t
	}
}

func refuseBadMessage(err error) *protocol.Refusal {
	refusal := protocol.Refuse(protocol.StatusBadMessage, "Invalid message.")
	var fields *wire.FieldError
	if errors.As(err, &fields) {
		refusal.Details = &struct {
			Errors map[string]any `wire:"errors"`
		}{fields.Errors()}
	} else {
		refusal.Reason = err.Error()
	}
	return refusal
}

// encodeEvent encodes an event in a pooled buffer: its status, its name, then its
// fields, flat.
func encodeEvent(told protocol.Event) (*[]byte, error) {
	return server.Encode(wire.Seconds, server.OtherFields, []wire.Field{server.StatusOK, {Key: "event", Value: told.EventName()}}, told)
}
