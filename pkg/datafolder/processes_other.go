//go:build !linux

package datafolder

import "syscall"

const knowsProcesses = false

// processesIn knows none where the system does not tell.
func processesIn(string) map[int]bool { return nil }

func stopWithThread(*syscall.SysProcAttr) {}
