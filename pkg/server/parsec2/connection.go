package parsec2

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
)

// The largest messages, in bytes (docs/protocol/transport.md §4). Before the
// handshake nobody needs more than a few keys; whoever is not authenticated needs
// no more than over HTTP.
const (
	maxMessageBytes   = 16 << 20
	maxHandshakeBytes = 64 << 10
)

// The time between two messages after which a connection is ended that is not
// authenticated. People fill in forms meanwhile.
const (
	anonymousSilence = 5 * time.Minute
	invitedSilence   = 30 * time.Minute
)

// connection is one WebSocket. Its reading goroutine owns it; the command of
// the moment runs on another one, and at most one does at a time.
type connection struct {
	wing    *Wing
	socket  *websocket.Conn
	guard   *server.GuardedConn
	address netip.Addr
	visit   *visit
	// held is what the message of the moment holds of its budget; nil for an
	// administrator.
	held *server.Share
	// caller is written by the handshake only, before its session opens but
	// for what the session is needed for.
	caller caller
	// session is nil for an administrator.
	session *rules.Session
	// identity is what the log says of the connection, while its handshake
	// finds it out.
	identity []any

	mu sync.Mutex
	// cancel ends the running command, without reply; nil when none runs.
	cancel context.CancelFunc
	// idleSince is when the last command ended.
	idleSince time.Time
	// abandonable reports whether the next message cancels the running command.
	abandonable bool
	// draining reports whether the connection closes after the running command.
	draining bool
	// sending reports whether a reply is on its way.
	sending bool
	// delivery is of claimers.
	delivery delivery
	// closed reports whether nothing more may be sent.
	closed bool
	// closing is closed once the close handshake is over, nil before it begins.
	closing chan struct{}
}

// webSocket upgrades a request, and refuses any that asks for something else. The
// connection lives on a goroutine of its own: that of the request ends here, with
// its memory.
func (w *Wing) webSocket(answer http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 || !server.IsUpgrade(r) {
		http.Error(answer, "This is a WebSocket endpoint.", http.StatusBadRequest)
		return
	}
	address := w.server.ClientAddress(r)
	if w.server.IsDraining() {
		server.RefuseBusy(answer)
		return
	}
	visit := w.visitors.enter(address)
	if visit == nil {
		server.RefuseBusy(answer)
		return
	}
	guarded := w.server.Guard(answer)
	socket, err := websocket.Accept(guarded, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // clients send no Origin, and cookies mean nothing here
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		visit.leave()
		return
	}
	c := &connection{wing: w, socket: socket, guard: guarded.Conn, address: address, visit: visit, idleSince: time.Now()}
	c.caller.release = protocol.ReleaseOf(r.UserAgent())
	visit.begin(func() { _ = c.guard.Close() })
	c.identify("connection", newConnectionID(), "address", address.String(), "transport", "websocket")
	if !w.start(c) {
		visit.leave()
		c.cut()
	}
}

