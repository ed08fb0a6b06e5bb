package parsec3

import (
	"context"
	"fmt"

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

// Events is a stream of events (docs/protocol/v5/events.md §1). One goroutine may
// use it.
type Events struct{ *client.ServerSentEvents }

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
	return &Events{stream}, nil
}

// Next waits for the next message that is no keepalive. io.EOF is a stream that the
// server ended: the caller reconnects with the last id.
func (e *Events) Next() (Message, error) {
	for {
		sent, err := e.ServerSentEvents.Next()
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
			return Message{ID: sent.ID, Event: event}, err
		default:
			return Message{}, fmt.Errorf("%w: event stream: %q", client.ErrProtocol, sent.Name)
		}
	}
}

// decodeEvent reads an ok reply of events_listen.
func decodeEvent(reply []byte) (protocol.Event, error) {
	if err := checkReply(protocol.EventsListen.Name, reply); err != nil {
		return nil, fmt.Errorf("%w: event stream: %w", client.ErrProtocol, err)
	}
	name, _ := wire.LookupString(reply, "event")
	for _, event := range []protocol.Event{
		new(protocol.OrganizationConfigEvent), new(protocol.PingedEvent), new(protocol.CommonCertificateEvent),
		new(protocol.SequesterCertificateEvent), new(protocol.RealmCertificateEvent), new(protocol.VlobEvent),
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
