package parsec3

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// Message is one message of a stream of events.
type Message struct {
	// ID resumes the stream after this message.
	ID string
	// Event is nil for the mark that events were missed.
	Event protocol.Event
}

// ErrSilence is a stream of events on which nothing came for 1.2 times the period of
// its keepalives: clients give it up.
var ErrSilence = errors.New("a stream of events is silent")

// Events is a stream of events (docs/protocol/v5/events.md §1). One goroutine may
// use it.
type Events struct {
	*client.ServerSentEvents
	// patience is how long it may be silent, 0 for ever.
	patience time.Duration
}

// Events opens the stream of an authenticated caller, which resumes after a
// message with an id; "" is none. A status other than 200 is a *client.HTTPError.
// The stream ends when ctx does.
func (r *RPC) Events(ctx context.Context, lastEventID string) (*Events, error) {
	header := r.header()
	if lastEventID != "" {
		header.Set("Last-Event-Id", lastEventID)
	}
	stream, err := r.client.OpenEvents(ctx, r.path+"/events", header)
	if err != nil {
		return nil, err
	}
	return &Events{ServerSentEvents: stream}, nil
}

// Next waits for the next message that is no keepalive. io.EOF is a stream that the
// server ended: the caller reconnects with the last id.
func (e *Events) Next() (Message, error) {
	for {
		sent, err := e.nextInTime()
		if err != nil {
			return Message{}, err
		}
		switch sent.Name {
		case "keepalive":
			continue
		case "missed_events":
			return Message{ID: sent.ID}, nil
		case "":
			event, err := decodeEvent(sent.Data)
			if config, told := event.(*protocol.OrganizationConfigEvent); told {
				e.patience = patienceOf(config)
			}
			return Message{ID: sent.ID, Event: event}, err
		default:
			return Message{}, fmt.Errorf("%w: event stream: %q", client.ErrProtocol, sent.Name)
		}
	}
}

// patienceOf returns how long a stream with that configuration may be silent, 0 for
// ever.
func patienceOf(config *protocol.OrganizationConfigEvent) time.Duration {
	const longest = uint64(24 * time.Hour / time.Second)
	if config.SSEKeepaliveSeconds == nil {
		return 0
	}
	return time.Duration(min(*config.SSEKeepaliveSeconds, longest)) * time.Second * 12 / 10
}

// nextInTime ends a stream that is silent for too long.
func (e *Events) nextInTime() (client.ServerSentEvent, error) {
	if e.patience == 0 {
		return e.ServerSentEvents.Next()
	}
	var silent atomic.Bool
	timer := time.AfterFunc(e.patience, func() {
		silent.Store(true)
		_ = e.Close() // what is read fails
	})
	defer timer.Stop()
	sent, err := e.ServerSentEvents.Next()
	if err != nil && silent.Load() {
		return sent, ErrSilence
	}
	return sent, err
}

// decodeEvent reads an ok reply of events_listen.
func decodeEvent(reply []byte) (protocol.Event, error) {
	if err := checkReply(protocol.EventsListen.Name, reply); err != nil {
		return nil, fmt.Errorf("%w: event stream: %w", client.ErrProtocol, err)
	}
	name, _ := wire.LookupString(reply, "event")
	for _, event := range []protocol.Event{
		new(protocol.OrganizationConfigEvent), new(protocol.PingedEvent), new(protocol.CommonCertificateEvent),
		new(protocol.SequesterCertificateEvent), new(protocol.ShamirRecoveryCertificateEvent), new(protocol.RealmCertificateEvent),
		new(protocol.VlobEvent), new(protocol.InvitationEvent), new(protocol.GreetingAttemptReadyEvent),
		new(protocol.GreetingAttemptJoinedEvent), new(protocol.GreetingAttemptCancelledEvent), new(protocol.AsyncEnrollmentEvent),
	} {
		if event.EventName() != name {
			continue
		}
		if err := wire.Microseconds.Unmarshal(reply, event); err != nil {
			return nil, fmt.Errorf("%w: event %s: %w", client.ErrProtocol, name, err)
		}
		return event, nil
	}
	return nil, fmt.Errorf("%w: unknown event %q", client.ErrProtocol, name)
}
