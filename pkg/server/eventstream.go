package server

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"
)

const (
	keepAliveComment = ":keepalive\n\n"
	// keepAliveMargin is the part of the silence by which a keep-alive comes
	// early, so that there is never more of it.
	keepAliveMargin = 6
	// EventStreamType is the media type of event streams.
	EventStreamType = "text/event-stream"
)

// StreamEvents sends what next returns in pooled buffers, each as one event, and a
// comment in between after a silence. It returns once next fails, its ctx is done, the
// client is gone or slow, or the server ends: the status of the answer is sent by
// then.
func (s *Server) StreamEvents(ctx context.Context, w http.ResponseWriter, next func(ctx context.Context) (*[]byte, error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.lasting, cancel)
	defer stop()
	w.Header().Set("Content-Type", EventStreamType)
	w.Header().Set("Cache-Control", "no-cache, no-transform")
	w.Header().Set("X-Accel-Buffering", "no") // nginx buffers unless told otherwise
	defer cutUnread(ctx, w)()
	chunk := []byte(keepAliveComment)
	for {
		if err := sendChunk(w, chunk); err != nil {
			return
		}
		told, err := s.nextEvent(ctx, next)
		switch {
		case errors.Is(err, errKeepAlive):
			chunk = append(chunk[:0], keepAliveComment...)
		case err != nil:
			return
		default:
			chunk = append(chunk[:0], "data:"...)
			chunk = base64.StdEncoding.AppendEncode(chunk, *told)
			chunk = append(chunk, "\n\n"...)
			PutBuffer(told)
		}
	}
}

var errKeepAlive = errors.New("no event for a while")

// nextEvent waits for an event, or for the time of a keep-alive. It returns none
// once ctx is done, even if there are some.
func (s *Server) nextEvent(ctx context.Context, next func(ctx context.Context) (*[]byte, error)) (*[]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	silence := s.options.EventStreamKeepAlive
	if silence <= 0 {
		return next(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, silence-silence/keepAliveMargin)
	defer cancel()
	told, err := next(waiting)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, errKeepAlive
	}
	return told, err
}

func sendChunk(w http.ResponseWriter, chunk []byte) error {
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
