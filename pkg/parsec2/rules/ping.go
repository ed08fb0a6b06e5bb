package rules

import (
	"context"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

const (
	// toldPings of a user may be told to others at once, then one more each
	// pingInterval: they mean nothing, and each is told to the whole
	// organization.
	toldPings    = 20
	pingInterval = time.Second
	// maxPingers bounds the users that are told apart.
	maxPingers = 4096
)

// pinger is who sends pings.
type pinger struct {
	organization parsec.OrganizationID
	user         parsec.UserID
}

// Ping echoes the text and tells the other devices of the organization, unless
// no client could read it or its user has sent too many: who pings is answered
// alike (docs/protocol/commands.md §3).
func (r *Rules) Ping(ctx context.Context, author *Author, request *protocol.PingRequest) (*protocol.PingReply, error) {
	reply := &protocol.PingReply{Pong: request.Ping}
	pinged := notice.Pinged{Ping: request.Ping}
	if pinged.Kind().Told(author.API, pinged) == nil || r.pings.Take(pinger{author.Organization, author.User()}) > 0 {
		return reply, nil
	}
	err := r.store.Publish(ctx, event.Event{Organization: author.Organization, Author: author.Device, Body: pinged})
	return reply, err
}
