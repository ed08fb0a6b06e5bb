package rules_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"

	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// scwsKeys are those of two services, and of the web application.
var scwsKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		keys[i] = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	return keys
})

// challenges has a page and the first service challenge each other. The second key of the
// services is revoked.
type challenges struct {
	command
	request protocol.SCWSServiceMutualChallengesRequest
}

func newChallenges(t *testing.T) *challenges {
	t.Helper()
	keys := scwsKeys()
	f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) {
		o.SCWS = &rules.SCWS{Services: []*rsa.PublicKey{&keys[0].PublicKey, nil, &keys[1].PublicKey}, WebApplication: keys[2]}
	}))
	payload := []byte("challenge of the page")
	return &challenges{command{f, nil}, protocol.SCWSServiceMutualChallengesRequest{
		ServiceChallengePayload: payload, ServiceChallengeSignature: must(rsa.SignPKCS1v15(nil, keys[0], 0, payload)),
		WebApplicationChallengePayload: []byte("challenge of the service"),
	}}
}

func (s *challenges) answer() (*protocol.SCWSServiceMutualChallengesReply, error) {
	return s.SCWSServiceMutualChallenges(s.t.Context(), &s.request)
}

func (s *challenges) run() error { return failure(s.answer()) }

func TestSCWSServiceMutualChallengesTable(t *testing.T) {
	checkTable(t, "scws_service_mutual_challenges", newChallenges, []row[*challenges]{
		{"1", "not configured", func(s *challenges) {
			s.Rules = rules.New(s.store, s.blocks, s.bus, s.webhooks, s.clock.now, discard, rules.Options{})
		}, protocol.StatusNotAvailable},
		{"2", "unknown key", func(s *challenges) { s.request.ServiceChallengeKeyID = 3 }, protocol.StatusUnknownSCWSServiceChallengeKeyID},
		{"2", "revoked key", func(s *challenges) { s.request.ServiceChallengeKeyID = 1 }, protocol.StatusUnknownSCWSServiceChallengeKeyID},
		{"3", "another payload", func(s *challenges) { s.request.ServiceChallengePayload = []byte("another") }, protocol.StatusInvalidSCWSServiceChallengeSignature},
		{"4", "challenge too long", func(s *challenges) { s.request.WebApplicationChallengePayload = make([]byte, 246) }, protocol.StatusInvalidWebApplicationChallengePayload},
	}, [2]string{"unknown key", "revoked key"})
}

// A service has signed its challenge itself, as it is.
func TestSCWSSignatures(t *testing.T) {
	keys := scwsKeys()
	sign := func(key *rsa.PrivateKey, payload []byte) []byte { return must(rsa.SignPKCS1v15(nil, key, 0, payload)) }
	for name, test := range map[string]struct {
		spoil func(*protocol.SCWSServiceMutualChallengesRequest)
		want  protocol.Status
	}{
		"another service": {func(r *protocol.SCWSServiceMutualChallengesRequest) { r.ServiceChallengeKeyID = 2 }, protocol.StatusInvalidSCWSServiceChallengeSignature},
		"the other service": {func(r *protocol.SCWSServiceMutualChallengesRequest) {
			r.ServiceChallengeKeyID, r.ServiceChallengeSignature = 2, sign(keys[1], r.ServiceChallengePayload)
		}, protocol.StatusOK},
		"no signature": {func(r *protocol.SCWSServiceMutualChallengesRequest) { r.ServiceChallengeSignature = nil }, protocol.StatusInvalidSCWSServiceChallengeSignature},
		"more": {func(r *protocol.SCWSServiceMutualChallengesRequest) {
			r.ServiceChallengeSignature = append(r.ServiceChallengeSignature, 0)
		}, protocol.StatusInvalidSCWSServiceChallengeSignature},
		"an empty challenge": {func(r *protocol.SCWSServiceMutualChallengesRequest) {
			r.ServiceChallengePayload, r.ServiceChallengeSignature = []byte{}, sign(keys[0], nil)
		}, protocol.StatusOK},
		"the largest id": {func(r *protocol.SCWSServiceMutualChallengesRequest) { r.ServiceChallengeKeyID = 1<<63 - 1 }, protocol.StatusUnknownSCWSServiceChallengeKeyID},
	} {
		s := newChallenges(t)
		test.spoil(&s.request)
		if got := status(s.answer()); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// What is signed is a challenge, and nothing that means more elsewhere.
func TestSCWSIsNoOracle(t *testing.T) {
	for name, test := range map[string]struct {
		challenge []byte
		signed    bool
	}{
		"one byte":              {[]byte{1}, true},
		"the longest":           {bytes.Repeat([]byte{1}, 64), true},
		"one byte more":         {bytes.Repeat([]byte{1}, 65), false},
		"nothing":               {nil, false},
		"a DigestInfo":          {append([]byte{0x30, 0x31}, make([]byte, 49)...), false},
		"its first byte inside": {[]byte{1, 0x30}, true},
	} {
		s := newChallenges(t)
		s.request.WebApplicationChallengePayload = test.challenge
		reply, err := s.answer()
		if (err == nil) != test.signed {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && rsa.VerifyPKCS1v15(&scwsKeys()[2].PublicKey, 0, test.challenge, reply.WebApplicationChallengeSignature) != nil {
			t.Errorf("%s: the signature is another", name)
		}
	}
}
