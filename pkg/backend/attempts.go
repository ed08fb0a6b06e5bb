package backend

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

// TooManyAttemptsError tells that an address gave too many wrong tokens: what
// it gives now is not looked at.
type TooManyAttemptsError struct {
	// RetryAfter is when the next one will be.
	RetryAfter time.Duration
}

func (e *TooManyAttemptsError) Error() string {
	return fmt.Sprintf("too many wrong administration tokens, wait %s", e.RetryAfter)
}

// ConnectAdministration checks the token that somebody at address gives, in
// constant time. It returns BadAdministration, or a *TooManyAttemptsError after
// too many wrong ones. Without token in the options nobody gets in.
func (b *Backend) ConnectAdministration(address netip.Addr, token string) (Administrator, error) {
	now := b.now()
	if wait := b.attempts.Wait(address, now); wait > 0 {
		b.logger.Debug("administration token not looked at", "address", address.String())
		return Administrator{}, &TooManyAttemptsError{RetryAfter: wait}
	}
	if b.options.AdministrationToken == "" || subtle.ConstantTimeCompare([]byte(token), []byte(b.options.AdministrationToken)) != 1 {
		b.attempts.Add(address, now)
		b.logger.Warn("wrong administration token", "address", address.String())
		return Administrator{}, BadAdministration
	}
	return Administrator{Address: address}, nil
}
