package certificate

import (
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// EnrollmentSubmit is what somebody asks to become a user with
// (docs/protocol/v5/enrollment.md §1.1). It has no signature of its own: what proves
// who made it comes beside it.
type EnrollmentSubmit struct {
	// VerifyKey is that of the first device, PublicKey that of the user.
	VerifyKey   parsec.VerifyKey
	PublicKey   parsec.PublicKey
	DeviceLabel parsec3.DeviceLabel
	HumanHandle parsec.HumanHandle
}

// EnrollmentAccept is what an ADMIN tells whom it has made a user
// (docs/protocol/v5/enrollment.md §1.1).
type EnrollmentAccept struct {
	UserID        parsec3.UserID
	DeviceID      parsec3.DeviceID
	DeviceLabel   parsec3.DeviceLabel
	HumanHandle   parsec.HumanHandle
	Profile       parsec.UserProfile
	RootVerifyKey parsec.VerifyKey
}

// LoadEnrollmentSubmit reads a payload. Errors wrap a Failure.
func LoadEnrollmentSubmit(packed []byte) (EnrollmentSubmit, error) {
	return loadUnsigned[EnrollmentSubmit](packed)
}

// LoadEnrollmentAccept reads a payload. Errors wrap a Failure.
func LoadEnrollmentAccept(packed []byte) (EnrollmentAccept, error) {
	return loadUnsigned[EnrollmentAccept](packed)
}

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

// Pack makes the payload. It fails on fields that are not valid.
func (e EnrollmentSubmit) Pack() ([]byte, error) { return pack(&e) }

// Pack makes the payload. It fails on fields that are not valid.
func (e EnrollmentAccept) Pack() ([]byte, error) { return pack(&e) }

// submitFields is an EnrollmentSubmit on the wire.
type submitFields struct {
	VerifyKey   parsec.VerifyKey    `wire:"verify_key"`
	PublicKey   parsec.PublicKey    `wire:"public_key"`
	DeviceLabel parsec3.DeviceLabel `wire:"requested_device_label"`
	HumanHandle humanHandle         `wire:"requested_human_handle"`
}

func (*EnrollmentSubmit) name() string { return "async_enrollment_submit_payload" }

func (e *EnrollmentSubmit) fields() any {
	return &submitFields{e.VerifyKey, e.PublicKey, e.DeviceLabel, humanHandle{e.HumanHandle}}
}

func (e *EnrollmentSubmit) decode(encoded []byte) error {
	var fields submitFields
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	*e = EnrollmentSubmit{fields.VerifyKey, fields.PublicKey, fields.DeviceLabel, fields.HumanHandle.HumanHandle}
	return nil
}

// acceptFields is an EnrollmentAccept on the wire.
type acceptFields struct {
	UserID        parsec3.UserID      `wire:"user_id"`
	DeviceID      parsec3.DeviceID    `wire:"device_id"`
	DeviceLabel   parsec3.DeviceLabel `wire:"device_label"`
	HumanHandle   humanHandle         `wire:"human_handle"`
	Profile       parsec.UserProfile  `wire:"profile"`
	RootVerifyKey parsec.VerifyKey    `wire:"root_verify_key"`
}

func (*EnrollmentAccept) name() string { return "async_enrollment_accept_payload" }

func (e *EnrollmentAccept) fields() any {
	return &acceptFields{e.UserID, e.DeviceID, e.DeviceLabel, humanHandle{e.HumanHandle}, e.Profile, e.RootVerifyKey}
}

func (e *EnrollmentAccept) decode(encoded []byte) error {
	var fields acceptFields
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	if fields.UserID == (parsec3.UserID{}) || fields.DeviceID == (parsec3.DeviceID{}) {
		return FailureSchema.because(errors.New("an id is zero"))
	}
	*e = EnrollmentAccept{
		fields.UserID, fields.DeviceID, fields.DeviceLabel, fields.HumanHandle.HumanHandle, fields.Profile, fields.RootVerifyKey,
	}
	return nil
}
