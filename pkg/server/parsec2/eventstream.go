package parsec2

import (
	"context"
	"errors"
	"log/slog"
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
	stream := call.wing.server.NewStream()
	session, err := call.watch(ctx, func() {
		cancel(rules.ErrSessionOver)
		stream.End()
	})
	if err != nil {
		return err
	}
	_, err = call.wing.rules.EventsSubscribe(ctx, session, &protocol.EventsSubscribeRequest{})
	if cause := context.Cause(ctx); cause != nil {
		err = cause // the session ended meanwhile, or the client is gone
	}
	if err != nil {
		session.Close()
		return err
	}
	ended := call.wing.server.Observer().ConnectionBegun(server.EventStream, call.caller.Kind(), call.caller.serverAPI())
	logger := call.caller.logger // all that an open stream keeps of the request
	release := func() {
		session.Close()
		ended()
		logger.Debug("event stream ended")
	}
	following := &following{rules: call.wing.rules, session: session, wake: stream.Wake, logger: logger}
	err = stream.Serve(call.w, call.r, server.Stream{
		Opening: keepAliveComment, KeepAlive: keepAliveComment, Close: release, Next: following.next,
	})
	if err != nil {
		release()
	}
	return err
}

// following has the events of a session for a stream.
type following struct {
	rules   *rules.Rules
	session *rules.Session
	wake    func()
	logger  *slog.Logger
}

// next returns the next message, nil if there is none: then wake is called once there
// is one.
func (f *following) next() (server.StreamMessage, error) {
	told, err := f.rules.EventsListen(context.Background(), f.session, &protocol.EventsListenRequest{})
	if _, none := errors.AsType[*protocol.Refusal](err); none {
		f.session.OnEvent(f.wake)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	encoded, err := encodeEvent(told)
	if err != nil {
		f.logger.Error("event not encoded", "error", err)
		return nil, err
	}
	defer server.PutBuffer(encoded)
	return server.StreamedEvent{Reply: *encoded}.Message(), nil
}

// keepAliveComment is what clients skip.
var keepAliveComment = server.NewStreamMessage(":keepalive\n\n")
