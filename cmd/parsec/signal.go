package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// The causes that end the context of a command.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

// untilSignal gives a context that the first Ctrl-C or SIGTERM ends, with its
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
