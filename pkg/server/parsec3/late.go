package parsec3

import (
	"context"
	"errors"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/sleep"
)

// How much later than the last certificate clients date what they sign again
// (docs/protocol/v5/commands.md §5).
const (
	commonStep = 500 * time.Millisecond
	realmStep  = 250 * time.Millisecond
)

// maxLate bounds how long a refusal is held back.
const maxLate = 2 * time.Second

// late has a rule whose certificate is refused because of its date answer only once
// a client that signs again will date by its own clock: had it been told at once, it
// would date a step ahead of the topic, and with several such clients the topic would
// outrun the clock. What is refused for another reason, or accepted, is not held back.
func late[Caller, Request, Reply any](step time.Duration, now func() parsec.DateTime, rule func(context.Context, Caller, *Request) (*Reply, error)) func(context.Context, Caller, *Request) (*Reply, error) {
	return func(ctx context.Context, caller Caller, request *Request) (*Reply, error) {
		reply, err := rule(ctx, caller, request)
		refusal, refused := errors.AsType[*protocol.Refusal](err)
		if !refused || refusal.Status != protocol.StatusRequireGreaterTimestamp {
			return reply, err
		}
		last := refusal.Details.(*protocol.RequireGreaterTimestampDetails).StrictlyGreaterThan
		if ended := sleep.For(ctx, min(last.Add(step).Sub(now()), maxLate)); ended != nil {
			return nil, ended
		}
		return reply, err
	}
}
