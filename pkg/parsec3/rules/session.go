package rules

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// maxQueuedEvents bounds the events that wait for a client; one more ends its
	// stream.
	maxQueuedEvents = 100
	// maxReplayedEvents bounds those that a stream resumes with; if there are more,
	// its client is told that it has missed some.
	maxReplayedEvents = 100
)

// ErrStreamOver is returned when a stream has ended by itself: its user or its
// organization may not be served any more, or its client was too slow. When the
// client comes back it is told why.
var ErrStreamOver = errors.New("the stream of events is over")

// Message is one message of a stream. It is shared by streams: nobody changes it.
type Message struct {
	// ID is what the client sends to resume after this message.
	ID notice.ID
	// Event is nil for the mark that events were missed.
	Event protocol.Event
}

// Session is a stream of events of one device (docs/protocol/v5/events.md). Close
// releases it.
type Session struct {
	rules        *Rules
	author       Author
	subscription *event.Subscription
	// arrived has room for one: something is to be looked at.
	arrived chan struct{}

	mu sync.Mutex
	// limit bounds the queue: beside the replay maxQueuedEvents may wait.
	limit int
	// opening keeps what is received in early.
	opening bool
	early   []event.Event
	// replayed are the events of the replay, which may be received again.
	replayed   map[notice.ID]struct{}
	queue      []Message // changed by push, drop and take alone
	over       bool
	expiration *time.Timer
}

