package parsec_test

import (
	"testing"

	"parsec-server/pkg/parsec"
)

func TestInBallpark(t *testing.T) {
	const now parsec.DateTime = 1_000_000_000_000
	for _, test := range []struct {
		date parsec.DateTime
		want bool
	}{
		{now, true},
		{now + 300_000_000 - 1, true},
		{now + 300_000_000, false},
		{now - 320_000_000 + 1, true},
		{now - 320_000_000, false},
		{parsec.MinDateTime, false},
		{parsec.MaxDateTime, false},
	} {
		if got := parsec.InBallpark(now, test.date); got != test.want {
			t.Errorf("%s: got %v, want %v", test.date, got, test.want)
		}
	}
}
