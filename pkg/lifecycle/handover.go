package lifecycle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A process hands its listening sockets over to its successor by a Unix socket:
//
//	successor                      process that runs
//	connects
//	                               offers its sockets, or else is busy
//	is ready, accepts connections
//	says so
//	                               accepts nothing more, and releases the successor
//
// Both have the sockets meanwhile, so what waits in their queues is accepted by one
// of them, whatever becomes of the other. No step waits for ever for a process that
// is dead or hangs.
const (
	offered  = 'o'
	busy     = 'b'
	serving  = 's'
	released = 'r'
	tooLate  = 'l'
)

// limits bound how long one process waits for the other.
type limits struct {
	// step is for an answer that needs no thought.
	step time.Duration
	// ready is for a successor that has the sockets, until it serves.
	ready time.Duration
}

var defaultLimits = limits{step: 10 * time.Second, ready: time.Minute}

const (
	// maxSockets bounds the sockets that are handed over.
	maxSockets = 16
	// privateSocket is the mode of the Unix socket: who may write to it gets the
	// sockets.
	privateSocket = 0o600
	othersWrite   = 0o022
	// draftLength is that of the random end of a name.
	draftLength = 8
)

// checkFolder returns an error if others than this user and root may put a socket
// of theirs at path.
func checkFolder(path string) error {
	folder := filepath.Dir(path)
	information, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("hand over at %s: %w", path, err)
	}
	owner, known := information.Sys().(*syscall.Stat_t)
	switch {
	case !information.IsDir():
		return fmt.Errorf("hand over at %s: %s is no folder", path, folder)
	case information.Mode()&othersWrite != 0, known && owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("hand over at %s: other users may write to %s", path, folder)
	}
	return nil
}

// predecessor is the process that serves still.
type predecessor struct {
	conn net.Conn
	// limit bounds how long it may take to answer.
	limit time.Duration
}

// findPredecessor connects to the process that listens at path, and returns its
// sockets. There is none where nothing listens, though a socket be left of a process
// that crashed.
func findPredecessor(ctx context.Context, path string, limits limits) (*predecessor, []*net.TCPListener, error) {
	dialer := net.Dialer{Timeout: limits.step}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("find the running process: %w", err)
	}
	listeners, err := receiveOffer(conn.(*net.UnixConn), limits.step)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("take over from the process that listens on %s: %w", path, err)
	}
	return &predecessor{conn, limits.step}, listeners, nil
}

func receiveOffer(conn *net.UnixConn, limit time.Duration) ([]*net.TCPListener, error) {
	const descriptorBytes = 4
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	message, rights := make([]byte, 1), make([]byte, syscall.CmsgSpace(maxSockets*descriptorBytes))
	n, rightsBytes, _, _, err := conn.ReadMsgUnix(message, rights)
	files, rightsErr := filesOf(rights[:rightsBytes])
	listeners, listenErr := listenersOf(files)
	err = errors.Join(err, rightsErr, listenErr)
	switch {
	case n == 1 && message[0] == busy:
		err = errors.New("another process is taking over")
	case n == 0:
		err = errors.Join(err, errors.New("it ends"))
	case message[0] != offered:
		err = errors.Join(err, fmt.Errorf("it answers %q", message))
	}
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	return listeners, nil
}

// filesOf returns the files that a message on a Unix socket carries.
func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	for i := range messages {
		descriptors, rightsErr := syscall.ParseUnixRights(&messages[i])
		err = errors.Join(err, rightsErr)
		for _, descriptor := range descriptors {
			files = append(files, os.NewFile(uintptr(descriptor), "of the running process"))
		}
	}
	return files, err
}

// succeed tells the predecessor, if there is one, that this process accepts
// connections, and returns once the other does not any more. Then it is the turn of
// this process to be found.
func (p *Process) succeed() error {
	if p.predecessor != nil {
		err := p.predecessor.replace()
		p.predecessor.conn.Close()
		switch {
		case errors.Is(err, errTooLate):
			return err
		case err != nil: // it is dead, or hangs: this process serves
			p.logger.Warn("the process that served before does not answer", "error", err)
			p.shared = true
		}
		p.predecessor = nil
	}
	if p.offers == nil {
		return nil
	}
	if err := p.offers.publish(); err != nil {
		p.logger.Error("the next process cannot take over", "error", err)
	}
	return nil
}

var errTooLate = errors.New("the running process goes on serving: this one took too long to be ready")

// replace is errTooLate if the predecessor goes on serving.
func (p *predecessor) replace() error {
	if err := p.conn.SetDeadline(time.Now().Add(p.limit)); err != nil {
		return err
	}
	_, writeErr := p.conn.Write([]byte{serving}) // it may have gone on before, and said so
	answer := make([]byte, 1)
	if _, err := io.ReadFull(p.conn, answer); err != nil {
		return errors.Join(writeErr, err)
	}
	switch answer[0] {
	case released:
		return nil
	case tooLate:
		return errTooLate
	default:
		return fmt.Errorf("it answers %q", answer)
	}
}