// OpenSession registers a stream of the author, which resumes after the event with
// an id, the value of Last-Event-ID: "" is none. Its first message is the
// organization's configuration, with the keepalive period of the server: nil is
// none. The error is an Abort when the author may not be served.
func (r *Rules) OpenSession(ctx context.Context, author *Author, lastEventID string, keepalive *uint64) (*Session, error) {
	s := &Session{rules: r, author: *author, arrived: make(chan struct{}, 1), opening: true}
	// What happens while the facts are read is received.
	s.subscription = r.bus.Subscribe(s.receive,
		event.OrganizationTopic(author.Organization), notice.UserTopic(author.Organization, author.User))
	standing, realms, err := r.store.Registration(ctx, author.Organization, author.Device)
	if err == nil {
		err = checkAccess(&standing, r.now())
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	for _, realm := range realms {
		s.subscription.Add(notice.RealmTopic(author.Organization, realm))
	}
	s.begin(standing.Organization, lastEventID, keepalive)
	return s, nil
}

// begin queues the first message and the replay, and then what was received
// meanwhile.
func (s *Session) begin(of *organization.Organization, lastEventID string, keepalive *uint64) {
	first := Message{Event: &protocol.OrganizationConfigEvent{
		UserProfileOutsiderAllowed: of.UserProfileOutsiderAllowed,
		ActiveUsersLimit:           of.ActiveUsersLimit,
		SSEKeepaliveSeconds:        keepalive,
		MinimumArchivingPeriod:     of.MinimumArchivingPeriod,
	}}
	// An event that came before this is in the history, and one that comes after is
	// received.
	newest := s.rules.history.newest(of.ID)
	var later []event.Event
	known := true
	switch last, err := parsec.ParseUUID(lastEventID); {
	case lastEventID == "":
		first.ID = newest
	case err != nil:
		first.ID, known = notice.NewID(), false // To be cut here must not lose the mark.
	default:
		first.ID = notice.ID(last)
		later, known = s.rules.history.after(of.ID, first.ID)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(first)
	s.replay(later, known, newest)
	s.limit = len(s.queue) + maxQueuedEvents
	s.opening = false
	early := s.early
	s.early = nil
	for _, e := range early {
		s.handle(e)
	}
	s.expireAt(of.ExpirationDate)
}

// replay queues the later events that concern the stream, or the mark that some
// were missed. The caller holds mu.
func (s *Session) replay(later []event.Event, known bool, newest notice.ID) {
	later = slices.DeleteFunc(later, func(e event.Event) bool {
		return !s.subscription.Has(e) || s.told(e) == nil
	})
	if !known || len(later) > maxReplayedEvents {
		s.push(Message{ID: newest})
		return
	}
	s.replayed = make(map[notice.ID]struct{}, len(later))
	for _, e := range later {
		s.replayed[idOf(e)] = struct{}{}
		s.push(Message{ID: idOf(e), Event: s.told(e)})
	}
}

// Close releases the session.
func (s *Session) Close() {
	s.subscription.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.early = true, nil
	s.drop()
	if s.expiration != nil {
		s.expiration.Stop()
	}
}

// Next returns the next message, and waits for it. It returns ErrStreamOver after
// the last message of a stream that has ended. Once ctx is done it takes none.
func (s *Session) Next(ctx context.Context) (Message, error) {
	for {
		message, found, err := s.take(ctx)
		if found || err != nil {
			return message, err
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

func (s *Session) take(ctx context.Context) (message Message, found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return Message{}, false, ctx.Err()
	case len(s.queue) > 0:
		message = s.queue[0]
		s.queue = s.queue[1:]
		s.rules.queued.Add(-1)
		if len(s.queue) == 0 {
			s.queue = nil // an idle stream keeps no memory for events
		}
		return message, true, nil
	case s.over:
		return Message{}, false, ErrStreamOver
	default:
		return Message{}, false, nil
	}
}

// wake has Next look again. The caller holds mu.
func (s *Session) wake() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// end lets the client have what waits for it, and no more. The caller holds mu.
func (s *Session) end() {
	s.over = true
	s.wake()
}

// expireAt ends the session at a date, nil for never. The caller holds mu.
func (s *Session) expireAt(date *parsec.DateTime) {
	if s.expiration != nil {
		s.expiration.Stop()
		s.expiration = nil
	}
	if date == nil {
		return
	}
	left := date.Sub(s.rules.now())
	if left <= 0 {
		s.end()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.expiration == timer { // else the date has changed meanwhile
			s.end()
		}
	})
	s.expiration = timer
}

// receive takes one event; it runs on the goroutine of the bus.
func (s *Session) receive(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
	case s.opening && len(s.early) == maxQueuedEvents:
		s.overflow()
	case s.opening:
		s.early = append(s.early, e)
	default:
		s.handle(e)
	}
}

// handle takes one event of an open session. The caller holds mu.
func (s *Session) handle(e event.Event) {
	if s.over {
		return
	}
	switch body := e.Body.(type) {
	case notice.UserRevokedOrFrozen, event.OrganizationTOSUpdated, event.Lost:
		s.end()
	case event.OrganizationExpiration:
		s.expireAt(body.Date)
	case notice.RealmCertificate:
		s.enqueue(e)
		if body.User == s.author.User {
			s.follow(body)
		}
	default:
		s.enqueue(e)
	}
}

// follow keeps the topics equal to the realms where the user has a role.
func (s *Session) follow(body notice.RealmCertificate) {
	topic := notice.RealmTopic(s.author.Organization, body.Realm)
	if body.RoleRemoved {
		s.subscription.Remove(topic)
	} else {
		s.subscription.Add(topic)
	}
}

// enqueue keeps what the client must be told. The caller holds mu.
func (s *Session) enqueue(e event.Event) {
	told := s.told(e)
	if told == nil {
		return
	}
	id := idOf(e)
	if _, again := s.replayed[id]; again {
		delete(s.replayed, id)
		return
	}
	if len(s.queue) >= s.limit {
		s.drop()
		s.overflow()
		return
	}
	s.push(Message{ID: id, Event: told})
	s.wake()
}

// push has a message wait for the client. The caller holds mu.
func (s *Session) push(message Message) {
	s.queue = append(s.queue, message)
	s.rules.queued.Add(1)
}

// drop forgets what waits for the client. The caller holds mu.
func (s *Session) drop() {
	s.rules.queued.Add(-int64(len(s.queue)))
	s.queue = nil
}

// overflow ends the session of a client that is too slow. The caller holds mu.
func (s *Session) overflow() {
	s.rules.overflows.Add(1)
	s.end()
}

// QueuedEvents returns how many messages wait for their clients, of all sessions.
func (r *Rules) QueuedEvents() int64 { return r.queued.Load() }

// EventOverflows returns how many sessions ended because more events waited for
// their client than a session keeps.
func (r *Rules) EventOverflows() int64 { return r.overflows.Load() }

// told returns what the client is told of an event, nil for nothing.
func (s *Session) told(e event.Event) protocol.Event {
	switch body := e.Body.(type) {
	case notice.Pinged:
		return &protocol.PingedEvent{Ping: body.Ping}
	case notice.CommonCertificate:
		return &protocol.CommonCertificateEvent{Timestamp: body.Timestamp}
	case notice.SequesterCertificate:
		return &protocol.SequesterCertificateEvent{Timestamp: body.Timestamp}
	case notice.RealmCertificate:
		return &protocol.RealmCertificateEvent{Timestamp: body.Timestamp, RealmID: body.Realm}
	case notice.Vlob:
		if body.Author == s.author.Device {
			return nil
		}
		return &protocol.VlobEvent{
			RealmID: body.Realm, VlobID: body.Vlob, Author: body.Author, Timestamp: body.Timestamp, Version: body.Version,
			Blob: body.Blob, LastCommonCertificateTimestamp: body.LastCommon, LastRealmCertificateTimestamp: body.LastCertificate,
		}
	default:
		return nil
	}
}

// SessionReader reads what a stream of events begins with.
type SessionReader interface {
	// Registration reads who opens a stream and the realms where its user has a
	// role now, deleted ones included (docs/protocol/v5/events.md §3).
	Registration(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, []parsec.RealmID, error)
}
