//go:build !leave_out_lock

package postgres

// isLeftOut reports whether a transaction does without a lock: never.
func isLeftOut(string) bool { return false }
