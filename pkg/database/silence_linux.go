package database

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitSilence has a socket end when what it sent is not acknowledged in time.
func limitSilence(socket syscall.RawConn, limit time.Duration) (err error) {
	if failed := socket.Control(func(descriptor uintptr) {
		err = unix.SetsockoptInt(int(descriptor), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	}); failed != nil {
		return failed
	}
	return err
}
