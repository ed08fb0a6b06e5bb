package rules

import (
	"context"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

const (
	// maxQueuedEvents bounds the events that wait for a client; one more ends
	// its session (docs/protocol/events.md §3).
	maxQueuedEvents = 100
	// maxQueuedBeforePing is how many may wait for pings to be kept as well.
	maxQueuedBeforePing = maxQueuedEvents / 2
)

// Session is a connection that lasts: it ends when its user, its invitation or
// its organization may not be served any more, and holds the events that wait
// for its client. Close releases it.
type Session struct {
	// Author is zero in an invited session.
	Author Author
	// Invitee is zero in an authenticated session.
	Invitee Invitee

	rules        *Rules
	subscription *event.Subscription
	onOver       func()
	// onFinished is of a claimer, nil for others.
	onFinished func()
	// presence is of a claimer, zero for others.
	presence parsec.UUID

	mu   sync.Mutex
	over bool
	// delivering ends the session of a claimer whose invitation is over, and
	// who may still ask for what it is owed; nil before.
	delivering *time.Timer
	// early holds the closing events received while the session opens.
	opening    bool
	early      []event.Event
	expiration *time.Timer
	subscribed bool
	// loading holds the role changes received while the roles are read.
	loading     bool
	roleChanges []notice.RealmRolesUpdated
	queue       []protocol.Event
	// onEvent is called once, when the queue is not empty any more.
	onEvent func()
}

// Invitee is the claimer of an invitation.
type Invitee struct {
	Organization parsec.OrganizationID
	Token        parsec.InvitationToken
	Type         parsec.InvitationType
	API          parsec.APIVersion
	// Connection names what a session comes by; zero for a single request.
	Connection parsec.UUID
	// OwedOnly tells that the invitation is over: the claimer may only ask for
	// what it is still owed.
	OwedOnly bool
	// What follows is as when the claimer connected.
	Greeter            parsec.UserID
	GreeterHumanHandle parsec.HumanHandle
	ClaimerEmail       string
	// Recovery and Claimer are of SHAMIR_RECOVERY.
	Recovery *Recovery
	Claimer  parsec.UserID
}

// MaySend tells whether the claimer may send a command, nil for what is none.
func (i *Invitee) MaySend(command *rpc.Form) bool {
	return !i.OwedOnly || command != nil && command.Abandoned
}

// Invitee is the claimer of an invitation that may be claimed, or that owes it
// something.
func (f InvitationFacts) Invitee(api parsec.APIVersion) Invitee {
	return Invitee{
		Organization: f.Organization.ID, Token: f.Invitation.Token, Type: f.Invitation.Type, API: api,
		Greeter: f.Invitation.Greeter, GreeterHumanHandle: f.Greeter.HumanHandle, ClaimerEmail: f.Invitation.ClaimerEmail,
		Recovery: f.Recovery, Claimer: f.Invitation.Claimer, OwedOnly: f.Invitation.over(),
	}
}

// Authenticate checks an answer and opens the session of its author. onOver is
// called once, on a goroutine that it must not block, when the session must
// end by itself.
func (r *Rules) Authenticate(ctx context.Context, answer Answer, onOver func()) (*Session, error) {
	return r.openSession(onOver,
		[]event.Topic{notice.UserTopic(answer.Organization, answer.Device.User()), event.OrganizationTopic(answer.Organization)},
		func(session *Session) (expiration *parsec.DateTime, err error) {
			facts, err := r.store.Authentication(ctx, answer.Organization, answer.Device)
			if err != nil {
				return nil, err
			}
			if err := r.checkAnswer(answer, facts); err != nil {
				return nil, err
			}
			session.Author = facts.Author(answer.API)
			session.Author.Connection = parsec.NewUUID()
			return facts.Organization.ExpirationDate, nil
		})
}

// Resume opens the session of an author authenticated by other means. The
// checks are made again, since the session did not watch meanwhile.
func (r *Rules) Resume(ctx context.Context, author Author, onOver func()) (*Session, error) {
	return r.openSession(onOver,
		[]event.Topic{notice.UserTopic(author.Organization, author.User()), event.OrganizationTopic(author.Organization)},
		func(session *Session) (expiration *parsec.DateTime, err error) {
			facts, err := r.store.Authentication(ctx, author.Organization, author.Device)
			if err != nil {
				return nil, err
			}
			if err := r.CheckOpen(facts.Organization); err != nil {
				return nil, err
			}
			if err := facts.CheckDevice(); err != nil {
				return nil, err
			}
			session.Author = author
			return facts.Organization.ExpirationDate, nil
		})
}

// ConnectInvited checks an invitation and opens the session of its claimer,
// which an expiration ends too (docs/protocol/commands.md §10, invariant 57).
// onFinished is called at most once, like onOver, when the invitation is
// deleted while the claimer may be owed something: the session goes on until
// the claimer has it, a minute at most (docs/protocol/invite.md §4).
func (r *Rules) ConnectInvited(ctx context.Context, invitee Invitee, onOver, onFinished func()) (*Session, error) {
	return r.openSession(onOver,
		[]event.Topic{notice.InvitationTopic(invitee.Organization, invitee.Token), event.OrganizationTopic(invitee.Organization)},
		func(session *Session) (expiration *parsec.DateTime, err error) {
			session.onFinished = onFinished
			return r.join(ctx, session, invitee)
		})
}

// ConnectAnonymous checks an anonymous API 1 connection, whose root key is nil
// when not given, and opens its session, which an expiration ends.
func (r *Rules) ConnectAnonymous(ctx context.Context, anonymous Anonymous, rootVerifyKey *parsec.VerifyKey, onOver func()) (*Session, error) {
	return r.watchOrganization(ctx, anonymous.Organization, onOver, func(organization *Organization) error {
		return r.checkAnonymous(organization, rootVerifyKey)
	})
}

// WatchOrganization opens a session that only the expiration of the organization
// ends, for a caller checked by other means.
func (r *Rules) WatchOrganization(ctx context.Context, id parsec.OrganizationID, onOver func()) (*Session, error) {
	return r.watchOrganization(ctx, id, onOver, r.CheckOpen)
}

func (r *Rules) watchOrganization(ctx context.Context, id parsec.OrganizationID, onOver func(), check func(*Organization) error) (*Session, error) {
	return r.openSession(onOver, []event.Topic{event.OrganizationTopic(id)},
		func(*Session) (expiration *parsec.DateTime, err error) {
			organization, err := r.FindOrganization(ctx, id)
			if err == nil {
				err = check(organization)
			}
			if err != nil || organization == nil {
				return nil, err
			}
			return organization.ExpirationDate, nil
		})
}

// watchGreeter has the revocation of the only greeter end the session.
func (s *Session) watchGreeter() {
	if s.Invitee.Type != parsec.InvitationShamirRecovery {
		s.subscription.Add(notice.UserTopic(s.Invitee.Organization, s.Invitee.Greeter))
	}
}

// Invitation reads an invitation that may be claimed, or whose claimer is still
// owed something, or returns why not.
func (r *Rules) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (InvitationFacts, error) {
	facts, err := r.store.Invitation(ctx, organization, token)
	if err != nil {
		return facts, err
	}
	if err := r.CheckOpen(facts.Organization); err != nil {
		return facts, err
	}
	switch {
	case facts.Invitation == nil:
		return facts, UnknownInvitation
	case !facts.Invitation.admits(r.now()):
		return facts, DeletedInvitation
	default:
		return facts, nil
	}
}

// openSession watches the topics before it checks, so that what happens in
// between is not missed.
func (r *Rules) openSession(onOver func(), topics []event.Topic, check func(*Session) (expiration *parsec.DateTime, err error)) (*Session, error) {
	session := &Session{rules: r, onOver: onOver, opening: true}
	session.subscription = r.bus.Subscribe(session.receive, topics...)
	expiration, err := check(session)
	if err != nil {
		session.Close()
		return nil, err
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	session.opening = false
	session.expireAt(expiration)
	for _, e := range session.early {
		session.handle(e)
	}
	session.early = nil
	return session, nil
}

// Close releases the session.
func (s *Session) Close() {
	s.subscription.Close()
	if s.presence != (parsec.UUID{}) {
		s.rules.leave(s.Invitee, s.presence)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.rules.queued.Add(-int64(len(s.queue)))
	s.queue = nil
	if s.expiration != nil {
		s.expiration.Stop()
	}
	if s.delivering != nil {
		s.delivering.Stop()
	}
}

// Received records that the claimer got all that it was answered through this
// session: it will not ask for it again.
func (s *Session) Received(ctx context.Context) error {
	scope := Scope{Organization: s.Invitee.Organization, Invitation: s.Invitee.Token}
	return s.rules.store.Update(ctx, scope, func(tx Tx) error {
		tx.MarkReceived(s.Invitee.Connection)
		return nil
	})
}

// finish lets the session of a claimer last until the claimer has what it is
// owed, but not beyond left. The caller holds mu.
func (s *Session) finish(left time.Duration) {
	if s.over || s.delivering != nil {
		return
	}
	s.delivering = time.AfterFunc(left, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end()
	})
	s.onFinished()
}

// end tells the connection, once. The caller holds mu.
func (s *Session) end() {
	if !s.over {
		s.over = true
		s.onOver()
	}
}

// expireAt ends the session at date. The caller holds mu.
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
		if s.expiration == timer { // else the date changed meanwhile
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
	case s.opening:
		// Nothing else concerns a session that is not subscribed.
		switch e.Body.(type) {
		case notice.UserRevoked, notice.UserFrozen, event.OrganizationExpiration, notice.InviteStatusChanged, event.Lost:
			s.early = append(s.early, e)
		}
	default:
		s.handle(e)
	}
}

// handle takes one event of an open session. The caller holds mu.
func (s *Session) handle(e event.Event) {
	switch body := e.Body.(type) {
	case notice.UserRevoked:
		if s.delivering == nil { // A greeter that had finished owes all the same.
			s.end()
		}
	case event.Lost:
		s.end()
	case notice.UserFrozen:
		if s.Invitee.Token == (parsec.InvitationToken{}) { // A greeter may be unfrozen.
			s.end()
		}
	case event.OrganizationExpiration:
		s.expireAt(body.Date)
	case notice.InviteStatusChanged:
		if s.Invitee.Token == body.Token && body.Status == parsec.InvitationDeleted {
			if body.Owed {
				s.finish(deliveryTime)
			} else {
				s.end()
			}
			return
		}
		s.enqueue(e, body)
	case notice.RealmRolesUpdated:
		if s.loading {
			s.roleChanges = append(s.roleChanges, body)
		} else if s.subscribed {
			s.follow(body)
		}
		s.enqueue(e, body)
	case notice.ForClients:
		s.enqueue(e, body)
	}
}

// follow keeps the topics equal to the realms where the user has a role.
func (s *Session) follow(change notice.RealmRolesUpdated) {
	topic := notice.RealmTopic(s.Author.Organization, change.Realm)
	if change.Role == parsec.RoleNone {
		s.subscription.Remove(topic)
	} else {
		s.subscription.Add(topic)
	}
}

// enqueue keeps what the client must be told. The caller holds mu.
func (s *Session) enqueue(e event.Event, body notice.ForClients) {
	kind := body.Kind()
	if !s.subscribed || !kind.ForAuthor && e.Author == s.Author.Device {
		return
	}
	told := notice.Told(s.Author.API, body)
	if told == nil || s.needless(kind, told) {
		return
	}
	if len(s.queue) == maxQueuedEvents {
		s.rules.overflows.Add(1)
		s.end()
		return
	}
	s.queue = append(s.queue, told)
	s.rules.queued.Add(1)
	if wake := s.onEvent; wake != nil {
		s.onEvent = nil
		wake()
	}
}

// needless reports whether the client may as well not be told. The caller holds
// mu.
func (s *Session) needless(kind *notice.Kind, told protocol.Event) bool {
	switch kind.Excess {
	case notice.Crowded:
		return len(s.queue) >= maxQueuedBeforePing
	case notice.Repeated:
		return slices.ContainsFunc(s.queue, func(waiting protocol.Event) bool { return kind.Equal(waiting, told) })
	default:
		return false
	}
}

// OnEvent calls wake once, as soon as an event waits for the client. It
// replaces an earlier wake that was not called. wake must not block, nor use
// the session.
func (s *Session) OnEvent(wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		s.onEvent = nil
		wake()
		return
	}
	s.onEvent = wake
}

