package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/coreos/go-systemd/v22/activation"
)

// estate is what a process inherits, and leaves.
type estate struct {
	// inherited are the sockets that nobody has asked for yet.
	inherited []*net.TCPListener
	// kept reports whether systemd keeps the queues of the sockets when this
	// process has ended.
	kept bool
	// shared reports whether a process that does not answer may have the sockets too.
	shared bool
	// sockets are those that the process listens on.
	sockets []*Socket
	// handover is the path of the Unix socket where a successor is offered them, ""
	// for nowhere.
	handover string
	// predecessor is the process that serves still, nil for none.
	predecessor *predecessor
	// offers is nil without handover.
	offers *offers
	// heirs gets the successor that accepts connections; nil without handover.
	heirs  <-chan *heir
	limits limits
}

// Inherit takes over the listening sockets that systemd passes to the process
// (sd_listen_fds(3)). Without any, it takes those of the process that listens on the
// Unix socket handover, if one does, and hands over its own there, once it serves;
// "" is for neither. Listen then returns them. The folder of handover must belong to
// this user, or to root, and nobody else may write to it: who can connect to the
// socket gets the sockets of the process.
func (p *Process) Inherit(ctx context.Context, handover string) error {
	return p.inherit(ctx, activation.Files(true), handover)
}

// inherit takes over the sockets that systemd has passed as files, or else those of
// the process that listens on handover.
func (p *Process) inherit(ctx context.Context, files []*os.File, handover string) error {
	passed, err := listenersOf(files)
	if err != nil {
		return err
	}
	if len(passed) > 0 {
		if handover != "" {
			p.logger.Warn("nothing is handed over: systemd passes the listening sockets on", "socket", handover)
		}
		p.inherited, p.kept = passed, true
	} else if handover != "" {
		if err := checkFolder(handover); err != nil {
			return err
		}
		p.handover = handover
		if p.predecessor, p.inherited, err = findPredecessor(ctx, handover, p.limits); err != nil {
			return err
		}
	}
	p.OnEnd("what is inherited", func(context.Context) {
		closeAll(p.inherited)
		if p.predecessor != nil {
			p.predecessor.conn.Close()
		}
	})
	return nil
}

// listenersOf closes the files.
func listenersOf(files []*os.File) (listeners []*net.TCPListener, err error) {
	for _, file := range files {
		listener, listenErr := net.FileListener(file)
		file.Close()
		if tcp, is := listener.(*net.TCPListener); is {
			listeners = append(listeners, tcp)
			continue
		}
		if listenErr == nil {
			listener.Close()
			listenErr = errors.New("not of TCP")
		}
		err = errors.Join(err, fmt.Errorf("inherited socket %s: %w", file.Name(), listenErr))
	}
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	return listeners, nil
}

func closeAll(listeners []*net.TCPListener) {
	for _, listener := range listeners {
		_ = listener.Close() // whatever it says, it is closed
	}
}

// Listen returns a TCP socket on an address, host:port: one that the process
// inherited, or a new one. It ends with the process.
func (p *Process) Listen(ctx context.Context, address string) (*Socket, error) {
	socket, err := p.claim(address)
	if err == nil && socket == nil {
		socket, err = Listen(ctx, address, p.logger)
	}
	if err != nil {
		return nil, err
	}
	p.sockets = append(p.sockets, socket)
	p.OnEnd("listening on "+address, func(context.Context) { _ = socket.Close() }) // whatever it says, it is closed
	return socket, nil
}

// claim returns the socket on address that the process inherited, nil for none.
func (p *Process) claim(address string) (*Socket, error) {
	if len(p.inherited) == 0 {
		return nil, nil
	}
	wanted, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	place := slices.IndexFunc(p.inherited, func(l *net.TCPListener) bool {
		return isSame(l.Addr().(*net.TCPAddr).AddrPort(), wanted.AddrPort())
	})
	if place < 0 {
		return nil, nil
	}
	claimed := p.inherited[place]
	p.inherited = slices.Delete(p.inherited, place, place+1)
	return NewSocket(claimed, p.logger), nil
}

// isSame reports whether two sockets would listen on the same address: all addresses
// have several names.
func isSame(a, b netip.AddrPort) bool {
	one := func(address netip.Addr) netip.Addr {
		if address = address.Unmap(); !address.IsValid() || address.IsUnspecified() {
			return netip.IPv6Unspecified()
		}
		return address
	}
	return a.Port() == b.Port() && one(a.Addr()) == one(b.Addr())
}

// refuseUnclaimed closes the inherited sockets that nobody wants: their addresses are
// no longer in the settings. That of systemd would have its clients wait for ever.
func (p *Process) refuseUnclaimed() error {
	unclaimed := p.inherited
	p.inherited = nil
	closeAll(unclaimed)
	if p.kept && len(unclaimed) > 0 {
		return fmt.Errorf("systemd listens on %s, and the settings name another address", unclaimed[0].Addr())
	}
	return nil
}

// endQueue ends the queue of the socket that listener is, or is made of, unless it
// may live on in another process. Nothing is handed over any more.
func (p *Process) endQueue(listener net.Listener) {
	if p.offers != nil {
		p.offers.close()
		p.shared = p.shared || p.offers.made.Load()
	}
	if p.kept || p.shared {
		return
	}
	for _, socket := range p.sockets {
		if socket.Addr() == listener.Addr() {
			socket.endQueue()
		}
	}
}

// stopAccepting closes the sockets of the process. Their queues live on in the
// process that has them too.
func (p *Process) stopAccepting() {
	for _, socket := range p.sockets {
		_ = socket.Close() // whatever it says, it is closed
	}
}
