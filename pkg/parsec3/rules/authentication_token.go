package rules

import (
	"crypto/ed25519"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

const (
	// maxVerified bounds the tokens of one generation of verifiedTokens, about 1 MiB.
	maxVerified = 4096
	// verifiedPeriod is how long a generation may grow: a token lives for two, well
	// within the time for which it is good.
	verifiedPeriod = 10 * time.Second
)

// verifiedTokens remembers which tokens have a good signature. The date of a token has
// whole seconds (docs/protocol/v5/transport.md §4.2), so that what a device sends within
// one carries the same, and the signature is most of what a request costs. Whether the
// token may still be used is never remembered. The zero value has none.
type verifiedTokens struct {
	mu sync.Mutex // guards what follows
	// recent is what was verified since begun, and older what was before.
	recent, older map[string]struct{}
	begun         parsec.DateTime
}

// verify reports whether key has signed the token, which it looks at now.
func (v *verifiedTokens) verify(key parsec.VerifyKey, token *Token, now parsec.DateTime) bool {
	if len(token.Signature) != ed25519.SignatureSize {
		return false
	}
	var buffer [256]byte
	// As the lengths of key and signature are fixed, this tells them from the text.
	exactly := append(append(append(buffer[:0], key[:]...), token.Signature...), token.Signed...)
	if v.has(exactly, now) {
		return true
	}
	if !key.VerifyStrict(token.Signed, token.Signature) {
		return false
	}
	v.add(string(exactly))
	return true
}

func (v *verifiedTokens) has(exactly []byte, now parsec.DateTime) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.recent == nil || now < v.begun || now.Sub(v.begun) > verifiedPeriod || len(v.recent) >= maxVerified {
		if now < v.begun || now.Sub(v.begun) > 2*verifiedPeriod {
			v.recent = nil // it is older than a generation may be
		}
		v.recent, v.older, v.begun = map[string]struct{}{}, v.recent, now
	}
	_, found := v.recent[string(exactly)]
	if !found {
		_, found = v.older[string(exactly)]
	}
	return found
}

func (v *verifiedTokens) add(exactly string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.recent[exactly] = struct{}{} // has was called before
}
