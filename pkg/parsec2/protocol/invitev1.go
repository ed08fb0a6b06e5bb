package protocol

import "parsec-server/pkg/parsec"

// The invitation commands of API 1 (docs/protocol/commands.md §9).

// UserInviteRequest invites a user and waits for its claim.
type UserInviteRequest struct {
	UserID parsec.UserID `wire:"user_id"`
}

// UserInviteReply is what the claimer sent.
type UserInviteReply struct {
	EncryptedClaim []byte `wire:"encrypted_claim"`
}

// UserCancelInvitationRequest names the invited user.
type UserCancelInvitationRequest struct {
	UserID parsec.UserID `wire:"user_id"`
}

// UserCancelInvitationReply has no field.
type UserCancelInvitationReply struct{}

// UserGetInvitationCreatorRequest names the invited user.
type UserGetInvitationCreatorRequest struct {
	InvitedUserID parsec.UserID `wire:"invited_user_id"`
}

// InvitationCreatorReply is who invited, and what verifies it.
type InvitationCreatorReply struct {
	DeviceCertificate []byte     `wire:"device_certificate"`
	UserCertificate   []byte     `wire:"user_certificate"`
	Trustchain        Trustchain `wire:"trustchain"`
}

// UserClaimRequest answers an invitation and waits for the creation.
type UserClaimRequest struct {
	InvitedUserID  parsec.UserID `wire:"invited_user_id"`
	EncryptedClaim []byte        `wire:"encrypted_claim"`
}

// UserClaimReply holds the certificates as stored by user_create.
type UserClaimReply struct {
	UserCertificate   []byte `wire:"user_certificate"`
	DeviceCertificate []byte `wire:"device_certificate"`
}

// DeviceInviteRequest invites a device of the author's user and waits for its
// claim.
type DeviceInviteRequest struct {
	InvitedDeviceName parsec.DeviceName `wire:"invited_device_name"`
}

// DeviceInviteReply is what the claimer sent.
type DeviceInviteReply struct {
	EncryptedClaim []byte `wire:"encrypted_claim"`
}

// DeviceCancelInvitationRequest names the invited device of the author's user.
type DeviceCancelInvitationRequest struct {
	InvitedDeviceName parsec.DeviceName `wire:"invited_device_name"`
}

// DeviceCancelInvitationReply has no field.
type DeviceCancelInvitationReply struct{}

// DeviceGetInvitationCreatorRequest names the invited device.
type DeviceGetInvitationCreatorRequest struct {
	InvitedDeviceID parsec.DeviceID `wire:"invited_device_id"`
}

// DeviceClaimRequest answers an invitation and waits for the creation.
type DeviceClaimRequest struct {
	InvitedDeviceID parsec.DeviceID `wire:"invited_device_id"`
	EncryptedClaim  []byte          `wire:"encrypted_claim"`
}

// DeviceClaimReply holds what the inviter gave to device_create.
type DeviceClaimReply struct {
	DeviceCertificate []byte `wire:"device_certificate"`
	EncryptedAnswer   []byte `wire:"encrypted_answer"`
}
