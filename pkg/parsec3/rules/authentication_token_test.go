package rules_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"parsec-server/pkg/parsec3/rules"
)

// TestAdmitAgain lets the same token in again, and nothing that differs from it in its
// text, in its signature or in whose it is, while the token is remembered, and later.
func TestAdmitAgain(t *testing.T) {
	f := newFixture(t)
	standing, err := f.Standing(t.Context(), acme, bobLaptop)
	f.ok(nil, err)
	good := f.token(bobLaptop)
	for range 12 {
		good.Date = f.clock.now()
		for range 2 {
			if _, err := f.Admit(&standing, good, latest); err != nil {
				t.Fatal(err)
			}
		}
		for name, change := range map[string]func(token *rules.Token, standing *rules.Standing){
			"signature":       func(token *rules.Token, _ *rules.Standing) { token.Signature[5]++ },
			"short signature": func(token *rules.Token, _ *rules.Standing) { token.Signature = token.Signature[:63] },
			"text":            func(token *rules.Token, _ *rules.Standing) { token.Signed[5]++ },
			"bytes moved": func(token *rules.Token, _ *rules.Standing) {
				token.Signature, token.Signed = append(token.Signature, token.Signed[0]), token.Signed[1:]
			},
			"key": func(_ *rules.Token, standing *rules.Standing) {
				standing.Device = &rules.Device{ID: bobLaptop, User: bobID, VerifyKey: verifyKey(signingKey(aliceLaptop))}
			},
		} {
			token, of := *f.token(bobLaptop), standing
			change(&token, &of)
			if got := status(f.Admit(&of, &token, latest)); got != aborted(rules.BadSignature) {
				t.Errorf("%s: %s", name, got)
			}
		}
		f.clock.advance(4 * time.Second)
	}
	good.Date = f.clock.now().Add(-400 * time.Second)
	if got := status(f.Admit(&standing, good, latest)); got != aborted(rules.TokenExpired) {
		t.Errorf("an old token: %s", got)
	}
}

// TestAdmitMany lets in more tokens than are remembered.
func TestAdmitMany(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	standing, err := f.Standing(t.Context(), acme, bobLaptop)
	f.ok(nil, err)
	key := signingKey(bobLaptop)
	for i := range 2*rules.MaxVerified + 2 {
		token := &rules.Token{Device: bobLaptop, Date: f.clock.now(), Signed: fmt.Append(nil, "PARSEC-SIGN-ED25519.", i)}
		token.Signature = ed25519.Sign(key, token.Signed)
		if _, err := f.Admit(&standing, token, latest); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Verified(); got > 2*rules.MaxVerified || got < rules.MaxVerified {
		t.Errorf("%d tokens are remembered", got)
	}
}
