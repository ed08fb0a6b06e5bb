package backend

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

// The bounds of wrong administration tokens.
const (
	// freeAttempts may follow each other at once; then one more every
	// attemptInterval.
	freeAttempts    = 10
	attemptInterval = 6 * time.Second
	// maxAttemptAddresses bounds the addresses that are told apart. Those
	// beyond share one count.
	maxAttemptAddresses = 4096
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

// attempts counts the wrong tokens of each address; its zero value has none.
// An IPv6 address counts as its /64, which one machine may own.
type attempts struct {
	mu sync.Mutex
	// forgotten is when the wrong tokens of an address count no more: each adds
	// an interval to it. What is past is removed when room is needed.
	forgotten map[netip.Prefix]parsec.DateTime
	others    parsec.DateTime
}

const wholeIPv4, halfIPv6 = 32, 64

func attemptKey(address netip.Addr) netip.Prefix {
	bits := halfIPv6
	if address.Is4() {
		bits = wholeIPv4
	}
	prefix, _ := address.Prefix(bits) // the zero address gives the zero prefix
	return prefix
}

// wait tells how long the address must wait, zero or less if it need not.
func (a *attempts) wait(address netip.Addr, now parsec.DateTime) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	forgotten, known := a.forgotten[attemptKey(address)]
	if !known && len(a.forgotten) >= maxAttemptAddresses {
		forgotten = a.others
	}
	return forgotten.Sub(now) - (freeAttempts-1)*attemptInterval
}

// add counts a wrong token.
func (a *attempts) add(address netip.Addr, now parsec.DateTime) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := attemptKey(address)
	forgotten, known := a.forgotten[key]
	if !known && len(a.forgotten) >= maxAttemptAddresses {
		for old, date := range a.forgotten {
			if date <= now {
				delete(a.forgotten, old)
			}
		}
	}
	switch {
	case !known && len(a.forgotten) >= maxAttemptAddresses:
		a.others = max(a.others, now).Add(attemptInterval)
	default:
		if a.forgotten == nil {
			a.forgotten = map[netip.Prefix]parsec.DateTime{}
		}
		a.forgotten[key] = max(forgotten, now).Add(attemptInterval)
	}
}

// ConnectAdministration checks the token that somebody at address gives, in
// constant time. It returns BadAdministration, or a *TooManyAttemptsError after
// too many wrong ones. Without token in the options nobody gets in.
func (b *Backend) ConnectAdministration(address netip.Addr, token string) (Administrator, error) {
	now := b.now()
	if wait := b.attempts.wait(address, now); wait > 0 {
		b.logger.Debug("administration token not looked at", "address", address.String())
		return Administrator{}, &TooManyAttemptsError{RetryAfter: wait}
	}
	if b.options.AdministrationToken == "" || subtle.ConstantTimeCompare([]byte(token), []byte(b.options.AdministrationToken)) != 1 {
		b.attempts.add(address, now)
		b.logger.Warn("wrong administration token", "address", address.String())
		return Administrator{}, BadAdministration
	}
	return Administrator{Address: address}, nil
}
