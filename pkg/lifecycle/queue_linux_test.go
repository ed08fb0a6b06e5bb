package lifecycle_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/lifecycle"
)

// late is a front that accepts one connection, and the others once it is retired.
type late struct{ retired chan struct{} }

func (l late) Ready(context.Context) error { return nil }
func (l late) Retire(lifecycle.Succession) { close(l.retired) }
func (l late) Shutdown(context.Context)    {}

func (l late) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		_, _ = io.WriteString(conn, "hello") // the peer says whether it came
		_ = conn.Close()
		<-l.retired
	}
}

// TestQueueOfTheLastProcess has connections wait in the queue when the order to stop
// comes: they are accepted before the socket closes, of each family of addresses.
func TestQueueOfTheLastProcess(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, listening := range []string{"127.0.0.1", ""} {
		for _, address := range addresses {
			if network := address.(*net.IPNet); network.IP.IsLoopback() && (listening == "" || listening == network.IP.String()) {
				t.Run(listening+" "+network.IP.String(), func(t *testing.T) { stopWithQueue(t, listening, network.IP.String()) })
			}
		}
	}
}

func stopWithQueue(t *testing.T, listening, host string) {
	const waiting = 100
	process := lifecycle.New(time.Minute, discard())
	socket, err := process.Listen(t.Context(), listening+":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		err := process.Serve(ctx, late{make(chan struct{})}, socket)
		process.End()
		served <- err
	}()
	_, port, err := net.SplitHostPort(socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, waiting)
	for i := range conns {
		if conns[i], err = new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port)); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		if i == 0 { // the others wait
			readAll(t, conns[i])
		}
	}
	stop()
	for _, conn := range conns[1:] {
		readAll(t, conn)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestQueueOfAnOrdinaryUser runs these tests without the rights of root, which servers
// do not have.
func TestQueueOfAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		return // they are run so anyway
	}
	const (
		nobody = 65534
		itself = "/proc/self/exe" // whose folder nobody else may enter
	)
	command := exec.CommandContext(t.Context(), itself, "-test.run", "^(TestQueueOfTheLastProcess|TestNobodyIsResetByRestarts)$")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
}

func readAll(t *testing.T, conn net.Conn) {
	t.Helper()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Fatalf("read %q, %v", got, err)
	}
}

// TestNobodyIsResetByRestarts replaces a process by a later one many times, while
// clients connect all the time: they are refused while there is none, and whoever has
// connected is answered.
func TestNobodyIsResetByRestarts(t *testing.T) {
	const clients, restarts = 8, 3
	address := "127.0.0.1:" + testkit.FreePort(t)
	process := start(t, "", address)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var storm sync.WaitGroup
	var answered atomic.Int64
	for range clients {
		storm.Go(func() {
			for ctx.Err() == nil {
				if err := converse(ctx, address); err == nil {
					answered.Add(1)
				} else if !errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil {
					t.Error(err)
					stop()
				}
			}
		})
	}
	for range restarts {
		for before := answered.Load(); answered.Load() < before+clients && ctx.Err() == nil; {
			if err := converse(ctx, address); err != nil {
				t.Error(err)
			}
		}
		process.stop()
		if err := <-process.served; err != nil {
			t.Error(err)
		}
		process = start(t, "", address)
	}
	stop()
	storm.Wait()
}

// converse is ECONNREFUSED only if the connection was refused.
func converse(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return fmt.Errorf("connected, and cannot send: %w", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fmt.Errorf("connected, and not answered: %w", err)
	}
	return answer.Body.Close()
}
