package testclient3

import (
	"testing"
	"time"
)

// TestPKI verifies what an identity has signed, and nothing else.
func TestPKI(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	pki, err := NewPKI(now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewPKI(now)
	if err != nil {
		t.Fatal(err)
	}
	const email = "zoe@example.com"
	identity, err := pki.Badge(email)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte("payload")
	signature, err := identity.sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	emails, err := pki.verify(payload, signature, identity.leaf.Raw, identity.intermediates, now)
	if err != nil || !isOf(emails, email) || isOf(emails, "bob@example.com") {
		t.Errorf("%v, %v", emails, err)
	}
	for name, verify := range map[string]func() error{
		"another payload": func() error {
			_, err := pki.verify([]byte("other"), signature, identity.leaf.Raw, identity.intermediates, now)
			return err
		},
		"another root": func() error {
			_, err := other.verify(payload, signature, identity.leaf.Raw, identity.intermediates, now)
			return err
		},
		"no intermediate": func() error {
			_, err := pki.verify(payload, signature, identity.leaf.Raw, nil, now)
			return err
		},
		"too late": func() error {
			_, err := pki.verify(payload, signature, identity.leaf.Raw, identity.intermediates, now.Add(2*pkiLifetime))
			return err
		},
		"not a certificate": func() error {
			_, err := pki.verify(payload, signature, []byte{1}, identity.intermediates, now)
			return err
		},
	} {
		if verify() == nil {
			t.Errorf("%s is verified", name)
		}
	}
}
