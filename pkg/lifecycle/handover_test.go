package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/lifecycle"
)

// running is a process that serves.
type running struct {
	*lifecycle.Process
	front *front
	// serving is closed when it alone accepts connections, and served gets what Serve
	// returns.
	serving chan struct{}
	served  chan error
	stop    context.CancelFunc
}

// inherit returns a process that has inherited what there is, and listens.
func inherit(t *testing.T, handover, address string, change func(*lifecycle.Process)) (*running, net.Listener, error) {
	t.Helper()
	r := &running{
		Process: lifecycle.New(time.Minute, discard()), front: &front{},
		serving: make(chan struct{}), served: make(chan error, 1),
	}
	r.front.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") })
	r.front.Addr = address
	r.front.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			r.front.open.Add(1)
		case http.StateClosed:
			r.front.open.Done()
		}
	}
	change(r.Process)
	if err := r.Inherit(t.Context(), handover); err != nil {
		r.End()
		return nil, nil, err
	}
	socket, err := r.Listen(t.Context(), address)
	if err != nil {
		r.End()
		return nil, nil, err
	}
	r.front.Addr = socket.Addr().String()
	r.OnServing(func() { close(r.serving) })
	return r, socket, nil
}

func unchanged(*lifecycle.Process) {}

// serve has the process serve, and end by itself.
func (r *running) serve(t *testing.T, listener net.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := r.Serve(ctx, r.front, listener)
		r.End()
		r.served <- err
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

// start runs a process that serves.
func start(t *testing.T, handover, address string) *running {
	t.Helper()
	r, listener, err := inherit(t, handover, address, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, listener)
	select {
	case <-r.serving:
	case err := <-r.served:
		t.Fatalf("it does not serve: %v", err)
	}
	return r
}

// ask sends a request over a connection of its own.
func ask(ctx context.Context, address string) error {
	return get(ctx, &http.Transport{DisableKeepAlives: true}, "http://"+address+"/")
}

// TestHandOver replaces a process ten times while clients connect: each is answered.
func TestHandOver(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	process := start(t, handover, "127.0.0.1:0")
	address := process.front.Addr
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := ask(t.Context(), address); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		next := start(t, handover, address)
		if err := <-process.served; err != nil {
			t.Error(err)
		}
		if !slices.Equal(process.front.next, []lifecycle.Succession{lifecycle.PresentSuccessor}) {
			t.Errorf("retired for %v", process.front.next)
		}
		process = next
	}
	stop()
	clients.Wait()
	if information, err := os.Stat(handover); err != nil || information.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", information.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(handover)); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestHandOverToNobody has successors that do not come to serve: the process goes on,
// and the next one takes over.
func TestHandOverToNobody(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, successor *running, listener net.Listener){
		"it ends": func(_ *testing.T, successor *running, _ net.Listener) { successor.End() },
		"it is not ready": func(t *testing.T, successor *running, listener net.Listener) {
			successor.front.unready = errors.New("no database")
			if err := successor.Serve(t.Context(), successor.front, listener); !errors.Is(err, successor.front.unready) {
				t.Errorf("got %v", err)
			}
			successor.End()
		},
	} {
		t.Run(name, func(t *testing.T) {
			handover := filepath.Join(t.TempDir(), "handover")
			process := start(t, handover, "127.0.0.1:0")
			successor, listener, err := inherit(t, handover, process.front.Addr, unchanged)
			if err != nil {
				t.Fatal(err)
			}
			fail(t, successor, listener)
			if err := ask(t.Context(), process.front.Addr); err != nil {
				t.Error(err)
			}
			next := startWhenFree(t, handover, process.front.Addr)
			if err := <-process.served; err != nil {
				t.Error(err)
			}
			if err := ask(t.Context(), next.front.Addr); err != nil {
				t.Error(err)
			}
		})
	}
}

