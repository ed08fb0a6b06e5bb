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

// client is what is known of the client's understanding.
func (c *caller) client() protocol.Client {
	if c.overHTTP {
		return protocol.Client{API: c.serverAPI(), Release: c.release}
	}
	return protocol.Client{API: c.api, Release: c.release}
}

// task is one message on its way to its answer.
type task struct {
	// form is nil for a message that names no command.
	form *rpc.Form
	// call is nil if there is an err.
	call rpc.Call
	// err is why no rule is called: a refusal, or else the caller may not be
	// served any more.
	err error
}

// answerer finds what a caller asks for.
type answerer interface {
	// decode finds the command of a message that an API major has, and decodes
	// its fields. The task aliases the message.
	decode(message []byte, major uint32) task
}

// callerOf is a caller with the commands of its type.
type callerOf[Caller any] struct {
	table  rpc.Table[Caller]
	caller Caller
}

func (c callerOf[Caller]) decode(message []byte, major uint32) task {
	if wire.Scan(message) != nil || !wire.IsMap(message) {
		return task{err: protocol.Refuse(protocol.StatusInvalidMessageFormat, "Invalid message format")}
	}
	name, _ := wire.LookupString(message, "cmd")
	entry, known := c.table.Find(name, major)
	if !known {
		return task{err: protocol.Refuse(protocol.StatusUnknownCommand, "Unknown command")}
	}
	call, err := entry.Decode(message, c.caller)
	if err != nil {
		return task{form: entry.Form, err: refuseBadMessage(err)}
	}
	return task{form: entry.Form, call: call}
}

// claimer is an invited caller.
type claimer struct{ callerOf[*rules.Invitee] }

func (c claimer) decode(message []byte, major uint32) task {
	t := c.callerOf.decode(message, major)
	if !c.caller.MaySend(t.form) {
		t.call, t.err = nil, rules.DeletedInvitation
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

// run has a rule answer, unless there is an error already, and encodes the
// reply, which goes back with putBuffer. An error means that there is no reply
// to send: the connection ends. Every command of every transport passes here.
func (s *Server) run(ctx context.Context, c *caller, t task) (reply *[]byte, err error) {
	start := time.Now()
	ctx = s.options.Observer.CommandBegun(ctx, EndedCommand{Command: t.form}.Name())
	status := protocol.StatusOK
	defer func() {
		if !errors.Is(err, errNoEventYet) {
			s.tell(ctx, c, t.form, status, err, time.Since(start))
		}
	}()
	defer func() {
		if cause := recover(); cause != nil {
			reply, err = nil, &panicError{cause, string(debug.Stack())}
		}
	}()
	var result any
	if err = t.err; err == nil {
		result, err = t.call.Run(ctx)
	}
	if refusal, refused := errors.AsType[*protocol.Refusal](err); refused {
		refusal = protocol.ForClient(t.form, c.client(), s.now(), refusal)
		status = refusal.Status
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
	s.options.Observer.CommandEnded(ctx, ended)
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
	if reply, isSized := result.(rpc.Sized); isSized {
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
	return wire.AppendMap(buffer, []wire.Field{statusOK}, result)
}

// appendEvent encodes an event: its status, its name, then its fields, flat.
func appendEvent(buffer []byte, told protocol.Event) ([]byte, error) {
	return wire.AppendMap(buffer, []wire.Field{statusOK, {Key: "event", Value: told.EventName()}}, told)
}

// appendRefusal encodes an error reply.
func appendRefusal(buffer []byte, refusal *protocol.Refusal) ([]byte, error) {
	return wire.AppendMap(buffer, []wire.Field{
		{Key: "status", Value: string(refusal.Status)},
		{Key: "reason", Value: refusal.Reason},
	}, refusal.Details)
}
