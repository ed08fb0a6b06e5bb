//go:build !linux

package lifecycle

import "syscall"

// beginNothing is for Linux.
func beginNothing(syscall.Conn) bool { return false }

// hearAgain is for Linux.
func hearAgain(syscall.Conn) {}

// hasQueue is for Linux.
func hasQueue(syscall.Conn) bool { return false }
