package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// The causes that end the context of a command.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

// lastSignal is the highest number of a signal.
const lastSignal = 64

// heeded are the signals that a server leaves to the system and to Go: those
// that stop it, those of faults and of job control, and those that Go's runtime
// uses. SIGQUIT and SIGHUP are heard elsewhere.
var heeded = []syscall.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL, syscall.SIGABRT,
	syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS,
	syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT,
	syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF,
}

// ignoreOthers has no signal end the process but those that stop it: platforms,
// and readers of its output that end, send others.
func ignoreOthers() {
	for number := syscall.Signal(1); number <= lastSignal; number++ {
		if !slices.Contains(heeded, number) {
			signal.Ignore(number)
		}
	}
}

// onSignal calls do at each of a signal, which then does not end the process.
// stop must be called.
func onSignal(heard os.Signal, do func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, heard)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range signals {
			do()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// untilSignal returns a context that the first Ctrl-C or SIGTERM ends, with its
// cause; a second one ends the process at once. stop must be called.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case received := <-signals:
			if received == os.Interrupt {
				cancel(errInterrupted)
			} else {
				cancel(errTerminated)
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
