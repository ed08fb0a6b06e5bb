//go:build !linux

package lifecycle

import "net"

// beginNothing is for Linux.
func beginNothing(*net.TCPListener) bool { return false }

// hasQueue is for Linux.
func hasQueue(*net.TCPListener) bool { return false }
