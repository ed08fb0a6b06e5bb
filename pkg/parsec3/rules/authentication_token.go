package rules

import (
	"crypto/ed25519"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

const (
	// maxVerified bounds the tokens of one generation of verifiedTokens, about 2 MiB.
	maxVerified = 4096
	// verifiedPeriod is how long a generation may grow: a token lives for two, well
	// within the time for which it is good.
	verifiedPeriod = 10 * time.Second
)

// verifiedTokens remembers which tokens have a good signature, and whose they are. The
// date of a token has whole seconds (docs/protocol/v5/transport.md §4.2), so that what a
// device sends within one carries the same, and the signature is most of what a request
// costs. Whether the token may still be used is never remembered. The zero value has
// none.
type verifiedTokens struct {
	mu sync.Mutex // guards what follows
	// recent is what was verified since begun, and older what was before, by the token
	// as keyOf has it.
	recent, older map[string]signer
	begun         parsec.DateTime
}

// signer is who has signed a token.
type signer struct {
	organization parsec.OrganizationID
	user         parsec3.UserID
	key          parsec.VerifyKey
}

// tokenBuffer has room for the key of a token of official clients.
type tokenBuffer [192]byte

// keyOf returns the whole token. As the length of a signature is fixed, it is told from
// the text.
func keyOf(token *Token, buffer *tokenBuffer) []byte {
	return append(append(buffer[:0], token.Signature...), token.Signed...)
}

// verify reports whether by has signed the token, which it looks at now.
func (v *verifiedTokens) verify(by signer, token *Token, now parsec.DateTime) bool {
	if len(token.Signature) != ed25519.SignatureSize {
		return false
	}
	key := keyOf(token, new(tokenBuffer))
	if last, found := v.find(key, now); found && last == by {
		return true
	}
	if !by.key.VerifyStrict(token.Signed, token.Signature) {
		return false
	}
	v.add(string(key), by)
	return true
}

// signer returns who has signed a token that was verified a moment ago.
func (v *verifiedTokens) signer(token *Token, now parsec.DateTime) (signer, bool) {
	return v.find(keyOf(token, new(tokenBuffer)), now)
}

func (v *verifiedTokens) find(key []byte, now parsec.DateTime) (signer, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.recent == nil || now < v.begun || now.Sub(v.begun) > verifiedPeriod || len(v.recent) >= maxVerified {
		if now < v.begun || now.Sub(v.begun) > 2*verifiedPeriod {
			v.recent = nil // it is older than a generation may be
		}
		v.recent, v.older, v.begun = map[string]signer{}, v.recent, now
	}
	by, found := v.recent[string(key)]
	if !found {
		by, found = v.older[string(key)]
	}
	return by, found
}

func (v *verifiedTokens) add(key string, by signer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.recent[key] = by // find was called before
}
