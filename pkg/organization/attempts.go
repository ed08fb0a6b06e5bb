package organization

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"time"
)

// The bounds of wrong administration tokens.
const (
	// freeAttempts may follow each other at once; then one more every
	// attemptInterval.
	freeAttempts    = 10
	attemptInterval = 6 * time.Second
)

// TooManyAttemptsError is returned when an address has sent too many wrong
// tokens.
type TooManyAttemptsError struct {
	// RetryAfter is the time until another one is allowed.
	RetryAfter time.Duration
}

func (e *TooManyAttemptsError) Error() string {
	return fmt.Sprintf("too many wrong administration tokens, wait %s", e.RetryAfter)
}

// Connect checks a token that comes from address, in constant time. The right
// one always passes: whoever shares an address with others is not kept out by
// their mistakes, and no token can be guessed in any time. It returns
// ErrBadToken for a wrong one, or a *TooManyAttemptsError after too many.
func (a *Administration) Connect(address netip.Addr, token string) (Administrator, error) {
	if right := a.currentToken(); right != "" && subtle.ConstantTimeCompare([]byte(token), []byte(right)) == 1 {
		return Administrator{Address: address}, nil
	}
	if wait := a.attempts.Take(address); wait > 0 {
		a.logger.Debug("wrong administration token, one of too many", "address", address.String())
		return Administrator{}, &TooManyAttemptsError{RetryAfter: wait}
	}
	a.logger.Warn("wrong administration token", "address", address.String())
	return Administrator{}, ErrBadToken
}

// currentToken returns the token of the moment, or the previous one if that
// cannot be read.
func (a *Administration) currentToken() string {
	if a.options.RereadToken == nil {
		return a.options.Token
	}
	token, err := a.options.RereadToken()
	if err == nil {
		a.token.Store(&token)
		return token
	}
	a.logger.Warn("the administration token is not replaced", "error", err)
	if last := a.token.Load(); last != nil {
		return *last
	}
	return a.options.Token
}
