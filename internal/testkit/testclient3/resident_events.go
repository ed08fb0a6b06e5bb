package testclient3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

const statusMustAcceptTOS = 463

// Listen follows the stream of events until ctx is done, or until an official
// client would stop: then that is why the resident stops. It reads the certificates
// once it is connected, and calls heard with each message when what the message
// tells of is read.
func (r *Resident) Listen(ctx context.Context, heard func(client3.Message)) error {
	stream := listening{Resident: r, heard: heard, failures: 1} // the first try is the one that a lost stream makes at once
	for {
		err := stream.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.Err() != nil:
			return r.Err()
		case errors.Is(err, io.EOF): // A clean end: at once, on the same connection.
			continue
		case !isPassing(err):
			return r.stop(fmt.Errorf("stream of events: %w", err))
		}
		if err := r.pause(ctx, reconnection(stream.failures)); err != nil {
			return err
		}
		stream.failures++
	}
}

// reconnection is the wait before another try to open a stream
// (docs/protocol/v5/events.md §1.1).
func reconnection(failures int) time.Duration {
	waits := [...]time.Duration{0, time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	return waits[min(failures, len(waits)-1)]
}

// isPassing reports whether a client takes the end of a stream for one that passes:
// it is "offline", and tries again.
func isPassing(err error) bool {
	if failure, answered := errors.AsType[*client.HTTPError](err); answered {
		return slices.Contains([]int{
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, statusMustAcceptTOS,
		}, failure.Status)
	}
	return !errors.Is(err, client.ErrProtocol) && !errors.Is(err, ErrStopped)
}

// listening is the stream of events of a resident.
type listening struct {
	*Resident
	heard func(client3.Message)
	// last is the id of the last message, "" before one had an id.
	last string
	// failures counts the tries since a stream was open.
	failures int
	// begun is set once the certificates are read for the first time.
	begun bool
}

// follow opens one stream and reads it to its end.
func (l *listening) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := l.rpc.Events(ctx, l.last)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // it is read to its end
	l.failures = 0
	for first := true; ; first = false {
		message, err := stream.Next()
		if err != nil {
			return err
		}
		if _, config := message.Event.(*protocol.OrganizationConfigEvent); config != first {
			return fmt.Errorf("%w: the event %T of a stream that is begun: %t", client.ErrProtocol, message.Event, !first)
		}
		if message.ID != "" {
			l.last = message.ID
		}
		if err := l.hear(ctx, message); err != nil {
			return err
		}
		l.heard(message)
	}
}

// hear reads what a message tells of, as often as that fails. What keeps the user
// out is left for the stream to tell.
func (l *listening) hear(ctx context.Context, message client3.Message) error {
	for {
		err := l.read(ctx, message)
		switch {
		case err == nil:
			l.begun = true
			return nil
		case isKeptOut(err):
			return nil
		case !isFailure(err):
			return err
		}
		if err := l.pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

func isKeptOut(err error) bool {
	failure, answered := errors.AsType[*client.HTTPError](err)
	return answered && slices.Contains([]int{
		client.StatusOrganizationExpired, client.StatusUserRevoked, client.StatusUserFrozen, statusMustAcceptTOS,
	}, failure.Status)
}

func (l *listening) read(ctx context.Context, message client3.Message) error {
	switch told := message.Event.(type) {
	case nil, *protocol.SequesterCertificateEvent, *protocol.ShamirRecoveryCertificateEvent:
		return l.Poll(ctx)
	case *protocol.OrganizationConfigEvent:
		if l.begun {
			return nil
		}
		return l.Poll(ctx)
	case *protocol.CommonCertificateEvent:
		return l.reach(ctx, parsec.RealmID{}, told.Timestamp, 0)
	case *protocol.RealmCertificateEvent:
		return l.reach(ctx, told.RealmID, 0, told.Timestamp)
	case *protocol.VlobEvent:
		return l.reach(ctx, told.RealmID, told.LastCommonCertificateTimestamp, told.LastRealmCertificateTimestamp)
	default:
		return nil
	}
}
