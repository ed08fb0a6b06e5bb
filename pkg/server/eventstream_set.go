package server

import (
	"context"
	"sync"
	"time"

	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/sleep"
)

// eventStreams are the event streams that are open, until their connections serve
// another request.
type eventStreams struct {
	mu   sync.Mutex
	open map[*OpenStream]struct{}
}

// enter counts a stream among those that Shutdown ends and waits for. It returns false
// if the server is ending.
func (s *Server) enter(stream *OpenStream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.IsDraining() {
		return false
	}
	s.work.Add(1)
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	s.streams.open[stream] = struct{}{}
	return true
}

// leave undoes enter.
func (s *Server) leave(stream *OpenStream) {
	s.streams.mu.Lock()
	delete(s.streams.open, stream)
	s.streams.mu.Unlock()
	s.work.Done()
}

func (e *eventStreams) areOpen() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.open) > 0
}

func (e *eventStreams) list() []*OpenStream {
	e.mu.Lock()
	defer e.mu.Unlock()
	streams := make([]*OpenStream, 0, len(e.open))
	for stream := range e.open {
		streams = append(streams, stream)
	}
	return streams
}

// end ends all streams. None opens any more.
func (e *eventStreams) end(ctx context.Context, next lifecycle.Succession) {
	streams := e.list()
	spread(ctx, len(streams), next, func(i int) { streams[i].End() })
}

// spread calls end for each of count streams, one after the other where their clients
// connect elsewhere at once, and all at once when ctx is done.
func spread(ctx context.Context, count int, next lifecycle.Succession, end func(i int)) {
	pace := min(streamPace, streamSpread/time.Duration(max(count, 1)))
	begun := time.Now()
	for i := range count {
		if wait := time.Until(begun.Add(time.Duration(i) * pace)); wait > 0 && next != lifecycle.LaterSuccessor {
			_ = sleep.For(ctx, wait) // Without time left they end at once.
		}
		end(i)
	}
}

// cut ends all streams without their clients.
func (e *eventStreams) cut() {
	for _, stream := range e.list() {
		stream.cut()
	}
}
