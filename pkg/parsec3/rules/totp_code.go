package rules

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // The algorithm of RFC 6238 that every application has.
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"parsec-server/pkg/parsec"
)

// One-time passwords are those of RFC 6238, with SHA-1
// (docs/protocol/v5/enrollment.md §4).
const (
	// totpStep is how long a password is the one of now, in microseconds, and
	// totpDrift how many steps the clock of who makes it may be off, either way.
	totpStep  = 30_000_000
	totpDrift = 1
	// totpSecretBytes is the length of a secret.
	totpSecretBytes = 20
)

func newTOTPSecret() []byte {
	secret := make([]byte, totpSecretBytes)
	rand.Read(secret) // never fails
	return secret
}

// oneTimePassword returns the password of a step, six digits.
func oneTimePassword(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%1_000_000)
}

// findStep returns the step of which a password is, around now and later than the last
// one that was used: none is good twice. It takes the same time for every password.
func findStep(secret []byte, password string, now parsec.DateTime, last int64) (step int64, found bool) {
	current := int64(now) / totpStep
	for candidate := current - totpDrift; candidate <= current+totpDrift; candidate++ {
		is := subtle.ConstantTimeCompare([]byte(oneTimePassword(secret, candidate)), []byte(password)) == 1
		if is && candidate > last && !found {
			step, found = candidate, true
		}
	}
	return step, found
}
