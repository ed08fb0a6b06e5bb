package rules

import (
	"context"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

const (
	// maxQueuedEvents bounds the events that wait for a client; one more ends
	// its session (docs/protocol/events.md §3).
	maxQueuedEvents = 100
	// maxQueuedBeforePing is how many may wait for pings to be kept as well.
	maxQueuedBeforePing = maxQueuedEvents / 2
)

// EventsSubscribe starts the delivery of events. A second call changes nothing
// (docs/protocol/events.md §1).
func (r *Rules) EventsSubscribe(ctx context.Context, session *Session, _ *protocol.EventsSubscribeRequest) (*protocol.EmptyReply, error) {
	session.mu.Lock()
	if session.subscribed {
		session.mu.Unlock()
		return &protocol.EmptyReply{}, nil
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
	return &protocol.EmptyReply{}, nil
}

// EventsListen returns the oldest event, and waits for one if the request says
// so. Once ctx is done it takes none: an abandoned wait loses no event.
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
	told := kind.Told(s.Author.API, body)
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

// needless reports whether a client for which others wait may as well not be
// told. The caller holds mu.
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

// take returns the oldest event, nil if there is none. It takes none once ctx is
// done.
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

// QueuedEvents returns how many events wait for their clients, of all sessions.
func (r *Rules) QueuedEvents() int64 { return r.queued.Load() }

// EventOverflows returns how many sessions ended because more events waited for
// their client than a session keeps.
func (r *Rules) EventOverflows() int64 { return r.overflows.Load() }
