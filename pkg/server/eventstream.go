package server

import (
	"cmp"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// keepAliveMargin is the part of the silence by which a keep-alive comes
	// early, so that there is never more of it.
	keepAliveMargin = 6
	// EventStreamType is the media type of event streams.
	EventStreamType = "text/event-stream"
)

// Stream is what a stream of events holds.
type Stream struct {
	// Type is that of the answer; "" is EventStreamType.
	Type string
	// Opening is sent at once, nil for nothing, and KeepAlive after a silence.
	Opening, KeepAlive StreamMessage
	// Next returns the next message, nil if there is none yet: once there is one,
	// somebody calls OpenStream.Wake. An error is the end. One goroutine at a time
	// calls it.
	Next func() (StreamMessage, error)
	// Close is called once, after the last call of Next.
	Close func()
}

// OpenStream is a stream of events that is or will be open. While nothing happens it
// has no goroutine but the one that notices that its client has left: what there is
// to send is sent by one that lives as long as that takes.
type OpenStream struct {
	server *Server
	stream Stream
	peer   streamPeer
	// done is closed when nothing more is sent.
	done chan struct{}

	mu sync.Mutex
	// sending reports whether a goroutine sends, and news whether it has to look
	// again; silent has it send a keep-alive.
	sending, news, silent bool
	// last leaves CloseTimeout for each message, ending takes no more of them, cutOff
	// has left the client without an end. They stay.
	last, ending, cutOff, over bool
	// timer calls elapsed, at due or earlier; zero is never. It bounds what is sent,
	// and what is not.
	timer *time.Timer
	due   time.Time
}

// streamPeer is the client of a stream. One goroutine at a time sends, or finishes.
type streamPeer interface {
	send(message StreamMessage) error
	// finish sends the end.
	finish() error
	// release is called at the end: nothing more is sent.
	release()
	// cut has what is being sent fail, and what comes after it. It is called at most
	// once.
	cut()
}

// NewStream returns a stream that Serve opens.
func (s *Server) NewStream() *OpenStream {
	return &OpenStream{server: s, done: make(chan struct{})}
}

// Serve answers a request with the stream. The stream ends when there is no next
// message, its client is gone or slow, the server ends, or somebody ends it. Over
// HTTP/1 it goes on after Serve, on the connection, which serves the next request of
// the client afterwards; otherwise Serve returns with its end. Nothing is answered if
// the server is ending: then the error is ErrNoRoom, and the stream is not closed.
func (s *OpenStream) Serve(w http.ResponseWriter, r *http.Request, stream Stream) error {
	if !s.server.enter(s) {
		return ErrNoRoom
	}
	s.stream = stream
	header := w.Header()
	header.Set("Content-Type", cmp.Or(stream.Type, EventStreamType))
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx buffers unless told otherwise
	w.WriteHeader(http.StatusOK)
	unsent := http.NewResponseController(w).Flush()
	if conn := s.takeOut(w, r); conn != nil {
		s.begin(conn, unsent)
		go conn.watch()
		return nil
	}
	defer s.server.leave(s)
	s.begin(&streamAnswer{w}, unsent)
	select {
	case <-s.done:
	case <-r.Context().Done():
		s.cut()
		<-s.done
	}
	return nil
}

// begin has the stream send, unless its client is gone.
func (s *OpenStream) begin(peer streamPeer, gone error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = peer
	s.timer = time.AfterFunc(s.patience(), s.elapsed)
	s.ending = s.ending || gone != nil
	s.look()
}

// Wake has the stream look for its next message. It does not block.
func (s *OpenStream) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
}

// look starts to send, unless the stream does, or is not served. The caller holds mu.
func (s *OpenStream) look() {
	s.news = true
	if s.sending || s.over || s.peer == nil {
		return
	}
	s.sending = true
	s.due = time.Time{} // the silence is over, and nothing is being sent yet
	s.server.work.Go(s.send)
}

// EndSoon is called when Next will return an error after the messages that wait. The
// client must read each of them at once. It does not block.
func (s *OpenStream) EndSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry()
}

// End ends the stream after the message that is being sent, if there is one, in a way
// that its client understands: it asks for the next stream at once. End does not
// block, and may be called before Serve.
func (s *OpenStream) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.hurry()
}

