package testclient3

import (
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec3/protocol"
)

// TestPKI verifies what a card has signed, and nothing else.
func TestPKI(t *testing.T) {
	const email = "zoe@example.com"
	now := enrolledOn.Time()
	pki, other := must(NewPKI(now)), must(NewPKI(now))
	card, stranger := must(pki.Badge(email)), must(other.Badge(email))
	payload := []byte("payload")
	signature := must(card.sign(payload))
	emails, err := card.verify(payload, signature, now)
	if err != nil || !slices.Equal(emails, []string{email}) {
		t.Errorf("%v, %v", emails, err)
	}
	spoilt := func(spoil func(*protocol.SubmitSignature)) protocol.SubmitSignature {
		proof := signature
		spoil(&proof)
		return proof
	}
	for name, tt := range map[string]struct {
		by        Identity
		payload   string
		signature protocol.SubmitSignature
		on        time.Time
	}{
		"another payload":   {card, "other", signature, now},
		"another root":      {stranger, "payload", signature, now},
		"no intermediate":   {card, "payload", spoilt(func(s *protocol.SubmitSignature) { s.Intermediates = nil }), now},
		"not a certificate": {card, "payload", spoilt(func(s *protocol.SubmitSignature) { s.Leaf = []byte{1} }), now},
		"too late":          {card, "payload", signature, now.Add(2 * pkiLifetime)},
	} {
		if _, err := tt.by.verify([]byte(tt.payload), tt.signature, tt.on); err == nil {
			t.Errorf("%s is verified", name)
		}
	}
}
