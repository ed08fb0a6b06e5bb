package rules

import (
	"context"
	"errors"
	"slices"
	"sync"

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
	// enrollmentsSince is the minor of API 5 whose clients know of enrollments.
	enrollmentsSince = 4
)

// ErrStreamOver is returned when a stream has ended by itself: its user or its
// organization may not be served any more, or its client was too slow. When the
// client comes back it is told why.
var ErrStreamOver = errors.New("the stream of events is over")

// Message is one message of a stream. Streams share it: nobody changes it.
type Message struct {
	// ID is what the client sends to resume after this message.
	ID notice.ID
	// Event is nil for the mark that events were missed.
	Event protocol.Event

	// cause is what the message tells; zero if it is not of the history.
	cause    event.Event
	encoding sync.Once
	encoded  []byte
	failure  error
}

// Encoded returns what encode makes of the message, the first time for all streams:
// nobody changes it.
func (m *Message) Encoded(encode func(*Message) ([]byte, error)) ([]byte, error) {
	m.encoding.Do(func() { m.encoded, m.failure = encode(m) })
	return m.encoded, m.failure
}

// Session is a stream of events of one device (docs/protocol/v5/events.md). Close
// releases it.
type Session struct {
	rules        *Rules
	author       Author
	subscription *event.Subscription

	mu sync.Mutex
	// wake and ended are those of Listen, nil before.
	wake, ended func()
	// limit bounds the queue: beside the replay maxQueuedEvents may wait.
	limit int
	// opening keeps what is received in early, that for administrators too: whether the
	// user is ADMIN by then is not known before.
	opening bool
	early   []event.Event
	profile parsec.UserProfile
	// replayed are the events of the replay, which may be in early too, and newest is
	// the last of them, which the bus may be delivering.
	replayed   map[notice.ID]struct{}
	newest     notice.ID
	queue      []*Message // changed by push, drop and Next alone
	over       bool
	expiration organization.Deadline
	// present reports that the stream counts, until Close.
	present bool
}

// OpenSession registers a stream of the author, which resumes after the event with
// an id, the value of Last-Event-ID: "" is none. Its first message is the
// organization's configuration, with the keepalive period of the server: nil is
// none. The error is an Abort when the author may not be served.
func (r *Rules) OpenSession(ctx context.Context, author *Author, lastEventID string, keepalive *uint64) (*Session, error) {
	s := &Session{rules: r, author: *author, opening: true}
	// What happens while the facts are read is received.
	s.subscription = r.bus.Subscribe(s.receive,
		event.OrganizationTopic(author.Organization), notice.UserTopic(author.Organization, author.User),
		notice.AdministratorsTopic(author.Organization))
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
	s.begin(&standing, lastEventID, keepalive)
	s.present = true
	r.presence.count(s.who(), +1)
	return s, nil
}

// begin queues the first message and the replay, and then what was received
// meanwhile.
func (s *Session) begin(standing *Standing, lastEventID string, keepalive *uint64) {
	of := standing.Organization
	first := &Message{Event: &protocol.OrganizationConfigEvent{
		UserProfileOutsiderAllowed: of.UserProfileOutsiderAllowed,
		ActiveUsersLimit:           of.ActiveUsersLimit,
		SSEKeepaliveSeconds:        keepalive,
		MinimumArchivingPeriod:     of.MinimumArchivingPeriod,
	}}
	// An event that came before this is in the history, and one that comes after is
	// received.
	newest := s.rules.history.newest(of.ID)
	var later []*Message
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
	s.profile = standing.User.Profile
	s.replay(later, known, newest)
	s.limit = len(s.queue) + maxQueuedEvents
	early := s.early
	s.early = nil
	for _, e := range early {
		s.handle(e)
	}
	s.opening, s.replayed = false, nil
	s.followProfile()
	s.expiration.Set(&s.mu, of.ExpirationDate, s.rules.now(), s.end)
}

// replay queues the later events that concern the stream, or the mark that some
// were missed. The caller holds mu.
func (s *Session) replay(later []*Message, known bool, newest notice.ID) {
	later = slices.DeleteFunc(later, func(message *Message) bool {
		return message.Event == nil || !s.hears(message.cause) || !s.subscription.Has(message.cause)
	})
	if !known || len(later) > maxReplayedEvents {
		s.push(&Message{ID: newest})
		return
	}
	s.replayed = make(map[notice.ID]struct{}, len(later))
	for _, message := range later {
		s.replayed[message.ID], s.newest = struct{}{}, message.ID
		s.push(message)
	}
}

func (s *Session) who() Present { return Present{s.author.Organization, s.author.User} }

// Close releases the session.
func (s *Session) Close() {
	s.subscription.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present {
		s.present = false
		s.rules.presence.count(s.who(), -1)
	}
	s.over, s.early = true, nil
	s.drop()
	s.expiration.Stop()
}

// Listen has wake called when there may be a next message, and ended when there will
// be an end after those that wait: nothing is queued any more. They must not block, nor
// use the session. Both may be called before Listen returns.
func (s *Session) Listen(wake, ended func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake, s.ended = wake, ended
	if len(s.queue) > 0 {
		wake()
	}
	if s.over {
		ended()
	}
}

