package parsec

import (
	"errors"
	"strings"
	"unicode"
)

// maxIdentifierBytes bounds the UTF-8 form of a name after normalisation.
const maxIdentifierBytes = 32

var errIdentifier = errors.New("must be 1 to 32 bytes of letters, digits, marks, `_` or `-`")

// OrganizationID names an organization (docs/protocol/types.md §1): 1 to 32
// bytes in Unicode NFC, case-sensitive. The zero value is no organization.
type OrganizationID struct{ name string }

// UserID names a user inside an organization, with the form of OrganizationID.
// The zero value is no user.
type UserID struct{ name string }

// DeviceName names a device among those of its user, with the form of
// OrganizationID. The zero value is no device name.
type DeviceName struct{ name string }

// DeviceID is a user and one of its devices, written "user@name". The zero
// value is no device, such as the author of a root-signed certificate.
type DeviceID struct {
	user UserID
	name DeviceName
}

// ParseOrganizationID normalises text and checks its form.
func ParseOrganizationID(text string) (OrganizationID, error) {
	name, err := parseIdentifier(text)
	return OrganizationID{name}, err
}

// ParseUserID normalises text and checks its form.
func ParseUserID(text string) (UserID, error) {
	name, err := parseIdentifier(text)
	return UserID{name}, err
}

// ParseDeviceName normalises text and checks its form.
func ParseDeviceName(text string) (DeviceName, error) {
	name, err := parseIdentifier(text)
	return DeviceName{name}, err
}

// ParseDeviceID splits text at the first "@" and parses both parts.
func ParseDeviceID(text string) (DeviceID, error) {
	userText, nameText, found := strings.Cut(text, "@")
	if !found {
		return DeviceID{}, errors.New("must be `<user>@<device name>`")
	}
	user, err := ParseUserID(userText)
	if err != nil {
		return DeviceID{}, err
	}
	name, err := ParseDeviceName(nameText)
	if err != nil {
		return DeviceID{}, err
	}
	return DeviceID{user, name}, nil
}

// Device returns the id of the device called name of this user.
func (u UserID) Device(name DeviceName) DeviceID { return DeviceID{u, name} }

// User returns the owner of the device.
func (d DeviceID) User() UserID { return d.user }

// Name returns the part after the "@".
func (d DeviceID) Name() DeviceName { return d.name }

func (o OrganizationID) String() string { return o.name }
func (u UserID) String() string         { return u.name }
func (n DeviceName) String() string     { return n.name }

func (d DeviceID) String() string {
	if d == (DeviceID{}) {
		return ""
	}
	return d.user.name + "@" + d.name.name
}

// MarshalText returns the wire form.
func (o OrganizationID) MarshalText() ([]byte, error) { return []byte(o.name), nil }

// MarshalText returns the wire form.
func (u UserID) MarshalText() ([]byte, error) { return []byte(u.name), nil }

// MarshalText returns the wire form.
func (n DeviceName) MarshalText() ([]byte, error) { return []byte(n.name), nil }

// MarshalText returns the wire form.
func (d DeviceID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the wire form.
func (o *OrganizationID) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOrganizationID(string(text))
	return err
}

// UnmarshalText parses the wire form.
func (u *UserID) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUserID(string(text))
	return err
}

// UnmarshalText parses the wire form.
func (n *DeviceName) UnmarshalText(text []byte) (err error) {
	*n, err = ParseDeviceName(string(text))
	return err
}

// UnmarshalText parses the wire form.
func (d *DeviceID) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDeviceID(string(text))
	return err
}

func parseIdentifier(text string) (string, error) {
	name, ok := normalize(text, maxIdentifierBytes)
	if !ok {
		return "", errIdentifier
	}
	for _, r := range name {
		if r != '-' && !isWordCharacter(r) {
			return "", errIdentifier
		}
	}
	return name, nil
}

// isWordCharacter is the "word character" of docs/protocol/types.md §1:
// Alphabetic, marks, decimal digits, connectors and the two joiners.
func isWordCharacter(r rune) bool {
	if r <= unicode.MaxASCII {
		return isAlphanumeric(r) || r == '_'
	}
	return r == '\u200C' || r == '\u200D' || unicode.In(r,
		unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc)
}
