package server

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
	"parsec-server/pkg/wire"
)

// caller is who sends commands: a connection after its handshake, or an HTTP
// request after its checks.
type caller struct {
	kind protocol.Kind
	api  parsec.APIVersion
	// session is for WebSocket connections, authenticated or invited.
	session *backend.Session
	// author is for authenticated callers.
	author backend.Author
	// anonymous is for anonymous ones, and invitee for invited ones.
	anonymous backend.Anonymous
	invitee   backend.Invitee
	// administrator is for administration connections.
	administrator backend.Administrator
	logger        *slog.Logger
}

// handler runs one form of a command. Its request is the one that the command
// allocates.
type handler func(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error)

// decoded is a request whose command is known and whose fields are valid.
type decoded struct {
	command *protocol.Command
	request any
}

// decode finds the command of a message and decodes its fields. The request
// aliases the message.
func decode(message []byte, kind protocol.Kind, api parsec.APIVersion) (decoded, *protocol.Refusal) {
	if wire.Scan(message) != nil || !wire.IsMap(message) {
		return decoded{}, protocol.Refuse(protocol.StatusInvalidMessageFormat, "Invalid message format")
	}
	name, _ := wire.LookupString(message, "cmd")
	command, known := protocol.Find(name, api, kind)
	if !known {
		return decoded{}, protocol.Refuse(protocol.StatusUnknownCommand, "Unknown command")
	}
	request := command.NewRequest()
	if err := wire.Unmarshal(message, request); err != nil {
		return decoded{command: command}, refuseBadMessage(err)
	}
	if validator, ok := request.(protocol.Validator); ok {
		if err := validator.Validate(); err != nil {
			return decoded{command: command}, refuseBadMessage(err)
		}
	}
	return decoded{command, request}, nil
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

// run executes a request and encodes its reply, which goes back with putBuffer.
// An error means that there is no reply to send: the connection ends.
func (s *Server) run(ctx context.Context, c *caller, d decoded) (reply *[]byte, err error) {
	start := time.Now()
	defer func() {
		if cause := recover(); cause != nil {
			logPanic(c.logger.With("command", d.command.Name), cause)
			reply, err = nil, errPanic
		}
	}()
	result, err := s.handlers[d.command](ctx, s.backend, c, d.request)
	status := protocol.StatusOK
	var refusal *protocol.Refusal
	switch {
	case errors.As(err, &refusal):
		refusal = protocol.ForClient(d.command, c.api, s.now(), refusal)
		status = refusal.Status
		reply, err = encodeRefusal(refusal)
	case errors.Is(err, errNoEventYet):
		return nil, err
	case err == nil:
		reply, err = encodeReply(result)
	}
	s.logCommand(ctx, c, d.command, status, err, time.Since(start))
	return reply, err
}

var errPanic = errors.New("panic in a command")

// logPanic is for the deferred function that recovered cause.
func logPanic(logger *slog.Logger, cause any) {
	logger.Error("panic", "cause", cause, "stack", string(debug.Stack()))
}

func (s *Server) logCommand(ctx context.Context, c *caller, command *protocol.Command, status protocol.Status, err error, duration time.Duration) {
	switch {
	case err == nil:
		if c.logger.Enabled(ctx, slog.LevelInfo) {
			c.logger.LogAttrs(ctx, slog.LevelInfo, "command",
				slog.String("command", command.Name), slog.String("status", string(status)), slog.Duration("duration", duration))
		}
	case ctx.Err() != nil, isOver(err):
		c.logger.LogAttrs(ctx, slog.LevelDebug, "command abandoned",
			slog.String("command", command.Name), slog.Duration("duration", duration))
	default:
		c.logger.LogAttrs(ctx, slog.LevelError, "command failed",
			slog.String("command", command.Name), slog.Any("error", err), slog.Duration("duration", duration))
	}
}

// encodeReply encodes an ok reply in a pooled buffer.
func encodeReply(result any) (*[]byte, error) {
	return encode(replyCapacity(result), func(buffer []byte) ([]byte, error) { return appendReply(buffer, result) })
}

// replyCapacity is about the length of a reply: what is in it, and room for
// its other fields.
func replyCapacity(result any) int {
	const otherFields = 256
	switch reply := result.(type) {
	case *protocol.BlockReadReply:
		return len(reply.Block) + otherFields
	case *protocol.VlobReadReply:
		return len(reply.Blob) + otherFields
	default:
		return otherFields
	}
}

// encodeRefusal encodes an error reply in a pooled buffer.
func encodeRefusal(refusal *protocol.Refusal) (*[]byte, error) {
	return encode(0, func(buffer []byte) ([]byte, error) { return appendRefusal(buffer, refusal) })
}

func encode(capacity int, appendTo func([]byte) ([]byte, error)) (*[]byte, error) {
	buffer := getBuffer(capacity)
	encoded, err := appendTo(*buffer)
	if err != nil {
		putBuffer(buffer)
		return nil, err
	}
	*buffer = encoded
	return buffer, nil
}

// appendReply encodes an ok reply: its status, then its fields, flat.
func appendReply(buffer []byte, result any) ([]byte, error) {
	head := []wire.Field{{Key: "status", Value: string(protocol.StatusOK)}}
	if told, isEvent := result.(protocol.Event); isEvent {
		head = append(head, wire.Field{Key: "event", Value: told.EventName()})
	}
	return wire.AppendMap(buffer, head, result)
}

// appendRefusal encodes an error reply.
func appendRefusal(buffer []byte, refusal *protocol.Refusal) ([]byte, error) {
	return wire.AppendMap(buffer, []wire.Field{
		{Key: "status", Value: string(refusal.Status)},
		{Key: "reason", Value: refusal.Reason},
	}, refusal.Details)
}
