package server

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

const (
	keepAliveComment = ":keepalive\n\n"
	// keepAliveMargin is the part of the silence by which a keep-alive comes
	// early, so that there is never more of it.
	keepAliveMargin = 6
	eventStreamType = "text/event-stream"
)

// events streams the events of a device (docs/protocol/events.md §5) until its
// session is over, its client is gone or slow, or the server ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	s.serveRPC(w, r, func(call *httpCall) error {
		given, facts, err := call.credentials()
		if err != nil {
			return err
		}
		if !accepts(r.Header, eventStreamType) {
			return rpcError(http.StatusNotAcceptable)
		}
		if err := given.check(facts); err != nil {
			return err
		}
		if err := call.authenticate(given, facts, nil); err != nil {
			return err
		}
		return call.streamEvents()
	})
}

func (call *httpCall) streamEvents() error {
	ctx, cancel := context.WithCancelCause(call.r.Context())
	defer cancel(nil)
	session, err := call.watch(ctx, func() { cancel(rules.ErrSessionOver) })
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = call.server.rules.EventsSubscribe(ctx, session, &protocol.EventsSubscribeRequest{})
	if cause := context.Cause(ctx); cause != nil {
		err = cause // the session ended meanwhile, or the client is gone
	}
	if err != nil {
		return err
	}
	defer call.server.options.Observer.ConnectionBegun(EventStream, call.caller.kind.String(), call.caller.serverAPI())()
	stop := context.AfterFunc(call.server.lasting, func() { cancel(nil) })
	defer stop()
	defer call.caller.logger.Debug("event stream ended")
	call.w.Header().Set("Content-Type", eventStreamType)
	call.w.Header().Set("Cache-Control", "no-cache, no-transform")
	call.w.Header().Set("X-Accel-Buffering", "no") // nginx buffers unless told otherwise
	defer call.cutUnread(ctx)()
	chunk := []byte(keepAliveComment)
	for {
		if err := call.sendChunk(chunk); err != nil {
			return nil // the status is sent and the client is gone
		}
		told, err := call.nextEvent(ctx, session)
		switch {
		case errors.Is(err, errKeepAlive):
			chunk = append(chunk[:0], keepAliveComment...)
		case err != nil:
			return nil // the stream is over; its status is sent
		default:
			if chunk, err = appendStreamed(chunk[:0], told); err != nil {
				call.caller.logger.Error("event not encoded", "error", err)
				return nil
			}
		}
	}
}

var errKeepAlive = errors.New("no event for a while")

// nextEvent waits for an event, or for the time of a keep-alive. It gives none
// once ctx is done, even if there are some.
func (call *httpCall) nextEvent(ctx context.Context, session *rules.Session) (protocol.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	silence := call.server.options.EventStreamKeepAlive
	if silence <= 0 {
		return call.server.rules.EventsListen(ctx, session, &protocol.EventsListenRequest{Wait: true})
	}
	waiting, cancel := context.WithTimeout(ctx, silence-silence/keepAliveMargin)
	defer cancel()
	told, err := call.server.rules.EventsListen(waiting, session, &protocol.EventsListenRequest{Wait: true})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, errKeepAlive
	}
	return told, err
}

func (call *httpCall) sendChunk(chunk []byte) error {
	if _, err := call.w.Write(chunk); err != nil {
		return err
	}
	return http.NewResponseController(call.w).Flush()
}

// cutUnread ends a write that lasts although ctx is done: the client does not
// read. The caller calls stop.
func (call *httpCall) cutUnread(ctx context.Context) (stop func()) {
	written, end := context.WithCancel(context.WithoutCancel(ctx))
	unregister := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(closeTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = http.NewResponseController(call.w).SetWriteDeadline(time.Now())
		case <-written.Done():
		}
	})
	return func() {
		unregister()
		end()
	}
}

// appendStreamed encodes an event as one line of a stream.
func appendStreamed(chunk []byte, told protocol.Event) ([]byte, error) {
	reply, err := appendEvent(nil, told)
	if err != nil {
		return nil, err
	}
	chunk = append(chunk, "data:"...)
	chunk = base64.StdEncoding.AppendEncode(chunk, reply)
	return append(chunk, "\n\n"...), nil
}