// offers hands the sockets of a process over to the first successor that serves.
type offers struct {
	// path is where successors look, and draft where the socket is before.
	path, draft string
	listener    *Socket
	sockets     []*Socket
	limits      limits
	logger      *slog.Logger
	// heirs gets the successor.
	heirs chan *heir
	// ctx is done when nothing is handed over any more.
	ctx context.Context
	end context.CancelFunc
	// one is held by the offer that is under way.
	one sync.Mutex
	// work counts the goroutines.
	work sync.WaitGroup
	// made reports whether a successor was offered the sockets.
	made atomic.Bool
}

// heir is a successor that accepts connections. It is released once this process
// accepts none any more.
type heir struct {
	conn     net.Conn
	released chan struct{}
}

func (h *heir) release() {
	_, _ = h.conn.Write([]byte{released}) // if it is gone, it has been
	close(h.released)
}

// prepareHandover listens where no successor looks yet, so that it is known before
// anything is taken over whether that can be done.
func (p *Process) prepareHandover() error {
	if p.handover == "" {
		return nil
	}
	draft := p.handover + "." + rand.Text()[:draftLength]
	// Linux gives the file the mode of the socket, so there is no instant at which
	// others can connect.
	private := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var chmodErr error
		err := conn.Control(func(descriptor uintptr) { chmodErr = syscall.Fchmod(int(descriptor), privateSocket) })
		return errors.Join(err, chmodErr)
	}}
	listener, err := private.Listen(context.Background(), "unix", draft)
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // the name changes
	o := &offers{
		path: p.handover, draft: draft, listener: NewSocket(listener, p.logger), sockets: p.sockets, limits: p.limits,
		logger: p.logger, heirs: make(chan *heir),
	}
	o.ctx, o.end = context.WithCancel(context.Background())
	p.offers, p.heirs = o, o.heirs
	p.OnEnd("hand-over", func(context.Context) { o.close() })
	return nil
}

// publish has successors find the socket, in place of that of the predecessor.
func (o *offers) publish() error {
	if err := os.Rename(o.draft, o.path); err != nil {
		return err
	}
	o.work.Go(func() {
		for {
			conn, err := o.listener.Accept()
			if err != nil {
				return // closed
			}
			o.work.Go(func() { o.offer(conn) })
		}
	})
	return nil
}

// close ends what is under way: a successor that has the sockets serves with them.
// The file of the socket stays: that of the next process takes its place.
func (o *offers) close() {
	o.end()
	_ = o.listener.Close() // whatever it says, it is closed
	o.work.Wait()
	_ = os.Remove(o.draft) // nothing is there once it is published
}

// offer gives a successor the sockets, and waits until it serves.
func (o *offers) offer(conn net.Conn) {
	defer conn.Close()
	if !o.one.TryLock() {
		o.tell(conn, busy)
		return
	}
	defer o.one.Unlock()
	defer context.AfterFunc(o.ctx, func() { conn.Close() })()
	if err := o.send(conn.(*net.UnixConn)); err != nil {
		o.logger.Warn("the listening sockets are not handed over", "error", err)
		return
	}
	o.logger.Info("another process is about to serve instead")
	if err := o.awaitServing(conn); err != nil {
		if o.ctx.Err() == nil {
			o.logger.Warn("the other process does not serve, so this one goes on", "error", err)
		}
		return
	}
	successor := &heir{conn: conn, released: make(chan struct{})}
	select {
	case o.heirs <- successor:
		<-successor.released
	case <-o.ctx.Done():
	}
}

// tell sends one word to a successor, who may be gone.
func (o *offers) tell(conn net.Conn, word byte) {
	if conn.SetWriteDeadline(time.Now().Add(o.limits.step)) == nil {
		_, _ = conn.Write([]byte{word})
	}
}

// awaitServing returns nil once the successor says that it accepts connections.
func (o *offers) awaitServing(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(o.limits.ready)); err != nil {
		return err
	}
	answer := make([]byte, 1)
	_, err := io.ReadFull(conn, answer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		o.tell(conn, tooLate)
	}
	if err == nil && answer[0] != serving {
		err = fmt.Errorf("it answers %q", answer)
	}
	return err
}

// send offers the sockets.
func (o *offers) send(conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(o.limits.step)); err != nil {
		return err
	}
	listeners := make([]*net.TCPListener, 0, len(o.sockets))
	for _, socket := range o.sockets {
		listeners = append(listeners, socket.Listener.(*net.TCPListener))
	}
	o.made.Store(true)
	return withDescriptors(listeners, nil, func(descriptors []int) error {
		_, _, err := conn.WriteMsgUnix([]byte{offered}, syscall.UnixRights(descriptors...), nil)
		return err
	})
}

// withDescriptors calls use with the descriptors of listeners after others. They stay
// as they are: those of File would make the sockets blocking, in every process.
func withDescriptors(listeners []*net.TCPListener, others []int, use func(descriptors []int) error) error {
	if len(listeners) == 0 {
		return use(others)
	}
	raw, err := listeners[0].SyscallConn()
	if err != nil {
		return err
	}
	var useErr error
	err = raw.Control(func(descriptor uintptr) {
		useErr = withDescriptors(listeners[1:], append(others, int(descriptor)), use)
	})
	return errors.Join(err, useErr)
}
