package testclient3

import (
	"bytes"
	"testing"
)

// TestShares gives the secret to a threshold of any shares, and to no fewer.
func TestShares(t *testing.T) {
	secret := []byte("a secret of more than one octet")
	shares, err := splitSecret(secret, 3, 5)
	if err != nil || len(shares) != 5 {
		t.Fatal(shares, err)
	}
	for a := range shares {
		for b := range shares {
			for c := range shares {
				if a == b || b == c || a == c {
					continue
				}
				if joined, err := joinShares([][]byte{shares[a], shares[b], shares[c]}); err != nil || !bytes.Equal(joined, secret) {
					t.Errorf("%d, %d, %d: %q, %v", a, b, c, joined, err)
				}
			}
			if joined, err := joinShares([][]byte{shares[a], shares[b]}); err == nil && bytes.Equal(joined, secret) {
				t.Errorf("%d and %d are enough", a, b)
			}
		}
	}
	if all, err := joinShares(shares); err != nil || !bytes.Equal(all, secret) {
		t.Errorf("all: %q, %v", all, err)
	}
	for _, bounds := range [][2]int{{0, 1}, {2, 1}, {1, 256}} {
		if _, err := splitSecret(secret, bounds[0], bounds[1]); err == nil {
			t.Errorf("%v is taken", bounds)
		}
	}
	for _, bad := range [][][]byte{nil, {{1}}, {{0, 1}}, {{1, 2}, {1, 3}}, {{1, 2}, {2, 3, 4}}} {
		if _, err := joinShares(bad); err == nil {
			t.Errorf("%v are joined", bad)
		}
	}
}