// EventsSubscribe starts the delivery of events; again is harmless
// (docs/protocol/events.md §1).
func (r *Rules) EventsSubscribe(ctx context.Context, session *Session, _ *protocol.EventsSubscribeRequest) (*protocol.EventsSubscribeReply, error) {
	session.mu.Lock()
	if session.subscribed {
		session.mu.Unlock()
		return &protocol.EventsSubscribeReply{}, nil
	}
	session.subscribed, session.loading = true, true
	session.mu.Unlock()

	realms, err := r.store.RealmsOf(ctx, session.Author.Organization, session.Author.User())

	session.mu.Lock()
	defer session.mu.Unlock()
	changes := session.roleChanges
	session.loading, session.roleChanges = false, nil
	if err != nil {
		session.subscribed = false
		return nil, err
	}
	if session.Author.Profile == parsec.ProfileAdmin { // for ever: profiles do not change
		session.subscription.Add(notice.AdministratorsTopic(session.Author.Organization))
	}
	for _, realm := range realms {
		session.subscription.Add(notice.RealmTopic(session.Author.Organization, realm.ID))
	}
	for _, change := range changes {
		session.follow(change)
	}
	return &protocol.EventsSubscribeReply{}, nil
}

// EventsListen takes the oldest event, waiting for one if the request says so.
// Once ctx is done no event is taken: none is lost by an abandoned wait.
func (r *Rules) EventsListen(ctx context.Context, session *Session, request *protocol.EventsListenRequest) (protocol.Event, error) {
	for {
		told, err := session.take(ctx)
		switch {
		case err != nil:
			return nil, err
		case told != nil:
			return told, nil
		case !request.Wait:
			return nil, protocol.Refuse(protocol.StatusNoEvents, "No event is waiting.")
		}
		arrived := make(chan struct{})
		session.OnEvent(func() { close(arrived) })
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// QueuedEvents is how many events wait for their clients, of all sessions.
func (r *Rules) QueuedEvents() int64 { return r.queued.Load() }

// EventOverflows is how many sessions ended because more events waited for
// their client than a session keeps.
func (r *Rules) EventOverflows() int64 { return r.overflows.Load() }

// take gives nil if the queue is empty.
func (s *Session) take(ctx context.Context) (protocol.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.queue) == 0 {
		return nil, nil
	}
	told := s.queue[0]
	s.queue = s.queue[1:]
	s.rules.queued.Add(-1)
	if len(s.queue) == 0 {
		s.queue = nil // an idle session keeps no memory for events
	}
	return told, nil
}