// Next returns the next message, nil if none waits. It returns ErrStreamOver after
// the last message of a stream that has ended.
func (s *Session) Next() (*Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.queue) > 0:
		message := s.queue[0]
		s.queue = s.queue[1:]
		s.rules.queued.Add(-1)
		if len(s.queue) == 0 {
			s.queue = nil // an idle stream keeps no memory for events
		}
		return message, nil
	case s.over:
		return nil, ErrStreamOver
	default:
		return nil, nil
	}
}

// end lets the client have what waits for it, and no more. The caller holds mu.
func (s *Session) end() {
	s.over = true
	if s.ended != nil {
		s.ended()
	}
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
		s.expiration.Set(&s.mu, body.Date, s.rules.now(), s.end)
	case notice.UserUpdated:
		s.profile = body.Profile
		s.followProfile()
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

// followProfile has the open stream hear what concerns administrators, or not. The
// caller holds mu.
func (s *Session) followProfile() {
	topic := notice.AdministratorsTopic(s.author.Organization)
	switch {
	case s.opening: // it hears, until all that came early is handled
	case s.profile == parsec.ProfileAdmin:
		s.subscription.Add(topic)
	default:
		s.subscription.Remove(topic)
	}
}

// enqueue keeps what the client must be told. The caller holds mu.
func (s *Session) enqueue(e event.Event) {
	body, forClients := e.Body.(notice.ForClients)
	if !forClients || !s.hears(e) {
		return
	}
	if _, again := s.replayed[body.EventID()]; again || body.EventID() == s.newest {
		return
	}
	if len(s.queue) >= s.limit {
		s.drop()
		s.overflow()
		return
	}
	s.push(s.rules.history.message(e))
	if s.wake != nil {
		s.wake()
	}
}

// push has a message wait for the client. The caller holds mu.
func (s *Session) push(message *Message) {
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

// hears reports whether the stream is told of an event of its topics: not of what its
// own device wrote, and of enrollments only an ADMIN, whose client knows them
// (docs/protocol/v5/events.md §2). The caller holds mu.
func (s *Session) hears(e event.Event) bool {
	switch body := e.Body.(type) {
	case notice.Vlob:
		return body.Author != s.author.Device
	case notice.AsyncEnrollment:
		return s.profile == parsec.ProfileAdmin && s.author.API.Minor >= enrollmentsSince
	case notice.Invitation:
		return s.profile == parsec.ProfileAdmin || !body.Administrators
	default:
		return true
	}
}

// newMessage returns the message that tells of an event. That of a mark has none.
func newMessage(e event.Event) *Message {
	m := &Message{cause: e}
	switch body := e.Body.(type) {
	case mark:
		m.ID = body.id
	case notice.Pinged:
		m.ID, m.Event = body.ID, &protocol.PingedEvent{Ping: body.Ping}
	case notice.CommonCertificate:
		m.ID, m.Event = body.ID, &protocol.CommonCertificateEvent{Timestamp: body.Timestamp}
	case notice.SequesterCertificate:
		m.ID, m.Event = body.ID, &protocol.SequesterCertificateEvent{Timestamp: body.Timestamp}
	case notice.ShamirCertificate:
		m.ID, m.Event = body.ID, &protocol.ShamirRecoveryCertificateEvent{Timestamp: body.Timestamp}
	case notice.AsyncEnrollment:
		m.ID, m.Event = body.ID, &protocol.AsyncEnrollmentEvent{}
	case notice.RealmCertificate:
		m.ID, m.Event = body.ID, &protocol.RealmCertificateEvent{Timestamp: body.Timestamp, RealmID: body.Realm}
	case notice.Invitation:
		m.ID, m.Event = body.ID, &protocol.InvitationEvent{Token: body.Token, InvitationStatus: body.Status}
	case notice.GreetingAttemptReady:
		m.ID, m.Event = body.ID, &protocol.GreetingAttemptReadyEvent{GreetingAttemptEvent: attemptEvent(body.Token, body.Attempt)}
	case notice.GreetingAttemptJoined:
		m.ID, m.Event = body.ID, &protocol.GreetingAttemptJoinedEvent{GreetingAttemptEvent: attemptEvent(body.Token, body.Attempt)}
	case notice.GreetingAttemptCancelled:
		m.ID, m.Event = body.ID, &protocol.GreetingAttemptCancelledEvent{GreetingAttemptEvent: attemptEvent(body.Token, body.Attempt)}
	case notice.Vlob:
		m.ID, m.Event = body.ID, &protocol.VlobEvent{
			RealmID: body.Realm, VlobID: body.Vlob, Author: body.Author, Timestamp: body.Timestamp, Version: body.Version,
			Blob: body.Blob, LastCommonCertificateTimestamp: body.LastCommon, LastRealmCertificateTimestamp: body.LastCertificate,
		}
	}
	return m
}

func attemptEvent(token parsec3.AccessToken, attempt parsec3.GreetingAttemptID) protocol.GreetingAttemptEvent {
	return protocol.GreetingAttemptEvent{Token: token, GreetingAttempt: attempt}
}

// SessionReader reads what a stream of events begins with.
type SessionReader interface {
	// Registration reads who opens a stream and the realms where its user has a
	// role now, deleted ones included (docs/protocol/v5/events.md §3).
	Registration(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, []parsec.RealmID, error)
}
