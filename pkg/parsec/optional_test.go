package parsec_test

import (
	"testing"

	"parsec-server/pkg/parsec"
)

func TestSame(t *testing.T) {
	one, another := new(parsec.DateTime(1)), new(parsec.DateTime(1))
	for _, test := range []struct {
		a, b *parsec.DateTime
		want bool
	}{{nil, nil, true}, {one, one, true}, {one, another, true}, {one, nil, false}, {nil, one, false}, {one, new(parsec.DateTime(0)), false}} {
		if got := parsec.Same(test.a, test.b); got != test.want {
			t.Errorf("%v and %v: %t", test.a, test.b, got)
		}
	}
}
