package lifecycle

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxTTL is how far a segment may still go that has not been on a network yet. Hosts
// begin with 64 or 128: none of theirs has it.
const maxTTL = 255

// beginNothing has no connection begin on a listening socket any more, for every
// process that has it, and reports whether it can. Who asks for one hears nothing, and
// asks again after a second. Whoever has been heard becomes connected: the kernel
// compares the TTL only with that of the socket that it finds, and that is not yet the
// listening one for the last segment of a handshake. A filter of the socket would
// do, too, but kernels let only root have one.
func beginNothing(listener syscall.Conn) bool { return setMinimalTTL(listener, maxTTL) }

// hearAgain is for a connection of a socket after beginNothing, which hears as little.
func hearAgain(conn syscall.Conn) { setMinimalTTL(conn, 0) }

// setMinimalTTL reports whether the kernel drops what comes to a socket with less from
// now on. A socket for IPv6 may have IPv4, too; one for IPv4 has nothing else.
func setMinimalTTL(of syscall.Conn, ttl int) bool {
	return control(of, func(descriptor int) error {
		family, err := unix.GetsockoptInt(descriptor, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return err
		}
		if family == unix.AF_INET6 {
			if err := unix.SetsockoptInt(descriptor, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, ttl); err != nil {
				return err
			}
		}
		return unix.SetsockoptInt(descriptor, unix.IPPROTO_IP, unix.IP_MINTTL, ttl)
	})
}

// hasQueue reports whether connections wait to be accepted.
func hasQueue(listener syscall.Conn) bool {
	length := uint32(0)
	return control(listener, func(descriptor int) error {
		info, err := unix.GetsockoptTCPInfo(descriptor, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			length = info.Unacked // which is this of a socket that listens
		}
		return err
	}) && length > 0
}

// control reports whether a call on the socket succeeds.
func control(of syscall.Conn, call func(descriptor int) error) bool {
	raw, err := of.SyscallConn()
	if err != nil {
		return false
	}
	var callErr error
	err = raw.Control(func(descriptor uintptr) { callErr = call(int(descriptor)) })
	return err == nil && callErr == nil
}
