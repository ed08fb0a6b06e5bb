package certificate

import (
	"fmt"

	"parsec-server/pkg/parsec"
)

// PKISubmit is a pki_enrollment_submit_payload
// (docs/protocol/certificates.md §4): what a new user asks for.
type PKISubmit struct {
	VerifyKey            parsec.VerifyKey   `wire:"verify_key"`
	PublicKey            parsec.PublicKey   `wire:"public_key"`
	RequestedDeviceLabel parsec.DeviceLabel `wire:"requested_device_label"`
}

// PKIAnswer is a pki_enrollment_answer_payload: what the new user became.
type PKIAnswer struct {
	DeviceID      parsec.DeviceID    `wire:"device_id"`
	DeviceLabel   parsec.DeviceLabel `wire:"device_label,nullable"`
	HumanHandle   parsec.HumanHandle `wire:"human_handle,nullable"`
	Profile       parsec.UserProfile `wire:"profile"`
	RootVerifyKey parsec.VerifyKey   `wire:"root_verify_key"`
}

// LoadPKISubmit reads a payload, which an X.509 key signs apart. Errors wrap a
// Failure.
func LoadPKISubmit(packed []byte) (PKISubmit, error) { return loadUnsigned[PKISubmit](packed) }

// LoadPKIAnswer reads a payload, which an X.509 key signs apart. Errors wrap a
// Failure.
func LoadPKIAnswer(packed []byte) (PKIAnswer, error) { return loadUnsigned[PKIAnswer](packed) }

// Pack makes the payload. It fails on fields that are not valid.
func (p PKISubmit) Pack() ([]byte, error) { return packUnsigned(&p) }

// Pack makes the payload. It fails on fields that are not valid.
func (p PKIAnswer) Pack() ([]byte, error) { return packUnsigned(&p) }

func (*PKISubmit) name() string                  { return "pki_enrollment_submit_payload" }
func (p *PKISubmit) fields() any                 { return p }
func (p *PKISubmit) decode(encoded []byte) error { return unmarshal(encoded, p) }

func (*PKIAnswer) name() string                  { return "pki_enrollment_answer_payload" }
func (p *PKIAnswer) fields() any                 { return p }
func (p *PKIAnswer) decode(encoded []byte) error { return unmarshal(encoded, p) }

func loadUnsigned[T any, P interface {
	*T
	payload
}](packed []byte) (T, error) {
	var value, none T
	target := P(&value)
	if err := unpack(packed, target); err != nil {
		return none, fmt.Errorf("load %s: %w", target.name(), err)
	}
	return value, nil
}

func packUnsigned(source payload) ([]byte, error) {
	packed, err := pack(source)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", source.name(), err)
	}
	return packed, nil
}
