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

// ShamirRecoveryDeleteRequest ends a setup of the author's user.
type ShamirRecoveryDeleteRequest struct {
	DeletionCertificate []byte `wire:"shamir_recovery_deletion_certificate"`
}

// ShamirRecoveryDeleteReply has no field.
type ShamirRecoveryDeleteReply struct{}
