package protocol

import "parsec-server/pkg/parsec"

// The invitation commands of API 1 (docs/protocol/commands.md §9).

// InvitedUserRequest names a user that is invited: user_invite waits for its
// claim, user_cancel_invitation ends the invitation.
type InvitedUserRequest struct {
	UserID parsec.UserID `wire:"user_id"`
}

// InvitationClaimReply is what the claimer sent.
type InvitationClaimReply struct {
	EncryptedClaim []byte `wire:"encrypted_claim"`
}

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

// InvitedDeviceRequest names a device of the author's user that is invited:
// device_invite waits for its claim, device_cancel_invitation ends the invitation.
type InvitedDeviceRequest struct {
	InvitedDeviceName parsec.DeviceName `wire:"invited_device_name"`
}

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
