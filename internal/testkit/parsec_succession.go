package testkit

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// StartParsecWithSocket is StartParsec as systemd does it: the queue of the listening
// socket stays while the server is stopped.
func StartParsecWithSocket(t testing.TB, program string, arguments ...string) *Parsec {
	t.Helper()
	port := FreePort(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := newParsec(t, program, nil, arguments...)
	if p.socket, err = listener.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.socket.Close() })
	p.run(port)
	return p
}

// command runs the server on a port. What systemd says to a process names the
// process, which is known once it runs.
func (p *Parsec) command(port string) *exec.Cmd {
	ctx, arguments := context.WithoutCancel(p.t.Context()), slices.Concat(p.arguments, []string{"--port", port})
	if p.socket == nil {
		return exec.CommandContext(ctx, p.program, arguments...)
	}
	const pass = `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`
	command := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", pass, p.program}, arguments...)...)
	command.ExtraFiles = append(command.ExtraFiles, p.socket)
	return command
}

// Replace starts the server again beside itself: one that hands its socket over. It
// returns once the new process serves alone. ended waits for the other one, and
// returns how it ended: nil for success.
func (p *Parsec) Replace() (ended func() error) {
	p.t.Helper()
	former := p.process
	p.Start()
	p.process.Await(p.t, func(context.Context) error {
		if !strings.Contains(former.Output(), "another process serves instead") {
			return errors.New("not handed over")
		}
		return nil
	})
	return func() error {
		<-former.exited
		return former.err
	}
}
