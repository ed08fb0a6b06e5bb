package server

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"
)

const (
	// keepAliveMargin is the part of the silence by which a keep-alive comes
	// early, so that there is never more of it.
	keepAliveMargin = 6
	// EventStreamType is the media type of event streams.
	EventStreamType = "text/event-stream"
)

// Stream is what a stream of events holds.
type Stream struct {
	// Type is that of the answer; "" is EventStreamType.
	Type string
	// Opening is sent at once, "" for nothing, and KeepAlive after a silence.
	Opening, KeepAlive string
	// Next returns the next event, and waits for it until ctx is done.
	Next func(ctx context.Context) (StreamedEvent, error)
}

// StreamedEvent is one event of a stream.
type StreamedEvent struct {
	// Reply is what the event tells, in a pooled buffer, nil for nothing.
	Reply *[]byte
	// Name is that of the event, and ID what the client sends to resume after it, ""
	// for none.
	Name, ID string
}

// StreamEvents sends events, and what keeps the stream alive in between. It returns
// once there is no next one, ctx is done, the client is gone or slow, or the server
// ends its streams: the status of the answer is sent by then. It answers 503 if they
// have ended before.
func (s *Server) StreamEvents(ctx context.Context, w http.ResponseWriter, stream Stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leave, open := s.streams.join(cancel)
	if !open {
		RefuseBusy(w)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", cmp.Or(stream.Type, EventStreamType))
	w.Header().Set("Cache-Control", "no-cache, no-transform")
	w.Header().Set("X-Accel-Buffering", "no") // nginx buffers unless told otherwise
	defer cutUnread(ctx, w)()
	chunk := []byte(stream.Opening)
	for {
		if err := sendChunk(w, chunk); err != nil {
			return
		}
		told, err := s.nextEvent(ctx, stream.Next)
		switch {
		case errors.Is(err, errKeepAlive):
			chunk = append(chunk[:0], stream.KeepAlive...)
		case err != nil:
			return
		default:
			chunk = told.append(chunk[:0])
		}
	}
}

// append writes the event after dst, and gives its buffer back.
func (e StreamedEvent) append(dst []byte) []byte {
	if e.Name != "" {
		dst = append(append(append(dst, "event:"...), e.Name...), '\n')
	}
	dst = append(dst, "data:"...)
	if e.Reply != nil {
		dst = base64.StdEncoding.AppendEncode(dst, *e.Reply)
		PutBuffer(e.Reply)
	}
	dst = append(dst, '\n')
	if e.ID != "" {
		dst = append(append(append(dst, "id:"...), e.ID...), '\n')
	}
	return append(dst, '\n')
}

var errKeepAlive = errors.New("no event for a while")

// nextEvent waits for an event, or for the time of a keep-alive. It returns none
// once ctx is done, even if there are some.
func (s *Server) nextEvent(ctx context.Context, next func(ctx context.Context) (StreamedEvent, error)) (StreamedEvent, error) {
	if err := ctx.Err(); err != nil {
		return StreamedEvent{}, err
	}
	silence := s.options.EventStreamKeepAlive
	if silence <= 0 {
		return next(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, silence-silence/keepAliveMargin)
	defer cancel()
	told, err := next(waiting)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return StreamedEvent{}, errKeepAlive
	}
	return told, err
}

// EventStreamKeepAlive returns the longest silence of an event stream, 0 or less for
// any.
func (s *Server) EventStreamKeepAlive() time.Duration { return s.options.EventStreamKeepAlive }

func sendChunk(w http.ResponseWriter, chunk []byte) error {
	if len(chunk) == 0 {
		return nil
	}
	if _, err := w.Write(chunk); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// cutUnread ends a write that lasts although ctx is done: the client does not
// read. The caller calls stop.
func cutUnread(ctx context.Context, w http.ResponseWriter) (stop func()) {
	written, end := context.WithCancel(context.WithoutCancel(ctx))
	unregister := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(CloseTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now())
		case <-written.Done():
		}
	})
	return func() {
		unregister()
		end()
	}
}
