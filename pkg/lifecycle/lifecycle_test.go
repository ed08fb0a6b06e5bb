package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/lifecycle"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// front is a server of HTTP.
type front struct {
	http.Server
	begin chan struct{} // one for each request that runs
	// shut are the errors of connecting when the shutdown begins.
	shut []error
	// open counts the connections that a shutdown waits for: http.Server ends those
	// whose request has not come.
	open sync.WaitGroup
	// unready is what Ready returns, and next what Retire was told.
	unready error
	next    []lifecycle.Succession
}

// Ready implements lifecycle.Front.
func (f *front) Ready(context.Context) error { return f.unready }

// Retire implements lifecycle.Front.
func (f *front) Retire(next lifecycle.Succession) { f.next = append(f.next, next) }

// Serve implements lifecycle.Front.
func (f *front) Serve(listener net.Listener) error {
	if err := f.Server.Serve(listener); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown implements lifecycle.Front.
func (f *front) Shutdown(ctx context.Context) {
	if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.Addr); err != nil {
		f.shut = append(f.shut, err)
	} else {
		_ = conn.Close()
	}
	f.open.Wait()
	if f.Server.Shutdown(ctx) != nil {
		_ = f.Close()
	}
}

// TestStartedAndStoppedManyTimes has clients connect all the time. Requests
// that run are answered, and at the end nothing runs or listens.
func TestStartedAndStoppedManyTimes(t *testing.T) {
	for range 50 {
		socket, err := lifecycle.Listen(t.Context(), "127.0.0.1:0", discard())
		if err != nil {
			t.Fatal(err)
		}
		f := &front{begin: make(chan struct{}, 100)}
		f.Addr = socket.Addr().String()
		f.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.begin <- struct{}{}
			if r.URL.Path == "/slow" {
				<-time.After(time.Millisecond)
			}
			_, _ = w.Write([]byte("answer"))
		})
		process := lifecycle.New(time.Minute, discard())
		var ended []string
		process.OnEnd("first", func(context.Context) { ended = append(ended, "first") })
		process.OnEnd("second", func(context.Context) { ended = append(ended, "second") })
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			err := process.Serve(ctx, f, socket)
			process.End()
			served <- err
		}()
		var clients sync.WaitGroup
		transport := &http.Transport{}
		running := make(chan error, 1)
		clients.Go(func() { running <- get(t.Context(), transport, "http://"+f.Addr+"/slow") })
		<-f.begin
		for range 3 {
			clients.Go(func() { _ = get(t.Context(), transport, "http://"+f.Addr+"/") }) // answered or refused
		}
		stop()
		clients.Wait()
		transport.CloseIdleConnections()
		if err := <-running; err != nil {
			t.Errorf("the request that ran: %v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if !slices.Equal(ended, []string{"second", "first"}) || len(f.shut) != 1 {
			t.Errorf("ended %q, refused %v before", ended, f.shut)
		}
	}
}

func get(ctx context.Context, transport *http.Transport, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// stuck is a front that nothing ends.
type stuck struct{ failure error }

func (s stuck) Serve(net.Listener) error {
	if s.failure != nil {
		return s.failure
	}
	select {}
}
func (s stuck) Ready(context.Context) error { return nil }
func (s stuck) Retire(lifecycle.Succession) {}
func (s stuck) Shutdown(context.Context)    {}

// pipe is a listener whose Accept returns errors, then connections.
type pipe struct {
	errors []error
	closed chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	if len(p.errors) == 0 {
		<-p.closed
		return nil, net.ErrClosed
	}
	err := p.errors[0]
	p.errors = p.errors[1:]
	if err == nil {
		here, _ := net.Pipe()
		return here, nil
	}
	return nil, err
}

func (p *pipe) Close() error {
	close(p.closed)
	return nil
}

func (p *pipe) Addr() net.Addr { return nil }

// TestEverythingEndsWithTheGracePeriod has one part after the other hang.
func TestEverythingEndsWithTheGracePeriod(t *testing.T) {
	for _, hanging := range []string{"last", "first"} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			process := lifecycle.New(30*time.Second, slog.New(slog.NewTextHandler(&log, nil)))
			release := make(chan struct{})
			defer close(release)
			for _, name := range []string{"first", "last"} {
				process.OnEnd(name, func(ctx context.Context) {
					if name == hanging {
						<-ctx.Done()
						<-release
					}
				})
			}
			begun := time.Now()
			process.End()
			if took := time.Since(begun); took != 31*time.Second {
				t.Errorf("%s hangs: the end takes %s", hanging, took)
			}
			if !strings.Contains(log.String(), `level=WARN msg="not ended within the grace period" part=`+hanging) {
				t.Errorf("logged %q", &log)
			}
		})
	}
}

func TestFailureOfServing(t *testing.T) {
	failure := errors.New("failed")
	process := lifecycle.New(time.Minute, discard())
	listener := &pipe{closed: make(chan struct{})}
	if err := process.Serve(t.Context(), stuck{failure}, listener); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	process.End()
	<-listener.closed
}

// TestAcceptErrors has none of them end the server, or fill its log.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		listener := &pipe{closed: make(chan struct{})}
		for range 25 {
			listener.errors = append(listener.errors, &net.OpError{Op: "accept", Err: syscall.EMFILE})
		}
		listener.errors = append(listener.errors, syscall.ENOBUFS, syscall.EPROTO, syscall.EPERM, nil, syscall.EMFILE, nil)
		socket := lifecycle.NewSocket(listener, slog.New(slog.NewTextHandler(&log, nil)))
		begun := time.Now()
		for range 2 {
			conn, err := socket.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		}
		took := time.Since(begun)
		if took < 20*time.Second || took > 30*time.Second {
			t.Errorf("28 errors take %s", took)
		}
		if lines := strings.Count(log.String(), `level=WARN msg="connections cannot be accepted" error="accept: too many open files"`); lines < 2 || lines > 4 {
			t.Errorf("logged %d times: %s", lines, &log)
		}
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
		if _, err := socket.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestCloseWhileAcceptFails does not wait for the next attempt.
func TestCloseWhileAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &pipe{closed: make(chan struct{})}
		for range 1000 {
			listener.errors = append(listener.errors, syscall.EMFILE)
		}
		socket := lifecycle.NewSocket(listener, discard())
		accepted := make(chan error)
		go func() {
			_, err := socket.Accept()
			accepted <- err
		}()
		<-time.After(time.Minute)
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}
