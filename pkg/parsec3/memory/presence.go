package memory

import (
	"context"
	"sync"

	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// presence are the users with a stream of events on the only instance.
type presence struct {
	mu sync.Mutex
	// users is nil until all were written.
	users map[rules.Present]struct{}
}

// WritePresence implements rules.PresenceStore.
func (s *Store) WritePresence(ctx context.Context, change rules.PresenceChange) (bool, error) {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case change.All:
		s.presence.users = map[rules.Present]struct{}{}
	case s.presence.users == nil:
		return false, nil
	}
	for _, of := range change.Came {
		s.presence.users[of] = struct{}{}
	}
	for _, of := range change.Gone {
		delete(s.presence.users, of)
	}
	return true, nil
}

func (p *presence) onlineStatus(of rules.Present) protocol.OnlineStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, isPresent := p.users[of]; isPresent {
		return protocol.Online
	}
	return protocol.Offline
}
