package rules

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec3"
)

// presenceLog keeps what is written as stores do.
type presenceLog struct {
	mu      sync.Mutex
	changes []PresenceChange
	present map[Present]bool
	failure error
}

func (l *presenceLog) WritePresence(_ context.Context, change PresenceChange) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return false, l.failure
	}
	switch {
	case change.All:
		l.present = map[Present]bool{}
	case l.present == nil:
		return false, nil
	}
	if len(change.Came)+len(change.Gone) > 0 || change.All {
		l.changes = append(l.changes, change)
	}
	for _, of := range change.Came {
		l.present[of] = true
	}
	for _, of := range change.Gone {
		delete(l.present, of)
	}
	return true, nil
}

// set changes what the store does, or has.
func (l *presenceLog) set(change func(*presenceLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// want has so many writes since the last look leave these users.
func (l *presenceLog) want(t *testing.T, what string, writes int, users ...Present) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	want := map[Present]bool{}
	for _, of := range users {
		want[of] = true
	}
	if len(l.changes) != writes || !maps.Equal(l.present, want) {
		t.Errorf("%s: %d writes leave %v, want %d that leave %v", what, len(l.changes), l.present, writes, want)
	}
	l.changes = nil
}

func presentUser(number int) Present {
	return Present{User: parsec3.UserID{byte(number), byte(number >> 8)}}
}

// later lets the time of the bubble go on.
func later(t *testing.T, on time.Duration) {
	t.Helper()
	time.Sleep(on) //nolint:forbidigo // It is the clock of the bubble.
	synctest.Wait()
}

// What happens at once is written together, and nothing of who is away for a moment.
func TestPresenceIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &presenceLog{}
		p := newPresence(store, slog.New(slog.DiscardHandler))
		defer p.close()
		one, two := presentUser(1), presentUser(2)
		p.count(one, +1)
		store.want(t, "at first", 0)
		later(t, presenceDelay)
		store.want(t, "one comes", 1, one)
		p.count(one, +1)
		p.count(one, -1)
		p.count(two, +1)
		p.count(two, -1)
		later(t, time.Hour)
		store.want(t, "who came and went", 0, one)
		p.count(one, -1)
		p.count(one, +1)
		later(t, time.Hour)
		store.want(t, "who went and came", 0, one)
		p.count(one, -1)
		p.count(two, +1)
		later(t, presenceCheck+presenceDelay)
		store.want(t, "one for the other", 2, two)
		var crowd []Present
		for i := range 2 * presenceBatch {
			crowd = append(crowd, presentUser(10+i))
			p.count(crowd[i], +1)
		}
		later(t, presenceCheck+presenceDelay)
		store.want(t, "a crowd", 2, append(crowd, two)...)
		for _, of := range crowd {
			p.count(of, -1)
		}
		later(t, presenceCheck+presenceDelay)
		store.want(t, "without the crowd", 2, two)
	})
}

// All is written again once the store does not have it, or may not.
func TestPresenceIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &presenceLog{failure: errors.New("away")}
		p := newPresence(store, slog.New(slog.DiscardHandler))
		defer p.close()
		one, two := presentUser(1), presentUser(2)
		p.count(one, +1)
		p.count(two, +1)
		later(t, presenceDelay)
		store.want(t, "away", 0)
		store.set(func(l *presenceLog) { l.failure = nil })
		later(t, presenceCheck)
		store.want(t, "back", 1, one, two)
		store.set(func(l *presenceLog) { l.present = nil })
		later(t, 2*presenceCheck)
		store.want(t, "lost", 1, one, two)
		store.set(func(l *presenceLog) { l.failure = errors.New("away") })
		p.count(one, -1)
		later(t, presenceCheck)
		store.set(func(l *presenceLog) { l.failure = nil })
		later(t, presenceCheck)
		store.want(t, "what was not written", 1, two)
		p.count(two, -1)
		later(t, presenceCheck)
		store.want(t, "nobody", 1)
	})
}

// A server that ends writes no more, and nothing of it goes on.
func TestPresenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &presenceLog{}
		p := newPresence(store, slog.New(slog.DiscardHandler))
		p.count(presentUser(1), +1)
		p.close()
		p.count(presentUser(2), +1)
		later(t, time.Hour)
		store.want(t, "closed", 0)
		(*presence)(nil).count(presentUser(1), +1)
	})
}

// Large changes are written in parts, of which the first says that it is all.
func TestPresenceChangesAreSplit(t *testing.T) {
	whole := PresenceChange{All: true}
	for i := range presenceBatch + 1 {
		whole.Came = append(whole.Came, presentUser(i))
	}
	parts := whole.split()
	if len(parts) != 2 || !parts[0].All || parts[1].All || !slices.Equal(slices.Concat(parts[0].Came, parts[1].Came), whole.Came) {
		t.Errorf("%d parts", len(parts))
	}
	if parts := (PresenceChange{All: true}).split(); len(parts) != 1 || !parts[0].All {
		t.Errorf("of nobody: %+v", parts)
	}
}
