package parsec3

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// keepAliveEvent is what clients know a living stream by
// (docs/protocol/v5/transport.md §6).
const keepAliveEvent = "event:keepalive\ndata:\n\n"

// missedEvents is the event of a gap.
const missedEvents = "missed_events"

// events streams the events of a device until its session is over, its client is
// gone or slow, or the server ends.
func (w *Wing) events(answer http.ResponseWriter, r *http.Request) {
	w.serve(answer, r, protocol.Authenticated, func(call *httpCall) error {
		if w.server.IsDraining() { // whoever asks again must go elsewhere
			return server.ErrNoRoom
		}
		author, err := call.authenticate((*httpCall).checkAccept, math.MaxInt64, w.rules.Admit)
		if err == nil {
			err = call.streamEvents(author)
		}
		// Any other failure would end the client's monitor for good.
		if _, aborted := errors.AsType[rules.Abort](err); err == nil || aborted || isStatus(err) {
			return err
		}
		if r.Context().Err() == nil {
			call.caller.logger.Warn("event stream refused", "error", err)
		}
		call.busy()
		return nil
	})
}

func isStatus(err error) bool {
	_, is := errors.AsType[server.StatusError](err)
	return is
}

func (call *httpCall) checkAccept() error {
	if !server.Accepts(call.r.Header, server.EventStreamType) {
		return server.StatusError(http.StatusNotAcceptable)
	}
	return nil
}

func (call *httpCall) streamEvents(author *rules.Author) error {
	w := call.wing
	ctx, closeStream := w.streams.open(call.r.Context(), author)
	defer closeStream()
	session, err := w.rules.OpenSession(ctx, author, call.r.Header.Get("Last-Event-Id"), keepAliveSeconds(w.server.EventStreamKeepAlive()))
	if err != nil {
		return err
	}
	defer session.Close()
	defer w.server.Observer().ConnectionBegun(server.EventStream, call.caller.Kind(), apiVersion)()
	defer call.caller.logger.Debug("event stream ended")
	w.server.StreamEvents(ctx, call.w, server.Stream{
		Type: server.EventStreamType + "; charset=utf-8", KeepAlive: keepAliveEvent,
		Next: func(ctx context.Context) (server.StreamedEvent, error) {
			message, err := session.Next(ctx)
			if err != nil {
				return server.StreamedEvent{}, err
			}
			encoded, err := encodeMessage(message)
			if err != nil {
				call.caller.logger.Error("event not encoded", "error", err)
			}
			return encoded, err
		},
	})
	return nil
}

// encodeMessage encodes an event in a pooled buffer: its status, its name, then its
// fields, flat.
func encodeMessage(message rules.Message) (server.StreamedEvent, error) {
	encoded := server.StreamedEvent{ID: parsec.UUID(message.ID).Hex()}
	if message.Event == nil {
		encoded.Name = missedEvents
		return encoded, nil
	}
	var err error
	encoded.Reply, err = server.Encode(wire.Microseconds, server.OtherFields, []wire.Field{server.StatusOK, {Key: "event", Value: message.Event.EventName()}}, message.Event)
	return encoded, err
}

// keepAliveSeconds returns what clients are told of the longest silence, nil if
// there is no such.
func keepAliveSeconds(silence time.Duration) *uint64 {
	if silence <= 0 {
		return nil
	}
	seconds := uint64(max(1, silence.Round(time.Second)/time.Second))
	return &seconds
}

// maxStreams bounds the streams of one device: what a client has lost without notice
// goes when it comes back.
const maxStreams = 10

// streams are those that are open, by device.
type streams struct {
	mu sync.Mutex
	of map[streamOwner][]*openStream
}

type streamOwner struct {
	organization parsec.OrganizationID
	device       parsec3.DeviceID
}

type openStream struct{ end context.CancelFunc }

func newStreams() *streams { return &streams{of: map[streamOwner][]*openStream{}} }

// open returns the context of one more stream of a device, which ends its oldest one
// if there are too many. The caller calls closeStream.
func (s *streams) open(ctx context.Context, author *rules.Author) (_ context.Context, closeStream func()) {
	ctx, end := context.WithCancel(ctx)
	owner, opened := streamOwner{author.Organization, author.Device}, &openStream{end}
	s.mu.Lock()
	defer s.mu.Unlock()
	if open := s.of[owner]; len(open) == maxStreams {
		open[0].end()
		s.of[owner] = open[1:]
	}
	s.of[owner] = append(s.of[owner], opened)
	return ctx, func() {
		end()
		s.remove(owner, opened)
	}
}

func (s *streams) remove(owner streamOwner, closed *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]*openStream, 0, maxStreams)
	for _, open := range s.of[owner] {
		if open != closed {
			left = append(left, open)
		}
	}
	if len(left) == 0 {
		delete(s.of, owner)
		return
	}
	s.of[owner] = left
}
