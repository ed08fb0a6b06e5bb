package protocol

import "parsec-server/pkg/parsec"

// The conduit (docs/protocol/invite.md §4): what greeters send names the
// invitation.

// Invite1GreeterWaitPeerRequest waits for the claimer.
type Invite1GreeterWaitPeerRequest struct {
	Token            parsec.InvitationToken `wire:"token"`
	GreeterPublicKey parsec.PublicKey       `wire:"greeter_public_key"`
}

// Invite1GreeterWaitPeerReply is the claimer's ephemeral key.
type Invite1GreeterWaitPeerReply struct {
	ClaimerPublicKey parsec.PublicKey `wire:"claimer_public_key"`
}

// Invite2aGreeterGetHashedNonceRequest waits for the claimer's commitment.
type Invite2aGreeterGetHashedNonceRequest struct {
	Token parsec.InvitationToken `wire:"token"`
}

// Invite2aGreeterGetHashedNonceReply is the claimer's commitment.
type Invite2aGreeterGetHashedNonceReply struct {
	ClaimerHashedNonce []byte `wire:"claimer_hashed_nonce"`
}

// Invite2bGreeterSendNonceRequest sends a nonce, and waits for another.
type Invite2bGreeterSendNonceRequest struct {
	Token        parsec.InvitationToken `wire:"token"`
	GreeterNonce []byte                 `wire:"greeter_nonce"`
}

// Invite2bGreeterSendNonceReply is the claimer's nonce.
type Invite2bGreeterSendNonceReply struct {
	ClaimerNonce []byte `wire:"claimer_nonce"`
}

// Invite3aGreeterWaitPeerTrustRequest waits until the claimer trusts.
type Invite3aGreeterWaitPeerTrustRequest struct {
	Token parsec.InvitationToken `wire:"token"`
}

// Invite3bGreeterSignifyTrustRequest trusts the claimer.
type Invite3bGreeterSignifyTrustRequest struct {
	Token parsec.InvitationToken `wire:"token"`
}

// Invite4GreeterCommunicateRequest exchanges payloads.
type Invite4GreeterCommunicateRequest struct {
	Token   parsec.InvitationToken `wire:"token"`
	Payload []byte                 `wire:"payload"`
}

// InviteCommunicateReply is the payload of the peer.
type InviteCommunicateReply struct {
	Payload []byte `wire:"payload"`
}

// ClaimerRequest is what claimers since API 2.9 and 3.3 send: which greeter
// they talk to. Zero is the only one.
type ClaimerRequest struct {
	GreeterUserID parsec.UserID `wire:"greeter_user_id,nullable,optional"`
}

// Invite1ClaimerWaitPeerRequest waits for the greeter.
type Invite1ClaimerWaitPeerRequest struct {
	ClaimerRequest
	ClaimerPublicKey parsec.PublicKey `wire:"claimer_public_key"`
}

// Invite1ClaimerWaitPeerReply is the greeter's ephemeral key.
type Invite1ClaimerWaitPeerReply struct {
	GreeterPublicKey parsec.PublicKey `wire:"greeter_public_key"`
}

// Invite2aClaimerSendHashedNonceRequest commits to a nonce.
type Invite2aClaimerSendHashedNonceRequest struct {
	ClaimerRequest
	ClaimerHashedNonce []byte `wire:"claimer_hashed_nonce"`
}

// Invite2aClaimerSendHashedNonceReply is the greeter's nonce.
type Invite2aClaimerSendHashedNonceReply struct {
	GreeterNonce []byte `wire:"greeter_nonce"`
}

// Invite2bClaimerSendNonceRequest reveals the nonce.
type Invite2bClaimerSendNonceRequest struct {
	ClaimerRequest
	ClaimerNonce []byte `wire:"claimer_nonce"`
}

// Invite3aClaimerSignifyTrustRequest trusts the greeter.
type Invite3aClaimerSignifyTrustRequest struct{ ClaimerRequest }

// Invite3bClaimerWaitPeerTrustRequest waits until the greeter trusts.
type Invite3bClaimerWaitPeerTrustRequest struct{ ClaimerRequest }

// Invite4ClaimerCommunicateRequest exchanges payloads.
type Invite4ClaimerCommunicateRequest struct {
	ClaimerRequest
	Payload []byte `wire:"payload"`
}