// startWhenFree is start once no other process is taking over.
func startWhenFree(t *testing.T, handover, address string) *running {
	t.Helper()
	for {
		next, listener, err := inherit(t, handover, address, unchanged)
		if err != nil && strings.Contains(err.Error(), "another process is taking over") && t.Context().Err() == nil {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		next.serve(t, listener)
		select {
		case <-next.serving:
			return next
		case err := <-next.served:
			if err == nil || !strings.Contains(err.Error(), "took too long") { // the machine may be slow
				t.Fatalf("it does not serve: %v", err)
			}
		}
	}
}

// TestTwoSuccessors has the second one told of the first.
func TestTwoSuccessors(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	process := start(t, handover, "127.0.0.1:0")
	first, listener, err := inherit(t, handover, process.front.Addr, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = inherit(t, handover, process.front.Addr, unchanged)
	if err == nil || !strings.Contains(err.Error(), "another process is taking over") {
		t.Errorf("got %v", err)
	}
	first.serve(t, listener)
	if err := <-process.served; err != nil {
		t.Error(err)
	}
}

// TestSuccessorThatHangs takes too long: the process goes on, and the other one must
// not serve.
func TestSuccessorThatHangs(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	const limit = 50 * time.Millisecond
	process, listener, err := inherit(t, handover, "127.0.0.1:0", func(p *lifecycle.Process) { p.LimitHandover(time.Minute, limit) })
	if err != nil {
		t.Fatal(err)
	}
	process.serve(t, listener)
	<-process.serving
	late, lateListener, err := inherit(t, handover, process.front.Addr, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	next := startWhenFree(t, handover, process.front.Addr)
	if err := <-process.served; err != nil {
		t.Error(err)
	}
	if err := late.Serve(t.Context(), late.front, lateListener); err == nil || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("it serves: %v", err)
	}
	late.End()
	if err := ask(t.Context(), next.front.Addr); err != nil {
		t.Error(err)
	}
}

// TestPredecessorThatHangs has one that listens, and does nothing more.
func TestPredecessorThatHangs(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", handover)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, _, err = inherit(t, handover, "127.0.0.1:0", func(p *lifecycle.Process) { p.LimitHandover(50*time.Millisecond, time.Minute) })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestPredecessorThatDies has handed its sockets over before it is gone: its successor
// serves with them.
func TestPredecessorThatDies(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	process := start(t, handover, "127.0.0.1:0")
	successor, listener, err := inherit(t, handover, process.front.Addr, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	process.stop()
	if err := <-process.served; err != nil {
		t.Error(err)
	}
	asked := make(chan error, 1)
	go func() { asked <- ask(t.Context(), process.front.Addr) }() // waits in the queue
	successor.serve(t, listener)
	if err := <-asked; err != nil {
		t.Error(err)
	}
	<-successor.serving
	// It left the file of its socket.
	if another := start(t, handover, successor.front.Addr); another.front.Addr != successor.front.Addr {
		t.Errorf("listens on %s", another.front.Addr)
	}
}

// TestSocketOfACrash has nobody listen where a file of a socket is.
func TestSocketOfACrash(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", handover)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	process := start(t, handover, "127.0.0.1:0")
	start(t, handover, process.front.Addr)
	if err := <-process.served; err != nil {
		t.Error(err)
	}
}

// TestAnotherAddress is of a process whose settings name another port: that of the
// running process ends with it.
func TestAnotherAddress(t *testing.T) {
	handover := filepath.Join(t.TempDir(), "handover")
	process := start(t, handover, "127.0.0.1:0")
	next := start(t, handover, "127.0.0.1:0")
	if err := <-process.served; err != nil {
		t.Error(err)
	}
	if err := ask(t.Context(), process.front.Addr); err == nil {
		t.Error("the former port is open")
	}
	if err := ask(t.Context(), next.front.Addr); err != nil {
		t.Error(err)
	}
}

func TestFolderThatOthersWriteTo(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	_, _, err := inherit(t, filepath.Join(folder, "handover"), "127.0.0.1:0", unchanged)
	if err == nil || !strings.Contains(err.Error(), "other users may write to "+folder) {
		t.Errorf("got %v", err)
	}
	if _, _, err = inherit(t, filepath.Join(folder, "no", "handover"), "127.0.0.1:0", unchanged); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// passed returns a socket as systemd passes it.
func passed(t *testing.T, address string) (file *os.File, bound string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err = listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return file, listener.Addr().String()
}

// TestSystemdKeepsTheQueue has a client connect while no process runs.
func TestSystemdKeepsTheQueue(t *testing.T) {
	kept, address := passed(t, "127.0.0.1:0")
	t.Cleanup(func() { _ = kept.Close() })
	var log strings.Builder
	serve := func(asked <-chan error) {
		t.Helper()
		f := &front{}
		f.Addr = address
		f.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") })
		listener, err := net.FileListener(kept) // the process closes what it is given
		if err != nil {
			t.Fatal(err)
		}
		given, err := listener.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
		process := lifecycle.New(time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
		if err := process.InheritFiles(t.Context(), []*os.File{given}, "/nowhere/handover"); err != nil {
			t.Fatal(err)
		}
		socket, err := process.Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		served := make(chan error, 1)
		go func() { served <- process.Serve(ctx, f, socket) }()
		if err := <-asked; err != nil {
			t.Error(err)
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		process.End()
		if !slices.Equal(f.next, []lifecycle.Succession{lifecycle.LaterSuccessor}) {
			t.Errorf("retired for %v", f.next)
		}
	}
	for range 3 {
		asked := make(chan error, 1)
		go func() { asked <- ask(t.Context(), address) }()
		serve(asked)
	}
	if !strings.Contains(log.String(), "nothing is handed over") {
		t.Errorf("logged %q", log.String())
	}
}

// TestSystemdListensElsewhere is of a unit and settings that differ.
func TestSystemdListensElsewhere(t *testing.T) {
	file, address := passed(t, "127.0.0.1:0")
	process := lifecycle.New(time.Minute, discard())
	defer process.End()
	if err := process.InheritFiles(t.Context(), []*os.File{file}, ""); err != nil {
		t.Fatal(err)
	}
	socket, err := process.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = process.Serve(t.Context(), &front{}, socket)
	if want := "systemd listens on " + address + ", and the settings name another address"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestNamesOfAllAddresses has systemd listen on all of them, by any name.
func TestNamesOfAllAddresses(t *testing.T) {
	for bound, wanted := range map[string]string{"[::]": "0.0.0.0", "0.0.0.0": "", "127.0.0.1": "localhost", "[::1]": "::1"} {
		file, address := passed(t, bound+":0")
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		process := lifecycle.New(time.Minute, discard())
		if err := process.InheritFiles(t.Context(), []*os.File{file}, ""); err != nil {
			t.Fatal(err)
		}
		// Without that socket, the port is taken.
		if _, err := process.Listen(t.Context(), net.JoinHostPort(wanted, port)); err != nil {
			t.Errorf("%s for %q: %v", bound, wanted, err)
		}
		process.End()
	}
}

// TestLinger has the front go on, retired, after the order to stop: for a while, or
// until another process takes over.
func TestLinger(t *testing.T) {
	const brief = 50 * time.Millisecond
	process, listener, err := inherit(t, "", "127.0.0.1:0", func(p *lifecycle.Process) { p.Linger(brief) })
	if err != nil {
		t.Fatal(err)
	}
	process.serve(t, listener)
	<-process.serving
	begun := time.Now()
	process.stop()
	if err := <-process.served; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < brief {
		t.Errorf("it goes on for %s", took)
	}
	if !slices.Equal(process.front.next, []lifecycle.Succession{lifecycle.NoSuccessor}) {
		t.Errorf("retired for %v", process.front.next)
	}

	handover := filepath.Join(t.TempDir(), "handover")
	process, listener, err = inherit(t, handover, "127.0.0.1:0", func(p *lifecycle.Process) { p.Linger(time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	process.serve(t, listener)
	<-process.serving
	process.stop()
	if err := ask(t.Context(), process.front.Addr); err != nil {
		t.Error(err)
	}
	start(t, handover, process.front.Addr)
	if err := <-process.served; err != nil {
		t.Error(err)
	}
	if !slices.Equal(process.front.next, []lifecycle.Succession{lifecycle.NoSuccessor, lifecycle.PresentSuccessor}) {
		t.Errorf("retired for %v", process.front.next)
	}
}
