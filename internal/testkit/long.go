package testkit

import "os"

// Long reports whether tests with larger numbers take them: PARSEC_TEST_LONG is
// set.
func Long() bool { return os.Getenv("PARSEC_TEST_LONG") != "" }
