//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// stream follows the events of a member through an instance.
type stream struct {
	w    *world
	stop context.CancelFunc

	mu     sync.Mutex
	events []protocol.Event
	err    error // why it ended
}

func (m *member) listen(instance int) *stream {
	m.w.Helper()
	ctx, cancel := context.WithCancel(m.w.ctx)
	events, err := m.on[instance].Events(ctx, "")
	m.w.no(err)
	s := &stream{w: m.w, stop: cancel}
	if _, err = events.Next(); err != nil { // the configuration
		m.w.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			message, err := events.Next()
			s.mu.Lock()
			if err != nil {
				s.err = err
				s.mu.Unlock()
				return
			}
			s.events = append(s.events, message.Event)
			s.mu.Unlock()
		}
	}()
	m.w.Cleanup(func() {
		cancel()
		_ = events.Close() // It may have ended.
		<-ended
	})
	return s
}

// heard returns the events so far.
func (s *stream) heard() []protocol.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// await waits until holds is true of the events so far.
func (s *stream) await(what string, holds func([]protocol.Event) bool) []protocol.Event {
	s.w.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		if events := s.heard(); holds(events) {
			return events
		}
		select {
		case <-ticker.C:
		case <-s.w.ctx.Done():
			s.w.Fatalf("the stream does not tell of %s", what)
		}
	}
}

// awaitEnd waits until the server has ended the stream.
func (s *stream) awaitEnd() {
	s.w.Helper()
	s.await("its end", func([]protocol.Event) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err != nil
	})
}

// all returns the events of what is committed so far: alice adds a device, and that is
// heard last.
func (s *stream) all() []protocol.Event {
	s.w.Helper()
	date := s.w.mark()
	isMark := func(e protocol.Event) bool {
		common, is := e.(*protocol.CommonCertificateEvent)
		return is && common.Timestamp == date
	}
	events := s.await("a mark", func(events []protocol.Event) bool { return slices.ContainsFunc(events, isMark) })
	return events[:slices.IndexFunc(events, isMark)]
}

// mark adds a device of alice, and returns its date.
func (w *world) mark() (date parsec.DateTime) {
	w.Helper()
	w.ok(dated(w.alice.on[0], protocol.DeviceCreate, anytime, func(on parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
		date = on
		_, request, err := w.alice.NewDevice(must(vocabulary.ParseDeviceLabel("mark")), on)
		return request, err
	}))
	return date
}

// place returns where the first event that is as wanted stands, -1 for nowhere.
func place[E any](events []protocol.Event, wanted func(E) bool) int {
	return slices.IndexFunc(events, func(e protocol.Event) bool {
		typed, is := e.(E)
		return is && wanted(typed)
	})
}

// before reports whether of two events the first is there, and before the second.
func before(first, second int) bool { return first >= 0 && (second < 0 || first < second) }

func commonAt(date parsec.DateTime) func(*protocol.CommonCertificateEvent) bool {
	return func(e *protocol.CommonCertificateEvent) bool { return e.Timestamp == date }
}

func realmAt(realm parsec.RealmID, date parsec.DateTime) func(*protocol.RealmCertificateEvent) bool {
	return func(e *protocol.RealmCertificateEvent) bool { return e.RealmID == realm && e.Timestamp == date }
}

func sequesterAt(date parsec.DateTime) func(*protocol.SequesterCertificateEvent) bool {
	return func(e *protocol.SequesterCertificateEvent) bool { return e.Timestamp == date }
}

func vlobOf(vlob parsec.VlobID) func(*protocol.VlobEvent) bool {
	return func(e *protocol.VlobEvent) bool { return e.VlobID == vlob }
}
