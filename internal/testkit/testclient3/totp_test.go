package testclient3

import (
	"testing"
	"time"

	"parsec-server/pkg/parsec"
)

// TestOneTimePassword has the last six digits of the vectors of RFC 6238, appendix B.
func TestOneTimePassword(t *testing.T) {
	for seconds, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		at := parsec.DateTime(time.Unix(seconds, 0).UnixMicro())
		if got := OneTimePassword([]byte("12345678901234567890"), at); got != want {
			t.Errorf("at %d: %s, want %s", seconds, got, want)
		}
	}
}