func newConnectionID() string {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// identify adds to what the log says of the connection. It is called before
// the connection has other goroutines. The logger is made anew each time: that
// of an idle connection keeps no other alive.
func (c *connection) identify(attributes ...any) {
	c.identity = append(c.identity, attributes...)
	c.caller.logger = c.wing.server.Logger().With(c.identity...)
}

// greet runs the handshake and reports whether it is accepted.
func (c *connection) greet() (accepted bool) {
	defer c.recoverPanic()
	return c.handshake()
}

// judged settles or ends the visit once the answer is judged, before the
// client is told: what the client then does shall not count against its limit.
func (c *connection) judged(err error) {
	if err == nil && c.isStranger() {
		c.visit.settle()
	} else {
		c.visit.leave()
	}
}

// isStranger reports whether the connection counts until it ends: anybody may
// have an anonymous one, and an invitation is a link that goes around.
func (c *connection) isStranger() bool {
	return c.caller.kind == protocol.Anonymous || c.caller.kind == protocol.Invited
}

// live runs the commands until the connection ends.
func (c *connection) live() {
	defer c.end()
	defer c.recoverPanic()
	c.identity = nil
	switch {
	case c.isStranger():
		c.held = c.wing.server.StrangersShare(c.address)
		c.socket.SetReadLimit(maxStrangerBytes)
	case c.caller.kind == protocol.Authenticated:
		c.held = c.wing.server.UsersShare(c.caller.account)
		c.socket.SetReadLimit(maxMessageBytes)
	default:
		c.socket.SetReadLimit(server.MaxBodyBytes)
	}
	c.loop()
}

// recoverPanic keeps a panic from ending more than the connection.
func (c *connection) recoverPanic() {
	if cause := recover(); cause != nil {
		c.caller.logger.Error("panic", "cause", cause, "stack", string(debug.Stack()))
	}
}

// loop reads messages one at a time. The frame header of the next message is
// awaited while a command runs, which keeps pings answered and shows that the
// peer is gone; its payload is read once the command is over.
func (c *connection) loop() {
	idle := make(chan struct{}, 1) // holds a token while no command runs
	idle <- struct{}{}
	for {
		kind, reader, err := c.socket.Reader(context.Background())
		c.interrupt(err != nil)
		<-idle
		if err != nil {
			c.logEnd(err)
			return
		}
		message, err := c.receive(reader)
		if err != nil {
			if errors.Is(err, server.ErrNoRoom) {
				c.close(websocket.StatusTryAgainLater)
			}
			c.logEnd(err)
			return
		}
		request := *message
		if kind != websocket.MessageBinary {
			request = nil // of invalid format
		}
		t := c.caller.decode(request, c.caller.api.Major)
		ctx, open := c.begin(t.Form)
		if !open {
			server.PutBuffer(message)
			c.held.Release()
			return
		}
		go c.perform(ctx, &exchange{t, message, idle})
	}
}

// receive reads the message that began. Each MiB of it has its time. That of a
// stranger is refused when there is no room; that of a user is not read until
// there is.
func (c *connection) receive(reader io.Reader) (*[]byte, error) {
	c.guard.BeginMessage(c.wing.server.BodyTimeout())
	message, err := server.ReadMessage(reader, c.awaitRoom)
	if err == nil {
		err = c.guard.EndMessage()
	}
	if err != nil {
		c.held.Release()
		return nil, err
	}
	c.held.Settle(cap(*message))
	return message, nil
}

// awaitRoom lets a message grow. A user's waits for all that an ordinary one
// takes, once, and for nothing while it holds something: those who wait do not
// wait for each other.
func (c *connection) awaitRoom(capacity int) error {
	if c.caller.kind != protocol.Authenticated || c.held.Held() > 0 || capacity <= server.FreeBytes {
		return c.held.Grow(capacity)
	}
	return c.held.Await(c.wing.server.Commands(), max(capacity, server.MaxBodyBytes))
}

// exchange is one message on its way to its answer.
type exchange struct {
	server.Task
	message *[]byte
	idle    chan<- struct{}
}

// perform answers one message, unless it must wait for an event: then it
// happens again when there is one, or when ctx is done.
func (c *connection) perform(ctx context.Context, e *exchange) {
	if !c.command(ctx, e.Task) {
		again := sync.OnceFunc(func() { go c.perform(ctx, e) })
		context.AfterFunc(ctx, again)
		c.session.OnEvent(again)
		return
	}
	server.PutBuffer(e.message)
	c.held.Release()
	c.finish()
	e.idle <- struct{}{}
}

// command answers one message and reports whether it is done with it.
func (c *connection) command(ctx context.Context, t server.Task) bool {
	if t.Err == nil {
		if hasty := c.wing.server.Limit(t.Form, c.wing.rules.Founding().SpontaneousBootstrap, c.address); hasty != nil {
			t.Err = protocol.Refuse(protocol.StatusTooManyRequests, hasty.Error())
		}
	}
	room, err := c.wing.admit(ctx, &c.caller, t.Form)
	defer room.Release()
	var reply server.Reply
	if err == nil {
		reply, err = c.wing.server.Run(ctx, &c.caller, t)
	}
	switch {
	case err == nil:
		room.Settle(cap(*reply.Encoded))
		c.send(*reply.Encoded)
		server.PutBuffer(reply.Encoded)
		c.answered()
	case errors.Is(err, server.ErrNotYet):
		return false
	case ctx.Err() != nil:
		// Abandoned: the next message, or the end, is being handled.
	case c.caller.IsOver(err):
		c.close(websocket.StatusNormalClosure)
	case errors.Is(err, server.ErrNoRoom):
		c.close(websocket.StatusTryAgainLater)
	default:
		c.close(websocket.StatusInternalError)
	}
	return true
}

// begin lets a command run until its context is done: when the
// client or the server ends, and those that wait, when the next message
// arrives. The command is nil for a message that has none.
func (c *connection) begin(command *rpc.Form) (context.Context, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.closed {
		return nil, false
	}
	ctx, cancel := context.WithCancel(c.wing.server.Commands())
	c.cancel, c.abandonable = cancel, command != nil && command.Abandoned
	if c.abandonable {
		c.delivery.answered = false
	}
	return ctx, true
}

func (c *connection) finish() {
	c.mu.Lock()
	c.cancel()
	c.cancel = nil
	c.idleSince = time.Now()
	draining := c.draining
	c.deliver()
	c.mu.Unlock()
	if draining {
		c.close(websocket.StatusGoingAway)
	}
}

// interrupt is called when a message arrived, or when none will.
func (c *connection) interrupt(ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil && (c.abandonable || ended) {
		c.cancel()
	}
}

// send writes one reply, unless the connection is closing.
func (c *connection) send(reply []byte) {
	c.mu.Lock()
	closed := c.closed
	c.sending = !closed
	c.mu.Unlock()
	if closed {
		return
	}
	err := c.socket.Write(context.Background(), websocket.MessageBinary, reply)
	c.mu.Lock()
	c.sending = false
	if c.closed {
		c.cutSoon()
	}
	c.mu.Unlock()
	if err != nil {
		c.caller.logger.Debug("reply not delivered", "error", err)
		c.close(websocket.StatusInternalError)
	}
}

// close sends a close frame, after the reply on its way, and lets the peer
// answer it for a while, on a goroutine that end waits for: it may be called
// from anywhere.
func (c *connection) close(code websocket.StatusCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.closing = make(chan struct{})
	if !c.sending {
		c.cutSoon()
	}
	go func() { // the library waits five seconds for the reply on its way
		defer close(c.closing)
		if err := c.socket.Close(code, ""); err != nil {
			c.caller.logger.Debug("close not acknowledged", "error", err)
		}
	}()
}

// cutSoon gives the peer time to answer the close frame. Official clients keep
// connections that they do not read, and never answer.
func (c *connection) cutSoon() { time.AfterFunc(server.CloseTimeout, c.guard.Cut) }

// end waits for the close handshake, if there is one, and releases the session
// and the socket.
func (c *connection) end() {
	if c.session != nil {
		c.session.Close()
	}
	c.mu.Lock()
	c.closed = true
	closing := c.closing
	c.mu.Unlock()
	c.visit.leave()
	if closing != nil {
		<-closing
	}
	c.cut()
}

// drain closes the connection, once its command is finished if it must finish.
func (c *connection) drain() {
	c.mu.Lock()
	c.draining = true
	if c.cancel != nil && !c.abandonable {
		c.mu.Unlock()
		return
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	c.close(websocket.StatusGoingAway)
}

// cut ends the connection at once.
func (c *connection) cut() {
	c.mu.Lock()
	c.closed = true
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	c.guard.Cut() // first: CloseNow waits for a close handshake in progress
	_ = c.socket.CloseNow()
}

// over is called when the session of the connection must end.
func (c *connection) over() { c.close(websocket.StatusNormalClosure) }

// look does what the sweeper does at the instant now.
func (c *connection) look(now time.Time) {
	c.mu.Lock()
	idle := now.Sub(c.idleSince)
	if c.cancel != nil {
		idle = 0
	}
	c.mu.Unlock()
	if c.visit.hasSettled() && idle > c.silence() {
		c.close(websocket.StatusNormalClosure)
		return
	}
	c.pingIfSilent(now)
}

// silence returns how long the connection of a stranger may say nothing.
func (c *connection) silence() time.Duration {
	if c.caller.kind == protocol.Invited {
		return invitedSilence
	}
	return anonymousSilence
}

// pingIfSilent pings a peer when nothing passed for a while, and cuts it if it
// does not answer.
func (c *connection) pingIfSilent(now time.Time) {
	if !c.guard.SilentSince(now.Add(-silenceForPing)) {
		return
	}
	c.wing.server.Go(func() {
		asked := time.Now()
		ctx, cancel := context.WithTimeout(c.wing.server.Commands(), pongTimeout)
		defer cancel()
		if err := c.socket.Ping(ctx); err != nil && !c.isBusy() && !c.guard.HeardSince(asked) {
			c.cut()
		}
	})
}

// isBusy reports whether no pong may be expected: the reply on its way comes
// first, or the next message waits in front of it for the end of the command.
func (c *connection) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sending || c.cancel != nil && !c.abandonable
}

func (c *connection) logEnd(err error) {
	c.caller.logger.Debug("connection ended", "close_code", int(websocket.CloseStatus(err)), "error", err)
}
