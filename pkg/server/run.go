package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// Caller is who sends commands, as the authentication of a wing found out.
type Caller interface {
	// Kind names what the caller is, and API is the version that it announced.
	Kind() string
	API() parsec.APIVersion
	// Dates is how messages to the caller write dates.
	Dates() *wire.Profile
	// Logger is that of the server, and knows who calls.
	Logger() *slog.Logger
	// Told returns what the caller must be told, at the instant now, instead of
	// refusal.
	Told(form *rpc.Form, now parsec.DateTime, refusal *rpc.Refusal) *rpc.Refusal
	// IsOver reports whether an error says that the caller may not be served any
	// more, and that there is no status for it.
	IsOver(err error) bool
}

// Task is one message on its way to its answer.
type Task struct {
	// Form is nil for a message that names no command.
	Form *rpc.Form
	// Call is nil if there is an Err.
	Call rpc.Call
	// Err is why no rule is called: a refusal, or else the caller may not be
	// served any more.
	Err error
}

// ErrNotYet is the error of a call that must run again later. Nobody is told.
var ErrNotYet = errors.New("no answer yet")

// Reply is what is sent in answer to a message.
type Reply struct {
	// Encoded goes back with PutBuffer. It is nil for a long reply.
	Encoded *[]byte
	// Long is nil for a reply that is held whole.
	Long *LongReply
}

// LongReply is a reply that is made while it is sent. A rule returns it where the
// transport of its commands can send one.
type LongReply struct {
	// Length is the number of bytes that Write writes.
	Length int64
	// Write may fail when a part of the reply is sent: the peer must notice then.
	Write func(ctx context.Context, to io.Writer) error
}

// Run has a rule answer, unless there is an error already, and encodes the
// reply. An error means that there is no reply to send: the connection ends.
// Every command of every transport passes here.
func (s *Server) Run(ctx context.Context, c Caller, t Task) (reply Reply, err error) {
	start := time.Now()
	ctx = s.options.Observer.CommandBegun(ctx, EndedCommand{Command: t.Form}.Name())
	status := rpc.StatusOK
	defer func() {
		if !errors.Is(err, ErrNotYet) {
			s.tell(ctx, c, t.Form, status, err, time.Since(start))
		}
	}()
	defer func() {
		if cause := recover(); cause != nil {
			reply, err = Reply{}, &panicError{cause, string(debug.Stack())}
		}
	}()
	var result any
	if err = t.Err; err == nil {
		result, err = t.Call.Run(ctx)
	}
	if refusal, refused := errors.AsType[*rpc.Refusal](err); refused {
		refusal = c.Told(t.Form, s.now(), refusal)
		status = refusal.Status
		head := []wire.Field{{Key: "status", Value: string(refusal.Status)}, {Key: "reason", Value: refusal.Reason}}
		if refusal.Reason == "" {
			head = head[:1]
		}
		reply.Encoded, err = Encode(c.Dates(), 0, head, refusal.Details)
		return reply, err
	}
	if err != nil {
		return Reply{}, err
	}
	if long, isLong := result.(*LongReply); isLong {
		return Reply{Long: long}, nil
	}
	reply.Encoded, err = encodeReply(c.Dates(), result)
	return reply, err
}

// panicError is a panic that was kept from ending the process.
type panicError struct {
	cause any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.cause) }

// OutcomeOf returns how a command of the caller ended.
func OutcomeOf(ctx context.Context, c Caller, err error) Outcome {
	switch {
	case err == nil:
		return Answered
	case errors.Is(ctx.Err(), context.Canceled), c.IsOver(err): // a deadline is the server's
		return Abandoned
	default:
		return Failed
	}
}

// level returns the level of the line about the outcome. What a client did
// wrong is an answer, no error.
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
func (s *Server) tell(ctx context.Context, c Caller, command *rpc.Form, status rpc.Status, err error, duration time.Duration) {
	outcome := OutcomeOf(ctx, c, err)
	ended := EndedCommand{Command: command, Kind: c.Kind(), API: c.API(), Outcome: outcome, Status: status, Duration: duration}
	s.options.Observer.CommandEnded(ctx, ended)
	if !s.logger.Enabled(ctx, outcome.level()) {
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
		if panicked, ok := errors.AsType[*panicError](err); ok {
			attributes = append(attributes, slog.String("stack", panicked.stack))
		}
		s.LogFailure(ctx, c.Logger(), "command failed", err, attributes...)
		return
	}
	c.Logger().LogAttrs(ctx, outcome.level(), message, attributes...)
}

// OtherFields is room, in bytes, for what a reply has beside what is long in it.
const OtherFields = 256

// StatusOK is what each ok reply begins with.
var StatusOK = wire.Field{Key: "status", Value: string(rpc.StatusOK)}

// encodeReply encodes an ok reply in a pooled buffer that it fits in: its status,
// then its fields, flat. A rule may have done so by Encode.
func encodeReply(dates *wire.Profile, result any) (*[]byte, error) {
	if encoded, done := result.(*[]byte); done {
		return encoded, nil
	}
	capacity := OtherFields
	if reply, isSized := result.(rpc.Sized); isSized {
		capacity += reply.Size()
	}
	return Encode(dates, capacity, []wire.Field{StatusOK}, result)
}

// Encode returns a pooled buffer, of at least capacity, with a map of head and of
// the fields of a struct; nil has none.
func Encode(dates *wire.Profile, capacity int, head []wire.Field, fields any) (*[]byte, error) {
	buffer := getBuffer(capacity)
	encoded, err := dates.AppendMap(*buffer, head, fields)
	if err != nil {
		PutBuffer(buffer)
		return nil, err
	}
	*buffer = encoded
	return buffer, nil
}

// EncodeBlock returns a reply that ends with a block, which read has read to where it is
// in the reply. It calls room once, with the size of the block in bytes and what comes
// before it; the buffer is of the pool.
func EncodeBlock(dates *wire.Profile, read func(room func(size uint64, head ...wire.Field) ([]byte, error)) error) (*[]byte, error) {
	var reply *[]byte
	err := read(func(size uint64, head ...wire.Field) (block []byte, err error) {
		fields := slices.Concat([]wire.Field{StatusOK}, head, []wire.Field{{Key: "block", Value: wire.Room(size)}})
		if reply, err = Encode(dates, int(size)+OtherFields, fields, nil); err != nil {
			return nil, err
		}
		return (*reply)[len(*reply)-int(size):], nil
	})
	if err != nil && reply != nil {
		PutBuffer(reply)
		return nil, err
	}
	return reply, err
}
