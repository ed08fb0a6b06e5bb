package parsec3

import (
	"errors"
	"log/slog"
	"net/netip"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// caller is who sends a request.
type caller struct {
	kind protocol.Kind
	// api is the version that the client announced.
	api parsec.APIVersion
	// address is the client's.
	address netip.Addr
	// organization, device and method, which is that of an account, are zero until they
	// are known.
	organization parsec.OrganizationID
	device       parsec3.DeviceID
	method       parsec3.AuthMethodID
	// server is the logger of the server, and logger that of the caller, once it was
	// asked for: few requests have anything to say, and to name the caller costs more
	// than a command.
	server, logger *slog.Logger
}

// Kind implements server.Caller.
func (c *caller) Kind() string { return c.kind.String() }

// API implements server.Caller.
func (c *caller) API() parsec.APIVersion { return c.api }

// Dates implements server.Caller.
func (c *caller) Dates() *wire.Profile { return wire.Microseconds }

// Logger implements server.Caller.
func (c *caller) Logger() *slog.Logger {
	if c.logger != nil {
		return c.logger
	}
	who := []any{"api", c.api.String(), "address", c.address.String(), "transport", "http", "kind", c.kind.String()}
	if c.organization != (parsec.OrganizationID{}) {
		who = append(who, "organization", c.organization.String())
	}
	if c.device != (parsec3.DeviceID{}) {
		who = append(who, "device", c.device.String())
	}
	if c.method != (parsec3.AuthMethodID{}) {
		who = append(who, "method", c.method.String())
	}
	c.logger = c.server.With(who...)
	return c.logger
}

// is says who the caller is, as far as it is known now.
func (c *caller) is(organization parsec.OrganizationID, device parsec3.DeviceID) {
	c.organization, c.device, c.logger = organization, device, nil
}

// IsOver implements server.Caller.
func (c *caller) IsOver(err error) bool {
	_, aborted := errors.AsType[rules.Abort](err)
	return aborted || errors.Is(err, rules.ErrOldClient)
}

// Told implements server.Caller: older clients do not know every status.
func (c *caller) Told(_ *rpc.Form, _ parsec.DateTime, refusal *protocol.Refusal) *protocol.Refusal {
	return protocol.ForClient(c.api, refusal)
}

// decoder finds the command of a message, and decodes its fields. The task aliases
// the message, and has an Err for one that is no valid request of the family.
type decoder func(message []byte) server.Task

// decoderOf returns the decoder for a caller of the commands in table.
func decoderOf[Caller any](table rpc.Table[Caller], caller Caller) decoder {
	return func(message []byte) server.Task {
		if err := wire.Microseconds.Scan(message); err != nil {
			return server.Task{Err: err}
		}
		name, _ := wire.Microseconds.LookupString(message, "cmd")
		entry, known := table.Find(name, apiVersion.Major)
		if !known {
			return server.Task{Err: errUnknownCommand}
		}
		call, err := entry.Decode(message, caller)
		return server.Task{Form: entry.Form, Call: call, Err: err}
	}
}

var errUnknownCommand = errors.New("no command of the family")
