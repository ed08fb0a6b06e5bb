package parsec3

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

const eventStreamType = server.EventStreamType + "; charset=utf-8"

// keepAliveEvent is what clients know a living stream by
// (docs/protocol/v5/transport.md §6).
var keepAliveEvent = server.NewStreamMessage("event:keepalive\ndata:\n\n")

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
			call.wing.server.LogOutage(r.Context(), call.caller.Logger(), "event stream refused", err)
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
	session, err := w.rules.OpenSession(call.r.Context(), author, call.r.Header.Get("Last-Event-Id"), keepAliveSeconds(w.server.EventStreamKeepAlive()))
	if err != nil {
		return err
	}
	stream := w.server.NewStream()
	closed := w.streams.open(author, stream)
	ended := w.server.Observer().ConnectionBegun(server.EventStream, call.caller.Kind(), apiVersion)
	logger := call.caller.Logger() // all that an open stream keeps of the request
	release := func() {
		session.Close()
		closed()
		ended()
		logger.Debug("event stream ended")
	}
	session.Listen(stream.Wake, stream.EndSoon)
	err = stream.Serve(call.w, call.r, server.Stream{
		Type: eventStreamType, KeepAlive: keepAliveEvent, Close: release,
		Next: func() (server.StreamMessage, error) { return nextMessage(session, logger) },
	})
	if err != nil {
		release()
	}
	return err
}

// nextMessage returns the next message of a session, nil if none waits.
func nextMessage(session *rules.Session, logger *slog.Logger) (server.StreamMessage, error) {
	message, err := session.Next()
	if message == nil || err != nil {
		return nil, err
	}
	encoded, err := message.Encoded(encodeMessage)
	if err != nil {
		logger.Error("event not encoded", "error", err)
	}
	return encoded, err
}

// encodeMessage encodes an event: its status, its name, then its fields, flat.
func encodeMessage(message *rules.Message) ([]byte, error) {
	event := server.StreamedEvent{ID: parsec.UUID(message.ID).Hex()}
	if message.Event == nil {
		event.Name = missedEvents
		return event.Message(), nil
	}
	reply, err := server.Encode(wire.Microseconds, server.OtherFields, []wire.Field{server.StatusOK, {Key: "event", Value: message.Event.EventName()}}, message.Event)
	if err != nil {
		return nil, err
	}
	defer server.PutBuffer(reply)
	event.Reply = *reply
	return event.Message(), nil
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
	of map[streamOwner][]*server.OpenStream
}

type streamOwner struct {
	organization parsec.OrganizationID
	device       parsec3.DeviceID
}

func newStreams() *streams { return &streams{of: map[streamOwner][]*server.OpenStream{}} }

// open counts one more stream of a device, and ends its oldest one if there are too
// many. The caller calls closed.
func (s *streams) open(author *rules.Author, stream *server.OpenStream) (closed func()) {
	owner := streamOwner{author.Organization, author.Device}
	s.mu.Lock()
	defer s.mu.Unlock()
	if open := s.of[owner]; len(open) == maxStreams {
		open[0].End()
		s.of[owner] = slices.Delete(open, 0, 1)
	}
	s.of[owner] = append(s.of[owner], stream)
	return func() { s.remove(owner, stream) }
}

func (s *streams) remove(owner streamOwner, closed *server.OpenStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(s.of[owner], func(open *server.OpenStream) bool { return open == closed })
	if len(left) == 0 {
		delete(s.of, owner)
		return
	}
	s.of[owner] = left
}
