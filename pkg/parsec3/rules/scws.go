package rules

import (
	"bytes"
	"context"
	"crypto/rsa"

	"parsec-server/pkg/parsec3/protocol"
)

// SCWS are the keys by which the web application and the smart-card services of its
// users know each other (docs/protocol/v5/account.md §7).
type SCWS struct {
	// Services are the keys of the services, by id; nil for one that is revoked.
	Services []*rsa.PublicKey
	// WebApplication is the key that the services know.
	WebApplication *rsa.PrivateKey
}

// maxChallenge is the length of the longest challenge that is signed, in bytes.
const maxChallenge = 64

// derSequence begins every DigestInfo. What begins so is no challenge: its signature
// could stand under a document.
const derSequence = 0x30

// SCWSServiceMutualChallenges checks how a service has answered the challenge of a web
// page, and answers that of the service for the page.
func (r *Rules) SCWSServiceMutualChallenges(_ context.Context, request *protocol.SCWSServiceMutualChallengesRequest) (*protocol.SCWSServiceMutualChallengesReply, error) {
	keys := r.options.SCWS
	if keys == nil {
		return nil, protocol.Refuse(protocol.StatusNotAvailable)
	}
	id := request.ServiceChallengeKeyID
	if id >= uint64(len(keys.Services)) || keys.Services[id] == nil {
		return nil, protocol.Refuse(protocol.StatusUnknownSCWSServiceChallengeKeyID)
	}
	// The services sign challenges as they are, without hash.
	err := rsa.VerifyPKCS1v15(keys.Services[id], 0, request.ServiceChallengePayload, request.ServiceChallengeSignature)
	if err != nil {
		return nil, protocol.Refuse(protocol.StatusInvalidSCWSServiceChallengeSignature)
	}
	challenge := request.WebApplicationChallengePayload
	if len(challenge) == 0 || len(challenge) > maxChallenge || bytes.HasPrefix(challenge, []byte{derSequence}) {
		return nil, protocol.Refuse(protocol.StatusInvalidWebApplicationChallengePayload)
	}
	signature, err := rsa.SignPKCS1v15(nil, keys.WebApplication, 0, challenge)
	if err != nil {
		return nil, err
	}
	return &protocol.SCWSServiceMutualChallengesReply{WebApplicationChallengeSignature: signature}, nil
}
