package server

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hasSpoken reports whether the peer of a TCP connection has sent something within
// the time, or that nobody has read.
func hasSpoken(conn net.Conn, within time.Duration) bool {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return false
	}
	spoken := false
	err = raw.Control(func(descriptor uintptr) {
		if unread, err := unix.IoctlGetInt(int(descriptor), unix.TIOCINQ); err == nil && unread > 0 {
			spoken = true
			return
		}
		info, err := unix.GetsockoptTCPInfo(int(descriptor), unix.IPPROTO_TCP, unix.TCP_INFO)
		spoken = err == nil && time.Duration(info.Last_data_recv)*time.Millisecond < within
	})
	return err == nil && spoken
}
