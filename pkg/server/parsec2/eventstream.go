package parsec2

import (
	"context"
	"net/http"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
)

// events streams the events of a device (docs/protocol/events.md §5) until its
// session is over, its client is gone or slow, or the server ends.
func (w *Wing) events(answer http.ResponseWriter, r *http.Request) {
	w.serveRPC(answer, r, func(call *httpCall) error {
		if w.server.IsDraining() { // whoever asks again must go elsewhere
			return server.ErrNoRoom
		}
		given, facts, err := call.credentials()
		if err != nil {
			return err
		}
		if !server.Accepts(r.Header, server.EventStreamType) {
			return server.StatusError(http.StatusNotAcceptable)
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
	_, err = call.wing.rules.EventsSubscribe(ctx, session, &protocol.EventsSubscribeRequest{})
	if cause := context.Cause(ctx); cause != nil {
		err = cause // the session ended meanwhile, or the client is gone
	}
	if err != nil {
		return err
	}
	defer call.wing.server.Observer().ConnectionBegun(server.EventStream, call.caller.Kind(), call.caller.serverAPI())()
	defer call.caller.logger.Debug("event stream ended")
	call.wing.server.StreamEvents(ctx, call.w, server.Stream{
		Opening: keepAliveComment, KeepAlive: keepAliveComment,
		Next: func(ctx context.Context) (server.StreamedEvent, error) {
			told, err := call.wing.rules.EventsListen(ctx, session, &protocol.EventsListenRequest{Wait: true})
			if err != nil {
				return server.StreamedEvent{}, err
			}
			encoded, err := encodeEvent(told)
			if err != nil {
				call.caller.logger.Error("event not encoded", "error", err)
			}
			return server.StreamedEvent{Reply: encoded}, err
		},
	})
	return nil
}

// keepAliveComment is what clients skip.
const keepAliveComment = ":keepalive\n\n"
