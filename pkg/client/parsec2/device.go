package parsec2

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// Device is a device with its secrets: what an official client keeps on disk.
// It signs what the official clients sign.
type Device struct {
	Organization parsec.OrganizationID
	ID           parsec.DeviceID
	// Label is zero for none, as in API 1.
	Label parsec.DeviceLabel
	// HumanHandle is zero for none.
	HumanHandle parsec.HumanHandle
	Profile     parsec.UserProfile
	// SigningKey is of the device.
	SigningKey ed25519.PrivateKey
	// PrivateKey is of the user: its devices share this X25519 key.
	PrivateKey *ecdh.PrivateKey
	// RootVerifyKey is of the organization.
	RootVerifyKey parsec.VerifyKey
}

// Person is who a new user is.
type Person struct {
	// ID is the first device of the user; zero chooses one at random, as
	// official clients do since 1.14.
	ID parsec.DeviceID
	// Label is zero for none, as in API 1.
	Label parsec.DeviceLabel
	// HumanHandle is zero for none.
	HumanHandle parsec.HumanHandle
}

// VerifyKey returns the public half of the signing key.
func (d *Device) VerifyKey() parsec.VerifyKey {
	return parsec.VerifyKey(d.SigningKey.Public().(ed25519.PublicKey))
}

// PublicKey returns the public half of the user's key.
func (d *Device) PublicKey() parsec.PublicKey {
	return parsec.PublicKey(d.PrivateKey.PublicKey().Bytes())
}

// NewUser returns the first device of a new user, and the request by which d, of
// an ADMIN, creates them. now is the date of the certificates. A field that is
// not valid, such as no profile, is an error.
func (d *Device) NewUser(person Person, profile parsec.UserProfile, now parsec.DateTime) (*Device, *protocol.UserCreateRequest, error) {
	user, err := newUser(d.Organization, d.RootVerifyKey, person, profile)
	if err != nil {
		return nil, nil, err
	}
	request, err := user.certify(d.ID, d.SigningKey, now)
	return user, request, err
}

// NewDevice returns another device of the user, and the request by which d
// creates it. A zero name chooses one at random; label is zero for none, as in
// API 1.
func (d *Device) NewDevice(name parsec.DeviceName, label parsec.DeviceLabel, now parsec.DateTime) (*Device, *protocol.DeviceCreateRequest, error) {
	if name == (parsec.DeviceName{}) {
		name = RandomDeviceID().Name()
	}
	device := *d
	device.ID = d.ID.User().Device(name)
	device.Label = label
	device.SigningKey = newSigningKey()
	full, redacted, err := certifyDevice(device.certificate(d.ID, now), d.SigningKey)
	if err != nil {
		return nil, nil, err
	}
	return &device, &protocol.DeviceCreateRequest{DeviceCertificate: full, RedactedDeviceCertificate: redacted}, nil
}

// RevokeUser returns the request by which d, of an ADMIN, revokes user.
func (d *Device) RevokeUser(user parsec.UserID, now parsec.DateTime) (*protocol.UserRevokeRequest, error) {
	signed, err := certificate.RevokedUser{Author: d.ID, Timestamp: now, UserID: user}.Sign(d.SigningKey)
	return &protocol.UserRevokeRequest{RevokedUserCertificate: signed}, err
}

// NewRealm returns the request by which d creates a realm of its user.
func (d *Device) NewRealm(realm parsec.RealmID, now parsec.DateTime) (*protocol.RealmCreateRequest, error) {
	signed, err := d.certifyRole(realm, d.ID.User(), parsec.RoleOwner, now)
	return &protocol.RealmCreateRequest{RoleCertificate: signed}, err
}

// UpdateRole returns the request by which d gives user a role in a realm, or
// takes it back with parsec.RoleNone. It has no message to the user.
func (d *Device) UpdateRole(realm parsec.RealmID, user parsec.UserID, role parsec.RealmRole, now parsec.DateTime) (*protocol.RealmUpdateRolesRequest, error) {
	signed, err := d.certifyRole(realm, user, role, now)
	return &protocol.RealmUpdateRolesRequest{RoleCertificate: signed}, err
}