// hurry leaves a client that does not read no more than CloseTimeout. The caller
// holds mu.
func (s *OpenStream) hurry() {
	s.last = true
	if s.sending {
		s.elapseAfter(CloseTimeout)
	}
	s.look()
}

// cut ends the stream without its client.
func (s *OpenStream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.cutOff {
		return
	}
	s.ending, s.cutOff = true, true
	if s.peer != nil {
		s.peer.cut()
	}
	s.look()
}

// elapseAfter has elapsed be called after a while, 0 or less for never. The caller
// holds mu.
func (s *OpenStream) elapseAfter(while time.Duration) {
	if while <= 0 {
		s.due = time.Time{}
		s.timer.Stop()
		return
	}
	s.due = time.Now().Add(while)
	s.timer.Reset(while)
}

// elapsed is called when something took too long: sending, or else silence.
func (s *OpenStream) elapsed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := time.Until(s.due)
	switch {
	case s.over || s.due.IsZero():
	case left > 0: // the time was set anew meanwhile
		s.timer.Reset(left)
	case !s.sending:
		s.silent = true
		s.look()
	case !s.cutOff:
		s.ending, s.cutOff = true, true
		s.peer.cut()
	}
}

// errEnded is the end of a stream that somebody has ended.
var errEnded = errors.New("the stream was ended")

// send sends what there is, and ends the stream if that is its end.
func (s *OpenStream) send() {
	if s.sendAll() != nil {
		s.finish()
	}
}

// sendAll returns an error once nothing more is to be sent, ever.
func (s *OpenStream) sendAll() (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.server.tellPanic(cause)
			s.cut()
			err = errEnded
		}
	}()
	for {
		message, err := s.next()
		if message == nil || err != nil {
			return err
		}
		s.mu.Lock()
		s.elapseAfter(s.patience())
		s.mu.Unlock()
		if err := s.peer.send(message); err != nil {
			s.cut()
			return err
		}
	}
}

// patience returns how long a client may not read. The caller holds mu.
func (s *OpenStream) patience() time.Duration {
	if s.last {
		return CloseTimeout
	}
	return s.server.options.WriteTimeout
}

// next returns what is sent next, nil if there is nothing any more: then nobody
// sends.
func (s *OpenStream) next() (StreamMessage, error) {
	for {
		s.mu.Lock()
		ending, keepAlive := s.ending, s.silent
		s.news, s.silent = false, false
		s.mu.Unlock()
		if opening := s.stream.Opening; opening != nil {
			s.stream.Opening = nil
			return opening, nil // whatever ends the stream
		}
		if ending {
			return nil, errEnded
		}
		message, err := s.stream.Next()
		if message != nil || err != nil {
			return message, err
		}
		if keepAlive {
			return s.stream.KeepAlive, nil
		}
		if s.rest() {
			return nil, nil
		}
	}
}

// rest reports whether there is nothing to do until somebody calls look, or the time
// of a keep-alive has come.
func (s *OpenStream) rest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.news || s.silent {
		return false
	}
	s.sending = false
	silence := s.server.options.EventStreamKeepAlive
	s.elapseAfter(silence - silence/keepAliveMargin)
	return true
}

// finish tells the client that the stream is over, unless it is gone, and releases
// everything.
func (s *OpenStream) finish() {
	s.mu.Lock()
	s.last = true
	s.elapseAfter(CloseTimeout)
	gone := s.cutOff
	s.mu.Unlock()
	if !gone && s.peer.finish() != nil {
		s.cut()
	}
	s.mu.Lock()
	s.over = true
	s.timer.Stop()
	s.mu.Unlock()
	s.peer.release()
	s.stream.Close()
	close(s.done)
}

// EventStreamKeepAlive returns the longest silence of an event stream, 0 or less for
// any.
func (s *Server) EventStreamKeepAlive() time.Duration { return s.options.EventStreamKeepAlive }

// streamAnswer is the client of a stream that net/http writes.
type streamAnswer struct{ http.ResponseWriter }

func (a *streamAnswer) send(message StreamMessage) error {
	if _, err := a.Write(message.text()); err != nil {
		return err
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// finish leaves the end to net/http, after the handler.
func (*streamAnswer) finish() error { return nil }

func (*streamAnswer) release() {}

func (a *streamAnswer) cut() {
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now()) // or its limit passes
}
