//go:build !linux

package database

import (
	"syscall"
	"time"
)

// limitSilence leaves it to keep-alives where the system knows no such limit.
func limitSilence(syscall.RawConn, time.Duration) error { return nil }
