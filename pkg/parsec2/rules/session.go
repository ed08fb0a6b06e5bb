package rules

import (
	"cmp"
	"context"
	"sync"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
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
	expiration organization.Deadline
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
	// OwedOnly is true once the invitation is over: the claimer may only ask for
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

// MaySend reports whether the claimer may send a command, which is nil for what
// is none.
func (i *Invitee) MaySend(command *rpc.Form) bool {
	return !i.OwedOnly || command != nil && command.Abandoned
}

// Invitee returns the claimer of an invitation that may be claimed, or that owes
// it something.
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
			if err := cmp.Or(r.CheckOpen(facts.Organization), facts.CheckDevice()); err != nil {
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

// Invitation returns an invitation that may be claimed, or whose claimer is still
// owed something; the error says why it is neither.
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
	session.expiration.Set(&session.mu, expiration, r.now(), session.end)
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
	s.expiration.Stop()
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
		s.expiration.Set(&s.mu, body.Date, s.rules.now(), s.end)
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
