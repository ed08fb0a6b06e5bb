package certificate

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
)

// ShamirBrief is a shamir_recovery_brief_certificate: how many shares recover
// a device, and who has how many.
type ShamirBrief struct {
	Author    parsec.DeviceID `wire:"author"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	// Threshold and the counts are at least 1; there may be no recipient.
	Threshold          uint64                   `wire:"threshold"`
	PerRecipientShares map[parsec.UserID]uint64 `wire:"per_recipient_shares"`
}

// ShamirShare is a shamir_recovery_share_certificate: the shares of one
// recipient, encrypted for it.
type ShamirShare struct {
	Author        parsec.DeviceID `wire:"author"`
	Timestamp     parsec.DateTime `wire:"timestamp"`
	Recipient     parsec.UserID   `wire:"recipient"`
	CipheredShare []byte          `wire:"ciphered_share"`
}

// LoadShamirBrief reads a certificate that author signed with key. Errors wrap
// a Failure.
func LoadShamirBrief(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (ShamirBrief, error) {
	return load[ShamirBrief](signed, key, author)
}

// LoadShamirShare reads a certificate that author signed with key. Errors wrap
// a Failure.
func LoadShamirShare(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (ShamirShare, error) {
	return load[ShamirShare](signed, key, author)
}

// Sign makes the certificate with the key of s.Author. It fails on fields that
// are not valid.
func (s ShamirBrief) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&s, key) }

// Sign makes the certificate with the key of s.Author. It fails on fields that
// are not valid.
func (s ShamirShare) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&s, key) }

func (*ShamirBrief) name() string              { return "shamir_recovery_brief_certificate" }
func (s *ShamirBrief) author() parsec.DeviceID { return s.Author }
func (s *ShamirBrief) fields() any             { return s }

func (s *ShamirBrief) decode(encoded []byte) error {
	if err := unmarshal(encoded, s); err != nil {
		return err
	}
	if s.Threshold < 1 {
		return FailureSchema.because(errors.New("threshold is 0"))
	}
	for recipient, count := range s.PerRecipientShares {
		if count < 1 {
			return FailureSchema.because(fmt.Errorf("%s has 0 shares", recipient))
		}
	}
	return nil
}

func (*ShamirShare) name() string                  { return "shamir_recovery_share_certificate" }
func (s *ShamirShare) author() parsec.DeviceID     { return s.Author }
func (s *ShamirShare) fields() any                 { return s }
func (s *ShamirShare) decode(encoded []byte) error { return unmarshal(encoded, s) }
