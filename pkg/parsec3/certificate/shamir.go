package certificate

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// maxShamirShares bounds the shares of all recipients of a Shamir recovery.
const maxShamirShares = 255

// ShamirBrief is a shamir_recovery_brief_certificate: how many shares recover a
// device, and who has how many.
type ShamirBrief struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	UserID    parsec3.UserID   `wire:"user_id"`
	// Threshold is 1 to the sum of the counts, each at least 1, at most 255 in
	// all.
	Threshold          uint8                    `wire:"threshold"`
	PerRecipientShares map[parsec3.UserID]uint8 `wire:"per_recipient_shares"`
}

// ShamirShare is a shamir_recovery_share_certificate: the shares of one recipient,
// encrypted for it.
type ShamirShare struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	UserID    parsec3.UserID   `wire:"user_id"`
	Recipient parsec3.UserID   `wire:"recipient"`
	// CipheredShare is opaque here.
	CipheredShare []byte `wire:"ciphered_share"`
}

// ShamirDeletion is a shamir_recovery_deletion_certificate.
type ShamirDeletion struct {
	Author                 parsec3.DeviceID `wire:"author"`
	Timestamp              parsec.DateTime  `wire:"timestamp"`
	SetupToDeleteTimestamp parsec.DateTime  `wire:"setup_to_delete_timestamp"`
	SetupToDeleteUserID    parsec3.UserID   `wire:"setup_to_delete_user_id"`
	// ShareRecipients has no duplicate once loaded; their order says nothing.
	ShareRecipients []parsec3.UserID `wire:"share_recipients"`
}

// LoadShamirBrief reads a certificate that author signed with key. Errors wrap a
// Failure.
func LoadShamirBrief(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (ShamirBrief, error) {
	return load[ShamirBrief](signed, key, author)
}

// LoadShamirShare reads a certificate that author signed with key. Errors wrap a
// Failure.
func LoadShamirShare(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (ShamirShare, error) {
	return load[ShamirShare](signed, key, author)
}

// LoadShamirDeletion reads a certificate that author signed with key. Errors wrap
// a Failure.
func LoadShamirDeletion(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (ShamirDeletion, error) {
	return load[ShamirDeletion](signed, key, author)
}

// Sign makes the certificate with the key of s.Author. It fails on fields that are
// not valid.
func (s ShamirBrief) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&s, key) }

// Sign makes the certificate with the key of s.Author. It fails on fields that are
// not valid.
func (s ShamirShare) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&s, key) }

// Sign makes the certificate with the key of s.Author. It fails on fields that are
// not valid.
func (s ShamirDeletion) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&s, key) }

func (*ShamirBrief) name() string               { return "shamir_recovery_brief_certificate" }
func (s *ShamirBrief) author() parsec3.DeviceID { return s.Author }
func (s *ShamirBrief) fields() any              { return s }

func (s *ShamirBrief) decode(encoded []byte) error {
	if err := unmarshal(encoded, s); err != nil {
		return err
	}
	if s.Threshold < 1 {
		return FailureSchema.because(errors.New("threshold is 0"))
	}
	sum := 0
	for recipient, count := range s.PerRecipientShares {
		if count < 1 {
			return FailureSchema.because(fmt.Errorf("%s has 0 shares", recipient))
		}
		sum += int(count)
	}
	if sum > maxShamirShares || int(s.Threshold) > sum {
		return FailureIntegrity.because(fmt.Errorf("threshold %d of %d shares", s.Threshold, sum))
	}
	return nil
}

func (*ShamirShare) name() string                  { return "shamir_recovery_share_certificate" }
func (s *ShamirShare) author() parsec3.DeviceID    { return s.Author }
func (s *ShamirShare) fields() any                 { return s }
func (s *ShamirShare) decode(encoded []byte) error { return unmarshal(encoded, s) }

func (*ShamirDeletion) name() string               { return "shamir_recovery_deletion_certificate" }
func (s *ShamirDeletion) author() parsec3.DeviceID { return s.Author }
func (s *ShamirDeletion) fields() any              { return s }

func (s *ShamirDeletion) decode(encoded []byte) error {
	if err := unmarshal(encoded, s); err != nil {
		return err
	}
	seen := make(map[parsec3.UserID]bool, len(s.ShareRecipients))
	unique := s.ShareRecipients[:0]
	for _, recipient := range s.ShareRecipients {
		if !seen[recipient] {
			seen[recipient] = true
			unique = append(unique, recipient)
		}
	}
	s.ShareRecipients = unique
	return nil
}
