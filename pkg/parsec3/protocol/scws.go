package protocol

// SCWSServiceMutualChallengesRequest has the server vouch for the web page of a client
// to the smart-card service of its machine, and for that service to the page
// (docs/protocol/v5/account.md §7).
type SCWSServiceMutualChallengesRequest struct {
	ServiceChallengePayload        []byte `wire:"scws_service_challenge_payload"`
	ServiceChallengeSignature      []byte `wire:"scws_service_challenge_signature"`
	ServiceChallengeKeyID          uint64 `wire:"scws_service_challenge_key_id"`
	WebApplicationChallengePayload []byte `wire:"web_application_challenge_payload"`
}

// SCWSServiceMutualChallengesReply is the answer to the challenge of the service, which
// has answered that of the page.
type SCWSServiceMutualChallengesReply struct {
	WebApplicationChallengeSignature []byte `wire:"web_application_challenge_signature"`
}
