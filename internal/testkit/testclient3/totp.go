package testclient3

import (
	"crypto/hmac"
	"crypto/sha1" // the algorithm of one-time passwords
	"encoding/binary"
	"fmt"

	"parsec-server/pkg/parsec"
)

// totpPeriod is how long a one-time password is shown, in seconds.
const totpPeriod = 30

// OneTimePassword returns what an authenticator shows at a date: RFC 6238 with SHA-1 and
// six digits (docs/protocol/v5/enrollment.md §4).
func OneTimePassword(secret []byte, at parsec.DateTime) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, at.Time().Unix()/totpPeriod) // never fails
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	code := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", code%1000000)
}
