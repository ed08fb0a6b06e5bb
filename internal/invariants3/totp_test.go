//go:build !without_postgresql

package invariants3_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// The invariants of docs/protocol/v5/enrollment.md §4.6.

func TestTOTPSecretIsOne(t *testing.T)          { everywhere(t, totpSecretIsOne) }
func TestTOTPGuessesCount(t *testing.T)         { everywhere(t, totpGuessesCount) }
func TestTOTPResetsAndConfirms(t *testing.T)    { everywhere(t, totpResetsAndConfirms) }
func TestTOTPPasswordsAreUsedOnce(t *testing.T) { everywhere(t, totpPasswordsAreUsedOnce) }

func (m *member) totpSecret(instance int) []byte {
	m.w.Helper()
	return ask(m, instance, protocol.TOTPSetupGetSecret, &protocol.TOTPSetupGetSecretRequest{}).TOTPSecret
}

func (m *member) confirms(instance int, secret []byte) call {
	return send(m.on[instance], protocol.TOTPSetupConfirm, &protocol.TOTPSetupConfirmRequest{
		OneTimePassword: testclient3.OneTimePassword(secret, systemClock()),
	})
}

// fetches fetches a key of a user.
func (m *member) fetches(instance int, key vocabulary.OpaqueKeyID, password string) call {
	return send(m.w.clients[instance].Anonymous(m.w.organization), protocol.TOTPFetchOpaqueKey, &protocol.TOTPFetchOpaqueKeyRequest{
		UserID: m.User, OpaqueKeyID: key, OneTimePassword: password,
	})
}

// resetsTOTP has an administrator reset the setup of a user.
func (w *world) resetsTOTP(of *member, token *vocabulary.AccessToken) call {
	return func(ctx context.Context) error {
		location := must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://parsec.example.com")).LocationOf(w.organization)
		reset, err := w.administration.ResetTOTP(ctx, organization.Administrator{}, w.organization,
			organization.UserChoice{ID: of.User.String()}, location, false)
		if err != nil {
			return err
		}
		*token = must(vocabulary.ParseAddress(reset.Link.URL)).Target.(vocabulary.TOTPResetTarget).Token
		return nil
	}
}

func totpSecretIsOne(w *world) {
	for range rounds / 2 {
		bob := w.addUser("bob", parsec.ProfileStandard)
		var mu sync.Mutex
		var secrets [][]byte
		got := w.collide(each(4, func(_, instance int) call {
			return func(ctx context.Context) error {
				reply, err := parsec3.Call(ctx, bob.on[instance], protocol.TOTPSetupGetSecret, &protocol.TOTPSetupGetSecretRequest{})
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					secrets = append(secrets, reply.TOTPSecret)
				}
				return err
			}
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 4})
		for _, secret := range secrets {
			if !bytes.Equal(secret, secrets[0]) {
				w.Fatalf("two secrets of one user: %x and %x", secrets[0], secret)
			}
		}
	}
}

// totpGuessesCount has guesses at one key wait for each other: those that come at once
// are one, and the others are throttled.
func totpGuessesCount(w *world) {
	for range rounds / 2 {
		bob := w.addUser("bob", parsec.ProfileStandard)
		secret := bob.totpSecret(0)
		key := ask(bob, 1, protocol.TOTPCreateOpaqueKey, &protocol.TOTPCreateOpaqueKeyRequest{})
		w.ok(bob.confirms(1, secret))
		got := w.collide(each(4, func(_, instance int) call { return bob.fetches(instance, key.OpaqueKeyID, "no digits") })...)
		w.wantOutcomes(got, outcomes{protocol.StatusInvalidOneTimePassword: 1, protocol.StatusThrottled: 3})
	}
}

// totpPasswordsAreUsedOnce lets in one of those who have the same password.
func totpPasswordsAreUsedOnce(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	secret := bob.totpSecret(0)
	key := ask(bob, 1, protocol.TOTPCreateOpaqueKey, &protocol.TOTPCreateOpaqueKeyRequest{})
	w.ok(bob.confirms(1, secret))
	password := testclient3.OneTimePassword(secret, systemClock())
	got := w.collide(each(3, func(_, instance int) call { return bob.fetches(instance, key.OpaqueKeyID, password) })...)
	// The second one is wrong, and has the third one wait.
	w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusInvalidOneTimePassword: 1, protocol.StatusThrottled: 1})
}

// totpResetsAndConfirms leaves the setup complete by the former secret, or reset.
func totpResetsAndConfirms(w *world) {
	for round := range rounds {
		bob := w.addUser(fmt.Sprint("bob", round), parsec.ProfileStandard)
		secret := bob.totpSecret(0)
		var token vocabulary.AccessToken
		calls := []call{w.resetsTOTP(bob, &token), bob.confirms(round%2, secret)}
		got := w.collide(calls...)
		if got[0] != protocol.StatusOK || got[1] != protocol.StatusOK && got[1] != protocol.StatusInvalidOneTimePassword {
			w.Fatalf("reset: %s, confirmed: %s", got[0], got[1])
		}
		// Whichever came last, the reset holds: a confirmation sees no secret after it.
		if again := bob.totpSecret(1); bytes.Equal(again, secret) {
			w.Fatalf("the secret is the former one, confirmed: %s", got[1])
		}
		reply, err := parsec3.Call(w.ctx, w.clients[0].Anonymous(w.organization), protocol.TOTPSetupGetSecretAnonymous,
			&protocol.TOTPSetupGetSecretAnonymousRequest{UserID: bob.User, Token: token})
		w.no(err)
		if !bytes.Equal(reply.TOTPSecret, bob.totpSecret(0)) {
			w.Fatalf("two secrets")
		}
	}
}
