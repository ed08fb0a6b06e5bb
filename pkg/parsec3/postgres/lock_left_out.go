//go:build leave_out_lock

package postgres

import "os"

// leftOut is the lock that this process does without, such as C:s, so that tests
// can prove that it is needed. No product is built so.
var leftOut = os.Getenv("PARSEC_TEST_LEAVE_OUT_LOCK")

func isLeftOut(name string) bool { return name == leftOut }
