package parsec3

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxDeviceLabelBytes bounds the UTF-8 form of a label after normalisation.
const maxDeviceLabelBytes = 255

// DeviceLabel is the text a person knows a device by: 1 to 255 bytes in NFC, any
// characters (docs/protocol/v5/types.md §3). The zero value, nil on the wire, is
// the label of a redacted certificate.
type DeviceLabel struct{ text string }

// ParseDeviceLabel normalises text and checks its form.
func ParseDeviceLabel(text string) (DeviceLabel, error) {
	if len(text) <= 4*maxDeviceLabelBytes { // NFC makes no text shorter than that
		text = norm.NFC.String(text)
	}
	if text == "" || len(text) > maxDeviceLabelBytes || !utf8.ValidString(text) {
		return DeviceLabel{}, errors.New("must be 1 to 255 bytes of UTF-8")
	}
	return DeviceLabel{text}, nil
}

func (l DeviceLabel) String() string { return l.text }

// MarshalText returns the wire form.
func (l DeviceLabel) MarshalText() ([]byte, error) { return []byte(l.text), nil }

// UnmarshalText parses the wire form.
func (l *DeviceLabel) UnmarshalText(text []byte) (err error) {
	*l, err = ParseDeviceLabel(string(text))
	return err
}

// DevicePurpose is what a device is for (docs/protocol/v5/types.md §4).
type DevicePurpose string

// The purposes. A device with the purpose of a recovery or registration is not one
// that a person works on.
const (
	PurposeStandard           DevicePurpose = "STANDARD"
	PurposeShamirRecovery     DevicePurpose = "SHAMIR_RECOVERY"
	PurposePassphraseRecovery DevicePurpose = "PASSPHRASE_RECOVERY" //nolint:gosec // A name, no passphrase.
	PurposeRegistration       DevicePurpose = "REGISTRATION"
)

// UnmarshalText refuses any other text.
func (p *DevicePurpose) UnmarshalText(text []byte) error {
	switch purpose := DevicePurpose(text); purpose {
	case PurposeStandard, PurposeShamirRecovery, PurposePassphraseRecovery, PurposeRegistration:
		*p = purpose
		return nil
	default:
		return errors.New("must be the purpose of a device")
	}
}
