package testclient3

import (
	"crypto/rand"
	"errors"
)

// Shamir's secret sharing in GF(256), with the polynomial of AES: each octet of a secret
// is the value at 0 of a random polynomial whose values at other points are the shares.
// Official clients share secrets in a like way; servers see sealed shares only
// (docs/protocol/v5/invite.md §7).

// splitSecret returns shares, any threshold of which give the secret: each is its point,
// and then the values.
func splitSecret(secret []byte, threshold, count int) ([][]byte, error) {
	if threshold < 1 || count < threshold || count > 255 {
		return nil, errors.New("no such sharing can be")
	}
	shares := make([][]byte, count)
	for i := range shares {
		shares[i] = []byte{byte(i + 1)}
	}
	coefficients := make([]byte, threshold)
	for _, octet := range secret {
		rand.Read(coefficients) // never fails
		coefficients[0] = octet
		for i, share := range shares {
			var value byte
			for k := threshold - 1; k >= 0; k-- {
				value = multiply(value, share[0]) ^ coefficients[k]
			}
			shares[i] = append(share, value)
		}
	}
	return shares, nil
}

// joinShares returns the secret of a threshold of shares. Other shares give another
// secret, and no error.
func joinShares(shares [][]byte) ([]byte, error) {
	points := map[byte]bool{0: true}
	for _, share := range shares {
		if len(share) != len(shares[0]) || len(share) < 2 || points[share[0]] {
			return nil, errors.New("the shares are not of one secret")
		}
		points[share[0]] = true
	}
	if len(shares) == 0 {
		return nil, errors.New("there are no shares")
	}
	secret := make([]byte, len(shares[0])-1)
	for i, share := range shares {
		weight := byte(1)
		for k, other := range shares {
			if k != i {
				weight = multiply(weight, multiply(other[0], inverse(share[0]^other[0])))
			}
		}
		for k := range secret {
			secret[k] ^= multiply(weight, share[k+1])
		}
	}
	return secret, nil
}

func multiply(a, b byte) (product byte) {
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1b
		}
	}
	return product
}

// inverse returns a to the power of 254.
func inverse(a byte) byte {
	result := byte(1)
	for range 254 {
		result = multiply(result, a)
	}
	return result
}
