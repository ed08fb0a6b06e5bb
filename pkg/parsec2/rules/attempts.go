package rules

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

// TooManyAttemptsError tells that an address gave too many wrong tokens.
type TooManyAttemptsError struct {
	// RetryAfter is when the next one is counted again.
	RetryAfter time.Duration
}

func (e *TooManyAttemptsError) Error() string {
	return fmt.Sprintf("too many wrong administration tokens, wait %s", e.RetryAfter)
}

// ConnectAdministration checks the token that somebody at address gives, in
// constant time. The right one always passes: who shares an address with others
// is not kept out by their mistakes, and no token can be guessed in any time. It
// returns BadAdministration for a wrong one, or a *TooManyAttemptsError after
// too many. Without token in the options nobody gets in.
func (r *Rules) ConnectAdministration(address netip.Addr, token string) (Administrator, error) {
	if right := r.administrationToken(); right != "" && subtle.ConstantTimeCompare([]byte(token), []byte(right)) == 1 {
		return Administrator{Address: address}, nil
	}
	if wait := r.attempts.Take(address); wait > 0 {
		r.logger.Debug("wrong administration token, one of too many", "address", address.String())
		return Administrator{}, &TooManyAttemptsError{RetryAfter: wait}
	}
	r.logger.Warn("wrong administration token", "address", address.String())
	return Administrator{}, BadAdministration
}

// administrationToken is the one of the moment. If that cannot be read, the one
// before stays.
func (r *Rules) administrationToken() string {
	if r.options.RereadToken == nil {
		return r.options.AdministrationToken
	}
	token, err := r.options.RereadToken()
	if err == nil {
		r.token.Store(&token)
		return token
	}
	r.logger.Warn("the administration token is not replaced", "error", err)
	if last := r.token.Load(); last != nil {
		return *last
	}
	return r.options.AdministrationToken
}
