package testkit

import "os"

// Long tells that tests that have larger numbers take them: PARSEC_TEST_LONG is
// set.
func Long() bool { return os.Getenv("PARSEC_TEST_LONG") != "" }
