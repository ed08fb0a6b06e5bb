package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
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
	// overHTTP tells that the announced minor means nothing.
	overHTTP bool
	// session is for WebSocket connections, but administration.
	session *rules.Session
	// author is for authenticated callers, and account, nil until it is needed,
	// their owner in the budget of users.
	author  rules.Author
	account any
	// anonymous is for anonymous ones, and invitee for invited ones.
	anonymous rules.Anonymous
	invitee   rules.Invitee
	// administrator is for administration connections.
	administrator rules.Administrator
	logger        *slog.Logger
}

// serverAPI is this server's version of the client's major.
func (c *caller) serverAPI() parsec.APIVersion {
	version, _ := parsec.Negotiate(c.api) // an unknown one is refused
	return version
}

// client is what is known of the client's understanding.
func (c *caller) client() protocol.Client {
	if c.overHTTP {
		return protocol.Client{API: c.serverAPI(), Release: c.release}
	}
	return protocol.Client{API: c.api, Release: c.release}
}

// handler runs one form of a command. Its request is the one that the command
// allocates.
type handler func(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error)

// decoded is a request whose command is known and whose fields are valid.
type decoded struct {
	command *rpc.Form
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

// run executes a request, unless decode refused it, and encodes its reply,
// which goes back with putBuffer. An error means that there is no reply to
// send: the connection ends. Every command of every transport passes here.
func (s *Server) run(ctx context.Context, c *caller, d decoded, refusal *protocol.Refusal) (reply *[]byte, err error) {
	start := time.Now()
	defer func() {
		if errors.Is(err, errNoEventYet) {
			return
		}
		status := protocol.StatusOK
		if refusal != nil {
			status = refusal.Status
		}
		s.tell(ctx, c, d.command, status, err, time.Since(start))
	}()
	defer func() {
		if cause := recover(); cause != nil {
			reply, err = nil, &panicError{cause, string(debug.Stack())}
		}
	}()
	if !c.invitee.MaySend(d.command) {
		return nil, rules.DeletedInvitation
	}
	if refusal != nil {
		return encodeRefusal(refusal)
	}
	result, err := s.handlers[d.command](ctx, s.rules, c, d.request)
	if errors.As(err, &refusal) {
		refusal = protocol.ForClient(d.command, c.client(), s.now(), refusal)
		return encodeRefusal(refusal)
	}
	if err != nil {
		return nil, err
	}
	return encodeReply(result)
}

// panicError is a panic that was kept from ending the process.
type panicError struct {
	cause any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.cause) }

// logPanic is for the deferred function that recovered cause.
func logPanic(logger *slog.Logger, cause any) {
	logger.Error("panic", "cause", cause, "stack", string(debug.Stack()))
}

// outcomeOf tells how a command ended.
func outcomeOf(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Answered
	case ctx.Err() != nil, isOver(err):
		return Abandoned
	default:
		return Failed
	}
}

// level is that of the line that tells the outcome. What a client did wrong is
// an answer, no error.
func (o Outcome) level() slog.Level {
	switch o {
	case Answered:
		return slog.LevelInfo
	case Abandoned:
		return slog.LevelDebug
	default:
		return slog.LevelError
	}
}

// tell logs and counts a command. The logger of the caller knows who called.
func (s *Server) tell(ctx context.Context, c *caller, command *rpc.Form, status protocol.Status, err error, duration time.Duration) {
	outcome := outcomeOf(ctx, err)
	ended := EndedCommand{Command: command, Kind: c.kind, API: c.api, Outcome: outcome, Status: status, Duration: duration}
	s.options.Observer.CommandEnded(ended)
	if !c.logger.Enabled(ctx, outcome.level()) {
		return
	}
	message, attributes := "command", make([]slog.Attr, 0, 4)
	attributes = append(attributes, slog.String("command", ended.Name()), slog.Duration("duration", duration))
	switch outcome {
	case Answered:
		attributes = append(attributes, slog.String("status", string(status)))
	case Abandoned:
		message = "command abandoned"
	default:
		message = "command failed"
		attributes = append(attributes, slog.Any("error", err))
		if panicked, ok := errors.AsType[*panicError](err); ok {
			attributes = append(attributes, slog.String("stack", panicked.stack))
		}
	}
	c.logger.LogAttrs(ctx, outcome.level(), message, attributes...)
}

// encodeReply encodes an ok reply in a pooled buffer.
func encodeReply(result any) (*[]byte, error) {
	if reply, done := result.(encodedReply); done {
		return reply, nil
	}
	return encode(replyCapacity(result), func(buffer []byte) ([]byte, error) { return appendReply(buffer, result) })
}

// otherFields is room, in bytes, for what a reply has beside what is long in it.
const otherFields = 256

// replyCapacity is at least the length of a reply that may be long, and so of
// the only buffer that it needs.
func replyCapacity(result any) int {
	if reply, isSized := result.(protocol.Sized); isSized {
		return reply.Size() + otherFields
	}
	return otherFields
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

// statusOK is what each ok reply begins with.
var statusOK = wire.Field{Key: "status", Value: string(protocol.StatusOK)}

// appendReply encodes an ok reply: its status, then its fields, flat.
func appendReply(buffer []byte, result any) ([]byte, error) {
	head := []wire.Field{statusOK}
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
