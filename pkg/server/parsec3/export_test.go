package parsec3

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
)

// What tests of this package see of it.
var (
	ParseDeviceToken     = parseDeviceToken
	ParseInvitationToken = parseInvitationToken
	ParseAccountToken    = parseAccountToken
)

// CommandOf finds the command of openings that a message begins with.
func CommandOf(opening string) (*rpc.Form, bool) { return commandOf(opening) }

// OpeningBytes is the most that is read of a message to find its command.
const OpeningBytes = openingBytes

// RequestLimit is how long a command may take.
const RequestLimit = requestLimit

// ReplyLong answers a request by a long reply.
func ReplyLong(w http.ResponseWriter, r *http.Request, reply *server.LongReply) error {
	call := &httpCall{w: w, r: r, caller: caller{logger: slog.New(slog.DiscardHandler)}}
	return call.replyLong(reply)
}

// Late is late for a rule without request and reply.
func Late(step time.Duration, now func() parsec.DateTime, rule func() error) func(context.Context) error {
	bound := late(step, now, func(context.Context, struct{}, *struct{}) (*struct{}, error) { return nil, rule() })
	return func(ctx context.Context) error {
		_, err := bound(ctx, struct{}{}, nil)
		return err
	}
}
