package protocol

import "parsec-server/pkg/parsec"

// ChallengeBytes is the length of a challenge.
const ChallengeBytes = 48

// HandshakeResult is the outcome of a handshake
// (docs/protocol/transport.md §6.4).
type HandshakeResult string

// The results.
const (
	HandshakeOK                  HandshakeResult = "ok"
	HandshakeBadProtocol         HandshakeResult = "bad_protocol"
	HandshakeBadAdminToken       HandshakeResult = "bad_admin_token"
	HandshakeBadIdentity         HandshakeResult = "bad_identity"
	HandshakeOrganizationExpired HandshakeResult = "organization_expired"
	HandshakeRVKMismatch         HandshakeResult = "rvk_mismatch"
	HandshakeRevokedDevice       HandshakeResult = "revoked_device"
	HandshakeFrozenUser          HandshakeResult = "frozen_user"
)

// ChallengeFrame is the first frame, from the server.
type ChallengeFrame struct {
	Handshake                 string              `wire:"handshake"`
	Challenge                 []byte              `wire:"challenge"`
	SupportedAPIVersions      []parsec.APIVersion `wire:"supported_api_versions"`
	BallparkClientEarlyOffset float64             `wire:"ballpark_client_early_offset,optional"`
	BallparkClientLateOffset  float64             `wire:"ballpark_client_late_offset,optional"`
	BackendTimestamp          *parsec.DateTime    `wire:"backend_timestamp,optional"`
}

// NewChallenge returns the frame that every official client accepts.
func NewChallenge(challenge []byte, now parsec.DateTime) ChallengeFrame {
	return ChallengeFrame{
		Handshake:                 "challenge",
		Challenge:                 challenge,
		SupportedAPIVersions:      parsec.SupportedAPIVersions[:],
		BallparkClientEarlyOffset: parsec.BallparkEarlyOffset,
		BallparkClientLateOffset:  parsec.BallparkLateOffset,
		BackendTimestamp:          &now,
	}
}

// AnswerHeader is what every answer of a client has.
type AnswerHeader struct {
	Handshake        string            `wire:"handshake"`
	Type             string            `wire:"type"`
	ClientAPIVersion parsec.APIVersion `wire:"client_api_version"`
}

// AnswerType returns the kind of connection asked for, 0 when the type does not
// exist in the client's API.
func (h *AnswerHeader) AnswerType() Kind {
	if h.ClientAPIVersion.Major == 1 {
		switch h.Type {
		case "authenticated":
			return Authenticated
		case "anonymous":
			return Anonymous
		case "administration":
			return Administration
		}
		return 0
	}
	switch h.Type {
	case "AUTHENTICATED":
		return Authenticated
	case "INVITED":
		return Invited
	}
	return 0
}

// AuthenticatedAnswer is the answer of a device. Answer is the signature
// followed by the signed message.
type AuthenticatedAnswer struct {
	AnswerHeader
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
	DeviceID       parsec.DeviceID       `wire:"device_id"`
	RootVerifyKey  parsec.VerifyKey      `wire:"rvk"`
	Answer         []byte                `wire:"answer"`
}

// InvitedAnswer is the answer of the claimer of an invitation.
type InvitedAnswer struct {
	AnswerHeader
	OrganizationID parsec.OrganizationID  `wire:"organization_id"`
	InvitationType parsec.InvitationType  `wire:"invitation_type"`
	Token          parsec.InvitationToken `wire:"token"`
}

// AnonymousAnswer is the answer of API 1 for bootstraps and claims.
type AnonymousAnswer struct {
	AnswerHeader
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
	RootVerifyKey  *parsec.VerifyKey     `wire:"rvk,optional"`
}

// AdministrationAnswer is the answer of API 1 for administration.
type AdministrationAnswer struct {
	AnswerHeader
	Token string `wire:"token"`
}

// SignedAnswer is the message that clients since API 2.5 sign.
type SignedAnswer struct {
	Type   string `wire:"type"`
	Answer []byte `wire:"answer"`
}

// HandshakeResultFrame is the last frame, from the server.
type HandshakeResultFrame struct {
	Handshake string          `wire:"handshake"`
	Result    HandshakeResult `wire:"result"`
	Help      *string         `wire:"help,optional"`
}
