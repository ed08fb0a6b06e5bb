package protocol

import "parsec-server/pkg/parsec"

// RecoveryRecipient is a user whom the claimer may ask for shares.
type RecoveryRecipient struct {
	UserID      parsec.UserID      `wire:"user_id"`
	HumanHandle parsec.HumanHandle `wire:"human_handle,nullable"`
	Shares      uint64             `wire:"shares"`
}

// ShamirRecoverySetupRequest replaces the author's setup; nil removes it
// (docs/protocol/invite.md §8).
type ShamirRecoverySetupRequest struct {
	Setup *ShamirRecoverySetupData `wire:"setup"`
}

// ShamirRecoverySetupData is a setup: what the reveal token reveals, and the
// signed certificates that say who has the shares.
type ShamirRecoverySetupData struct {
	CipheredData []byte      `wire:"ciphered_data"`
	RevealToken  parsec.UUID `wire:"reveal_token"`
	Brief        []byte      `wire:"brief"`
	Shares       [][]byte    `wire:"shares"`
}

// ShamirRecoverySelfInfoRequest has no field.
type ShamirRecoverySelfInfoRequest struct{}

// ShamirRecoverySelfInfoReply holds the author's brief certificate, nil
// without setup.
type ShamirRecoverySelfInfoReply struct {
	SelfInfo []byte `wire:"self_info,nullable"`
}

// ShamirRecoveryOthersListRequest has no field.
type ShamirRecoveryOthersListRequest struct{}

// ShamirRecoveryOthersListReply holds the certificates of each setup that the
// author is a recipient of, at the same place in both lists.
type ShamirRecoveryOthersListReply struct {
	BriefCertificates [][]byte `wire:"brief_certificates"`
	ShareCertificates [][]byte `wire:"share_certificates"`
}

// InviteShamirRecoveryRevealRequest asks for what the claimer shared between
// the recipients.
type InviteShamirRecoveryRevealRequest struct {
	RevealToken parsec.UUID `wire:"reveal_token"`
}

// InviteShamirRecoveryRevealReply is what the claimer gave at the setup.
type InviteShamirRecoveryRevealReply struct {
	CipheredData []byte `wire:"ciphered_data"`
}
