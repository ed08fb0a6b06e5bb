package rules

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

const (
	// presenceDelay is how long what changes is gathered before it is written: a client
	// that comes back at once, or a thousand of them, is one write or none.
	presenceDelay = 500 * time.Millisecond
	// presenceCheck is the time between two looks whether the store still has what was
	// written, and between two tries to write it.
	presenceCheck = 5 * time.Second
	// presenceBatch bounds the users of one write.
	presenceBatch = 1000
)

// Present is a user that has a stream of events.
type Present struct {
	Organization parsec.OrganizationID
	User         parsec3.UserID
}

// PresenceChange is what has changed of the users with a stream on this instance.
type PresenceChange struct {
	// All says that Came are the first of all users, and that nobody else is present.
	All        bool
	Came, Gone []Present
}

// PresenceStore keeps who is present, on each instance that lives.
type PresenceStore interface {
	// WritePresence writes what has changed on this instance. It returns false, having
	// done nothing, if the store does not have what was written before, or nothing was:
	// a change with All comes then.
	WritePresence(ctx context.Context, change PresenceChange) (bool, error)
}

// presence has the store know who has a stream of events on this instance. It only
// counts when a stream opens or ends; what changes is written later, together. That of
// nil counts nothing.
type presence struct {
	store  PresenceStore
	logger *slog.Logger
	// ctx ends with close.
	ctx context.Context
	cut context.CancelFunc

	mu sync.Mutex
	// streams is how many each user has, none with 0, and changed are those whose first
	// one came, or last one ended, since the last write.
	streams map[Present]int
	changed map[Present]struct{}
	// written are those that the store has. It must be given all unless it stands.
	written map[Present]struct{}
	stands  bool
	// writing is the next write, or the one under way, nil for none.
	writing *time.Timer
	failed  bool
	closed  bool
	work    sync.WaitGroup
}

func newPresence(store PresenceStore, logger *slog.Logger) *presence {
	ctx, cut := context.WithCancel(context.Background())
	return &presence{
		store: store, logger: logger, ctx: ctx, cut: cut,
		streams: map[Present]int{}, changed: map[Present]struct{}{}, written: map[Present]struct{}{},
	}
}

// count adds a stream of a user, or takes one away.
func (p *presence) count(of Present, streams int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.streams[of]
	p.streams[of] = before + streams
	if p.streams[of] == 0 {
		delete(p.streams, of)
	}
	if (before == 0) != (before+streams == 0) {
		p.changed[of] = struct{}{}
		p.writeIn(presenceDelay)
	}
}

// writeIn has the next write begin after a while, unless one is to come. The caller
// holds mu.
func (p *presence) writeIn(delay time.Duration) {
	if p.writing != nil || p.closed {
		return
	}
	p.work.Add(1)
	p.writing = time.AfterFunc(delay, func() {
		defer p.work.Done()
		p.write()
	})
}

// write writes what has changed, and has the next write begin as long as somebody is
// present.
func (p *presence) write() {
	p.mu.Lock()
	changes := p.take()
	p.mu.Unlock()
	stands, err := true, error(nil)
	for _, change := range changes {
		if stands, err = p.store.WritePresence(p.ctx, change); err != nil || !stands {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if failed := err != nil; failed != p.failed && p.ctx.Err() == nil {
		p.failed = failed
		if failed {
			p.logger.Warn("who is online is not told", "error", err)
		}
	}
	p.stands, p.writing = stands && err == nil, nil
	switch {
	case len(p.changed) > 0 && p.stands:
		p.writeIn(presenceDelay)
	case len(p.written) > 0 || !p.stands:
		p.writeIn(presenceCheck)
	}
}

// take returns what is to be written, at least one change, and counts it as written:
// unless it is, all is written again. The caller holds mu.
func (p *presence) take() []PresenceChange {
	whole := PresenceChange{All: !p.stands}
	if whole.All {
		clear(p.written)
		for of := range p.streams {
			p.changed[of] = struct{}{}
		}
	}
	for of := range p.changed {
		_, written := p.written[of]
		switch isPresent := p.streams[of] > 0; {
		case isPresent && !written:
			whole.Came = append(whole.Came, of)
			p.written[of] = struct{}{}
		case !isPresent && written:
			whole.Gone = append(whole.Gone, of)
			delete(p.written, of)
		}
	}
	clear(p.changed)
	return whole.split()
}

// split returns changes of few users, in the order in which they are written.
func (c PresenceChange) split() []PresenceChange {
	var changes []PresenceChange
	for came := range slices.Chunk(c.Came, presenceBatch) {
		changes = append(changes, PresenceChange{Came: came})
	}
	for gone := range slices.Chunk(c.Gone, presenceBatch) {
		changes = append(changes, PresenceChange{Gone: gone})
	}
	if len(changes) == 0 {
		return []PresenceChange{c}
	}
	changes[0].All = c.All
	return changes
}

// close ends what goes on. The instance ends: the store no longer counts it.
func (p *presence) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = true
	if p.writing != nil && p.writing.Stop() {
		p.work.Done()
	}
	p.mu.Unlock()
	p.cut()
	p.work.Wait()
}
