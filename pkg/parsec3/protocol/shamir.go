package protocol

import "parsec-server/pkg/parsec3"

// ShamirRecoverySetupRequest has others hold the shares of a secret by which the
// author's user recovers.
type ShamirRecoverySetupRequest struct {
	// CipheredData is what RevealToken reveals: a device, encrypted by its owner.
	CipheredData      []byte              `wire:"ciphered_data"`
	RevealToken       parsec3.AccessToken `wire:"reveal_token"`
	BriefCertificate  []byte              `wire:"shamir_recovery_brief_certificate"`
	ShareCertificates [][]byte            `wire:"shamir_recovery_share_certificates"`
}

// ShamirRecoverySetupReply has no field.
type ShamirRecoverySetupReply struct{}

// InviteNewShamirRecoveryRequest invites a user to recover by its setup, of which the
// author is a recipient.
type InviteNewShamirRecoveryRequest struct {
	ClaimerUserID parsec3.UserID `wire:"claimer_user_id"`
	SendEmail     bool           `wire:"send_email"`
}

// InviteNewShamirRecoveryReply has the token of the invitation.
type InviteNewShamirRecoveryReply struct{ NewInvitation }

// InviteShamirRecoveryRevealRequest has the secret that the shares of a setup protect.
type InviteShamirRecoveryRevealRequest struct {
	RevealToken parsec3.AccessToken `wire:"reveal_token"`
}

// InviteShamirRecoveryRevealReply has what the owner left.
type InviteShamirRecoveryRevealReply struct {
	CipheredData []byte `wire:"ciphered_data"`
}

// Size implements rpc.Sized.
func (r *InviteShamirRecoveryRevealReply) Size() int { return binHead + len(r.CipheredData) }

// ShamirRecoveryDeleteRequest ends a setup of the author's user.
type ShamirRecoveryDeleteRequest struct {
	DeletionCertificate []byte `wire:"shamir_recovery_deletion_certificate"`
}

// ShamirRecoveryDeleteReply has no field.
type ShamirRecoveryDeleteReply struct{}
