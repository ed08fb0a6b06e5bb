//go:build unix

package server

import (
	"errors"
	"net"
	"syscall"
)

// awaitInput returns once there is something to read of a connection in TLS, or no
// more will be. To wait inside of TLS takes twice the stack. It reads nothing.
func awaitInput(conn net.Conn) {
	encrypted, isTLS := conn.(interface{ NetConn() net.Conn })
	if !isTLS {
		return
	}
	below, isSocket := encrypted.NetConn().(syscall.Conn)
	if !isSocket {
		return
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(socket uintptr) bool { // what is wrong, reading tells
		var next [1]byte
		_, _, err := syscall.Recvfrom(int(socket), next[:], syscall.MSG_PEEK)
		return !errors.Is(err, syscall.EAGAIN)
	})
}