// UpdateArchiving returns the request by which d changes the archiving of a
// realm.
func (d *Device) UpdateArchiving(realm parsec.RealmID, configuration protocol.ArchivingConfiguration, now parsec.DateTime) (*protocol.RealmUpdateArchivingRequest, error) {
	signed, err := certificate.RealmArchiving{
		Author: d.ID, Timestamp: now, RealmID: realm,
		Type: configuration.Type, DeletionDate: configuration.DeletionDate,
	}.Sign(d.SigningKey)
	return &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: signed}, err
}

func (d *Device) certifyRole(realm parsec.RealmID, user parsec.UserID, role parsec.RealmRole, now parsec.DateTime) ([]byte, error) {
	return certificate.RealmRole{Author: d.ID, Timestamp: now, RealmID: realm, UserID: user, Role: role}.Sign(d.SigningKey)
}

// DeviceCreateV1 returns the form of API 1. Its device has no label; the server
// passes answer on to the claimer as it is.
func DeviceCreateV1(request *protocol.DeviceCreateRequest, answer []byte) *protocol.DeviceCreateV1Request {
	return &protocol.DeviceCreateV1Request{DeviceCertificate: request.DeviceCertificate, EncryptedAnswer: answer}
}

func newUser(organization parsec.OrganizationID, root parsec.VerifyKey, person Person, profile parsec.UserProfile) (*Device, error) {
	if person.ID == (parsec.DeviceID{}) {
		person.ID = RandomDeviceID()
	}
	privateKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the user's key: %w", err)
	}
	return &Device{
		Organization:  organization,
		ID:            person.ID,
		Label:         person.Label,
		HumanHandle:   person.HumanHandle,
		Profile:       profile,
		SigningKey:    newSigningKey(),
		PrivateKey:    privateKey,
		RootVerifyKey: root,
	}, nil
}

// certify returns the certificates of the user of d and of d, its first device,
// signed by author, zero for the root key.
func (d *Device) certify(author parsec.DeviceID, key ed25519.PrivateKey, now parsec.DateTime) (*protocol.UserCreateRequest, error) {
	return CertifyUser(certificate.User{
		Author: author, Timestamp: now, UserID: d.ID.User(),
		HumanHandle: d.HumanHandle, PublicKey: d.PublicKey(), Profile: d.Profile,
	}, d.certificate(author, now), key)
}

// certificate returns that of d, by author.
func (d *Device) certificate(author parsec.DeviceID, now parsec.DateTime) certificate.Device {
	return certificate.Device{Author: author, Timestamp: now, DeviceID: d.ID, DeviceLabel: d.Label, VerifyKey: d.VerifyKey()}
}

// CertifyUser signs a user and its first device with the key of their author.
func CertifyUser(user certificate.User, first certificate.Device, key ed25519.PrivateKey) (*protocol.UserCreateRequest, error) {
	full, err := user.Sign(key)
	if err != nil {
		return nil, err
	}
	redacted, err := user.Redacted().Sign(key)
	if err != nil {
		return nil, err
	}
	device, redactedDevice, err := certifyDevice(first, key)
	if err != nil {
		return nil, err
	}
	return &protocol.UserCreateRequest{
		UserCertificate: full, RedactedUserCertificate: redacted,
		DeviceCertificate: device, RedactedDeviceCertificate: redactedDevice,
	}, nil
}

func certifyDevice(device certificate.Device, key ed25519.PrivateKey) (full, redacted []byte, err error) {
	if full, err = device.Sign(key); err != nil {
		return nil, nil, err
	}
	redacted, err = device.Redacted().Sign(key)
	return full, redacted, err
}

func newSigningKey() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails
	return ed25519.NewKeyFromSeed(seed)
}

// RandomDeviceID returns an id of two UUIDs, like those of official clients.
func RandomDeviceID() parsec.DeviceID {
	id, err := parsec.ParseDeviceID(parsec.NewUUID().Hex() + "@" + parsec.NewUUID().Hex())
	if err != nil {
		panic("parsec2: hexadecimal digits are no device id: " + err.Error())
	}
	return id
}
