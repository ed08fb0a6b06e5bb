package parsec2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/sleep"
)

const (
	// probeInterval is how long a listening connection may be silent: then it
	// is probed, and dropped when no pong comes before the next probe
	// (docs/protocol/transport.md §4).
	probeInterval = 29 * time.Second

	firstReconnection = time.Second
	lastReconnection  = time.Minute
)

// Notification is an event, or the news that some may be missing.
type Notification struct {
	// Event is nil when Reconnected is set.
	Event protocol.Event
	// Reconnected means that the connection was lost and is back: events of
	// the meantime are lost, and the receiver must read the state again.
	Reconnected bool
}

// EventStream delivers the events of a device over a WebSocket of its own,
// which is opened again when it is lost.
type EventStream struct {
	client   *Client
	device   *Device
	versions []parsec.APIVersion

	notifications chan Notification
	cancel        context.CancelFunc
	err           error // written before notifications is closed
}

// Events connects as device and subscribes: the stream delivers every event
// committed after Events returns. Versions and errors are as for DialAuthenticated. The
// stream ends with ctx.
func (c *Client) Events(ctx context.Context, device *Device, versions ...parsec.APIVersion) (*EventStream, error) {
	s := &EventStream{client: c, device: device, versions: versions, notifications: make(chan Notification)}
	conn, err := s.subscribe(ctx)
	if err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx, conn)
	return s, nil
}

// Notifications returns what the stream delivers. It is closed when the stream
// ends; Err then says why. A slow receiver holds back the server, which then
// drops the connection.
func (s *EventStream) Notifications() <-chan Notification { return s.notifications }

// Err returns why Notifications is closed: the context, a refused handshake, or
// a server that breaks the protocol. It must not be called before.
func (s *EventStream) Err() error { return s.err }

// Close ends the stream and drops what was not received.
func (s *EventStream) Close() {
	s.cancel()
	for range s.notifications { // until run has ended
	}
}

func (s *EventStream) subscribe(ctx context.Context) (*Conn, error) {
	conn, err := s.client.DialAuthenticated(ctx, s.device, s.versions...)
	if err != nil {
		return nil, err
	}
	if _, err := Call(ctx, conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{}); err != nil {
		conn.CloseNow()
		return nil, err
	}
	return conn, nil
}

func (s *EventStream) run(ctx context.Context, conn *Conn) {
	defer close(s.notifications)
	defer s.cancel()
	for {
		err := s.listen(ctx, conn)
		conn.CloseNow()
		if !isFinal(err) {
			conn, err = s.reconnect(ctx)
		}
		if err != nil {
			s.err = err
			return
		}
		if !s.deliver(ctx, Notification{Reconnected: true}) {
			conn.CloseNow()
			s.err = ctx.Err()
			return
		}
	}
}

// listen delivers the events of conn until an error.
func (s *EventStream) listen(ctx context.Context, conn *Conn) error {
	request, err := requestOf(protocol.EventsListen.Form, &protocol.EventsListenRequest{Wait: true})
	if err != nil {
		return err
	}
	for {
		if err := conn.Send(ctx, request); err != nil {
			return err
		}
		reply, err := conn.receiveProbing(ctx)
		if err != nil {
			return err
		}
		if err := checkReply(reply); err != nil {
			return fmt.Errorf("%w: events_listen: %w", client.ErrProtocol, err)
		}
		event, err := decodeEvent(reply)
		if err != nil {
			return err
		}
		if !s.deliver(ctx, Notification{Event: event}) {
			return ctx.Err()
		}
	}
}

func (s *EventStream) deliver(ctx context.Context, notification Notification) bool {
	select {
	case s.notifications <- notification:
		return true
	case <-ctx.Done():
		return false
	}
}

// reconnect tries until it succeeds, or until an error is final.
func (s *EventStream) reconnect(ctx context.Context) (*Conn, error) {
	for delay := firstReconnection; ; delay = min(2*delay, lastReconnection) {
		if err := sleep.For(ctx, delay); err != nil {
			return nil, err
		}
		conn, err := s.attempt(ctx)
		if err == nil || isFinal(err) {
			return conn, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// attempt bounds the time that a silent server can take.
func (s *EventStream) attempt(ctx context.Context) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	return s.subscribe(ctx)
}

// isFinal reports whether another attempt would end the same way.
func isFinal(err error) bool {
	if errors.Is(err, client.ErrProtocol) || errors.Is(err, context.Canceled) {
		return true
	}
	_, handshake := errors.AsType[*HandshakeError](err)
	_, version := errors.AsType[*VersionError](err)
	_, refusal := errors.AsType[*protocol.Refusal](err)
	return handshake || version || refusal
}
