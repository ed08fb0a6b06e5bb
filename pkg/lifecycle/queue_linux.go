package lifecycle

import (
	"net"

	"golang.org/x/sys/unix"
)

// dropSYN is a filter that lets pass what a TCP socket receives but for what begins a
// connection, a segment with SYN and without ACK: the byte at 13 has the flags.
var dropSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: flagSYN | flagACK},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: flagSYN, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: wholeSegment},
}

const (
	flagSYN      = 0x02
	flagACK      = 0x10
	wholeSegment = 1<<32 - 1
)

// beginNothing has no connection begin on a listening socket any more, for every
// process that has it, and reports whether it can. Who asks for one hears nothing, and
// asks again after a second.
func beginNothing(listener *net.TCPListener) bool {
	filter := unix.SockFprog{Len: uint16(len(dropSYN)), Filter: &dropSYN[0]}
	return control(listener, func(descriptor int) error {
		return unix.SetsockoptSockFprog(descriptor, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter)
	})
}

// hasQueue reports whether connections wait to be accepted.
func hasQueue(listener *net.TCPListener) bool {
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
func control(listener *net.TCPListener, call func(descriptor int) error) bool {
	raw, err := listener.SyscallConn()
	if err != nil {
		return false
	}
	var callErr error
	err = raw.Control(func(descriptor uintptr) { callErr = call(int(descriptor)) })
	return err == nil && callErr == nil
}
