package parsec3

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// Device is a device with its secrets: what an official client keeps on disk. It
// signs what the official clients sign.
type Device struct {
	Organization parsec.OrganizationID
	User         parsec3.UserID
	ID           parsec3.DeviceID
	Label        parsec3.DeviceLabel
	HumanHandle  parsec.HumanHandle
	// Profile is that of the user's creation.
	Profile parsec.UserProfile
	// SigningKey is of the device.
	SigningKey ed25519.PrivateKey
	// PrivateKey is of the user: its devices share this X25519 key.
	PrivateKey *ecdh.PrivateKey
	// RootVerifyKey is of the organization.
	RootVerifyKey parsec.VerifyKey
}

// Person is who a new user is.
type Person struct {
	Label       parsec3.DeviceLabel
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

// Founding is how an organization comes into being.
type Founding struct {
	Organization parsec.OrganizationID
	// Token is nil where anybody may bootstrap an organization.
	Token *parsec3.AccessToken
	// AuthorityVerifyKey is the RSA key of the sequester authority, in DER; nil for
	// an organization without sequester.
	AuthorityVerifyKey []byte
}

// NewOrganization returns the first device of an organization, an ADMIN's, and the
// request that bootstraps the organization with it. The root key that signs both is
// forgotten, as by official clients: nothing else is ever signed with it. now is
// the date of the certificates.
func NewOrganization(founding Founding, founder Person, now parsec.DateTime) (*Device, *protocol.OrganizationBootstrapRequest, error) {
	rootKey := newSigningKey()
	rootVerifyKey := parsec.VerifyKey(rootKey.Public().(ed25519.PublicKey))
	device, err := newUser(founding.Organization, rootVerifyKey, founder, parsec.ProfileAdmin)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := device.certify(parsec3.DeviceID{}, rootKey, now)
	if err != nil {
		return nil, nil, err
	}
	request := &protocol.OrganizationBootstrapRequest{
		BootstrapToken:            founding.Token,
		RootVerifyKey:             rootVerifyKey,
		UserCertificate:           certificates.UserCertificate,
		DeviceCertificate:         certificates.DeviceCertificate,
		RedactedUserCertificate:   certificates.RedactedUserCertificate,
		RedactedDeviceCertificate: certificates.RedactedDeviceCertificate,
	}
	if founding.AuthorityVerifyKey != nil {
		authority := certificate.SequesterAuthority{Timestamp: now, VerifyKeyDER: founding.AuthorityVerifyKey}
		if request.SequesterAuthorityCertificate, err = authority.Sign(rootKey); err != nil {
			return nil, nil, err
		}
	}
	return device, request, nil
}

// NewUser returns the first device of a new user, and the request by which d, of an
// ADMIN, creates them. now is the date of the certificates.
func (d *Device) NewUser(person Person, profile parsec.UserProfile, now parsec.DateTime) (*Device, *protocol.UserCreateRequest, error) {
	user, err := newUser(d.Organization, d.RootVerifyKey, person, profile)
	if err != nil {
		return nil, nil, err
	}
	request, err := user.certify(d.ID, d.SigningKey, now)
	return user, request, err
}

// NewDevice returns another device of the user, and the request by which d creates
// it.
func (d *Device) NewDevice(label parsec3.DeviceLabel, now parsec.DateTime) (*Device, *protocol.DeviceCreateRequest, error) {
	device := *d
	device.ID = parsec3.DeviceID(parsec.NewUUID())
	device.Label = label
	device.SigningKey = newSigningKey()
	full, redacted, err := certifyDevice(device.certificate(d.ID, now), d.SigningKey)
	if err != nil {
		return nil, nil, err
	}
	return &device, &protocol.DeviceCreateRequest{DeviceCertificate: full, RedactedDeviceCertificate: redacted}, nil
}

// NewRealm returns the request by which d creates a realm, whose OWNER its user is.
func (d *Device) NewRealm(realm parsec.RealmID, now parsec.DateTime) (*protocol.RealmCreateRequest, error) {
	signed, err := certificate.RealmRole{
		Author: d.ID, Timestamp: now, RealmID: realm, UserID: d.User, Role: parsec.RoleOwner,
	}.Sign(d.SigningKey)
	return &protocol.RealmCreateRequest{RealmRoleCertificate: signed}, err
}

func newUser(organization parsec.OrganizationID, root parsec.VerifyKey, person Person, profile parsec.UserProfile) (*Device, error) {
	privateKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the user's key: %w", err)
	}
	return &Device{
		Organization:  organization,
		User:          parsec3.UserID(parsec.NewUUID()),
		ID:            parsec3.DeviceID(parsec.NewUUID()),
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
func (d *Device) certify(author parsec3.DeviceID, key ed25519.PrivateKey, now parsec.DateTime) (*protocol.UserCreateRequest, error) {
	user := certificate.User{
		Author: author, Timestamp: now, UserID: d.User,
		HumanHandle: d.HumanHandle, PublicKey: d.PublicKey(), Profile: d.Profile,
	}
	full, err := user.Sign(key)
	if err != nil {
		return nil, err
	}
	redacted, err := user.Redacted().Sign(key)
	if err != nil {
		return nil, err
	}
	device, redactedDevice, err := certifyDevice(d.certificate(author, now), key)
	if err != nil {
		return nil, err
	}
	return &protocol.UserCreateRequest{
		UserCertificate: full, RedactedUserCertificate: redacted,
		DeviceCertificate: device, RedactedDeviceCertificate: redactedDevice,
	}, nil
}

// certificate returns that of d, by author.
func (d *Device) certificate(author parsec3.DeviceID, now parsec.DateTime) certificate.Device {
	return certificate.Device{
		Author: author, Timestamp: now, UserID: d.User, DeviceID: d.ID, DeviceLabel: d.Label, VerifyKey: d.VerifyKey(),
		Purpose: parsec3.PurposeStandard,
	}
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
