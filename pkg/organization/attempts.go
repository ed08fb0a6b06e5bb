package organization

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"time"

	"parsec-server/pkg/sleep"
)

// The bounds of wrong administration tokens.
const (
	// freeAttempts may follow each other at once; then one more every
	// attemptInterval.
	freeAttempts    = 10
	attemptInterval = 6 * time.Second
)

// tokensPeriod is the time between two looks at the named tokens when nobody asks.
const tokensPeriod = 10 * time.Second

// TooManyAttemptsError is returned when an address has sent too many wrong
// tokens.
type TooManyAttemptsError struct {
	// RetryAfter is the time until another one is allowed.
	RetryAfter time.Duration
}

func (e *TooManyAttemptsError) Error() string {
	return fmt.Sprintf("too many wrong administration tokens, wait %s", e.RetryAfter)
}

// singleName is what the audit log calls whoever has the token without a name.
const singleName = "administrator"

// NamedToken lets one administrator in.
type NamedToken struct {
	Name, Token string
	// ReadOnly is for one that may change nothing.
	ReadOnly bool
}

// Connect checks a token that comes from address, in constant time. The right
// one always passes: whoever shares an address with others is not kept out by
// their mistakes, and no token can be guessed in any time. It returns
// ErrBadToken for a wrong one, or a *TooManyAttemptsError after too many.
func (a *Administration) Connect(address netip.Addr, token string) (Administrator, error) {
	if by, found := a.find(token); found {
		by.Address = address
		return by, nil
	}
	if wait := a.attempts.Take(address); wait > 0 {
		a.logger.Debug("wrong administration token, one of too many", "address", address.String())
		return Administrator{}, &TooManyAttemptsError{RetryAfter: wait}
	}
	a.logger.Warn("wrong administration token", "address", address.String())
	return Administrator{}, ErrBadToken
}

// find compares a token with each, whatever the others say and however long they are.
func (a *Administration) find(token string) (by Administrator, found bool) {
	given := sha256.Sum256([]byte(token))
	all := append([]NamedToken{{Name: singleName, Token: a.currentToken()}}, a.currentNamed()...)
	for _, one := range all {
		right := sha256.Sum256([]byte(one.Token))
		if subtle.ConstantTimeCompare(given[:], right[:]) == 1 && one.Token != "" {
			by, found = Administrator{Name: one.Name, ReadOnly: one.ReadOnly}, true
		}
	}
	return by, found
}

// currentNamed returns the named tokens of the moment, or the previous ones if these
// cannot be read, which the log says once.
func (a *Administration) currentNamed() []NamedToken {
	if a.options.NamedTokens == nil {
		return nil
	}
	tokens, err := a.options.NamedTokens()
	if err == nil {
		a.named.Store(&tokens)
		if a.unread.Swap(nil) != nil {
			a.logger.Info("the administration tokens are read again")
		}
		return tokens
	}
	why := err.Error()
	if before := a.unread.Swap(&why); before == nil || *before != why {
		a.logger.Error("the administration tokens stay as they were", "error", err)
	}
	if last := a.named.Load(); last != nil {
		return *last
	}
	return nil
}

// WatchTokens looks at the named tokens until ctx is done: so the log tells what is wrong
// with them when they were changed, and not when somebody is refused.
func (a *Administration) WatchTokens(ctx context.Context) {
	for sleep.For(ctx, tokensPeriod) == nil {
		a.currentNamed()
	}
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
