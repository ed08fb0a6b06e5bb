package testclient

import (
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// ErrUntrusted is wrapped by the errors of certificates that do not lead to
// the root verify key by the rules of docs/protocol/certificates.md §9.
var ErrUntrusted = errors.New("the certificates are not to be trusted")

// VerifiedUser is what user_get says about a user, verified.
type VerifiedUser struct {
	User    certificate.User
	Devices []certificate.Device
	// Revocation is nil for a user that is not revoked.
	Revocation *certificate.RevokedUser
}

// VerifyTrustchain verifies the reply of user_get about user, up to the root
// key of the organization. Its errors wrap ErrUntrusted.
func VerifyTrustchain(root parsec.VerifyKey, user parsec.UserID, reply *protocol.UserGetReply) (*VerifiedUser, error) {
	c, err := newChain(root, &reply.Trustchain)
	if err != nil {
		return nil, err
	}
	verified := new(VerifiedUser)
	if verified.User, err = loadBy(c, reply.UserCertificate, certificate.LoadUser); err != nil {
		return nil, err
	}
	if verified.User.UserID != user {
		return nil, untrusted("the certificate is of user %s", verified.User.UserID)
	}
	if reply.RevokedUserCertificate != nil {
		revocation, err := loadBy(c, reply.RevokedUserCertificate, certificate.LoadRevokedUser)
		if err != nil {
			return nil, err
		}
		if revocation.UserID != user {
			return nil, untrusted("the revocation is of user %s", revocation.UserID)
		}
		verified.Revocation = &revocation
		c.revocations[user] = revocation
	}
	for _, signed := range reply.DeviceCertificates {
		device, err := loadBy(c, signed, certificate.LoadDevice)
		if err != nil {
			return nil, err
		}
		if device.DeviceID.User() != user {
			return nil, untrusted("device %s is of another user", device.DeviceID)
		}
		verified.Devices = append(verified.Devices, device)
	}
	return verified, c.checkUser(verified)
}

// VerifyInvitationCreator verifies the user who invites, as a client of API 1
// does before it claims. Its errors wrap ErrUntrusted.
func VerifyInvitationCreator(root parsec.VerifyKey, reply *protocol.InvitationCreatorReply) (*VerifiedUser, error) {
	c, err := newChain(root, &reply.Trustchain)
	if err != nil {
		return nil, err
	}
	user, err := loadBy(c, reply.UserCertificate, certificate.LoadUser)
	if err != nil {
		return nil, err
	}
	device, err := loadBy(c, reply.DeviceCertificate, certificate.LoadDevice)
	if err != nil {
		return nil, err
	}
	if device.DeviceID.User() != user.UserID {
		return nil, untrusted("device %s is not of user %s", device.DeviceID, user.UserID)
	}
	verified := &VerifiedUser{User: user, Devices: []certificate.Device{device}}
	return verified, c.checkUser(verified)
}

// chain is a trust chain whose signatures lead to the root key.
type chain struct {
	root        parsec.VerifyKey
	devices     map[parsec.DeviceID]certificate.Device
	users       map[parsec.UserID]certificate.User
	revocations map[parsec.UserID]certificate.RevokedUser
}

func newChain(root parsec.VerifyKey, certificates *protocol.Trustchain) (*chain, error) {
	c := &chain{
		root:        root,
		devices:     map[parsec.DeviceID]certificate.Device{},
		users:       map[parsec.UserID]certificate.User{},
		revocations: map[parsec.UserID]certificate.RevokedUser{},
	}
	if err := c.addDevices(certificates.Devices); err != nil {
		return nil, err
	}
	for _, signed := range certificates.Users {
		user, err := loadBy(c, signed, certificate.LoadUser)
		if err != nil {
			return nil, err
		}
		c.users[user.UserID] = user
	}
	for _, signed := range certificates.RevokedUsers {
		revocation, err := loadBy(c, signed, certificate.LoadRevokedUser)
		if err != nil {
			return nil, err
		}
		c.revocations[revocation.UserID] = revocation
	}
	for _, device := range c.devices {
		if err := c.checkDevice(&device); err != nil {
			return nil, err
		}
	}
	for _, user := range c.users {
		if err := c.checkAuthor(user.Author, user.UserID, user.Timestamp); err != nil {
			return nil, err
		}
	}
	for _, revocation := range c.revocations {
		if err := c.checkAuthor(revocation.Author, revocation.UserID, revocation.Timestamp); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// addDevices starts from what the root key signs and follows the signatures:
// what is never reached lacks a certificate, or is part of a loop.
func (c *chain) addDevices(left [][]byte) error {
	for len(left) > 0 {
		var unreached [][]byte
		for _, signed := range left {
			if device, err := loadBy(c, signed, certificate.LoadDevice); err == nil {
				c.devices[device.DeviceID] = device
			} else {
				unreached = append(unreached, signed)
			}
		}
		if len(unreached) == len(left) {
			return untrusted("%d devices do not lead to the root key", len(left))
		}
		left = unreached
	}
	return nil
}

// loadBy reads a certificate that the root key or a device of the chain signed.
// It tries one after the other: nothing in a certificate can be believed before
// it is verified.
func loadBy[T any](c *chain, signed []byte, load func([]byte, parsec.VerifyKey, parsec.DeviceID) (T, error)) (T, error) {
	certified, err := load(signed, c.root, parsec.DeviceID{})
	if err == nil {
		return certified, nil
	}
	for _, author := range c.devices {
		if certified, err := load(signed, author.VerifyKey, author.DeviceID); err == nil {
			return certified, nil
		}
	}
	var none T
	return none, untrusted("no author for a certificate: %w", err)
}

func (c *chain) checkUser(verified *VerifiedUser) error {
	user := &verified.User
	if err := c.checkAuthor(user.Author, user.UserID, user.Timestamp); err != nil {
		return err
	}
	if revocation := verified.Revocation; revocation != nil {
		if err := c.checkAuthor(revocation.Author, revocation.UserID, revocation.Timestamp); err != nil {
			return err
		}
	}
	for i := range verified.Devices {
		if err := c.checkDevice(&verified.Devices[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkDevice is checkAuthor for a device, which another one of its user may
// certify.
func (c *chain) checkDevice(device *certificate.Device) error {
	if device.Author.User() == device.DeviceID.User() {
		return c.checkNotRevoked(device.Author, device.Timestamp)
	}
	return c.checkAuthor(device.Author, device.DeviceID.User(), device.Timestamp)
}

// checkAuthor returns an error unless author, zero for the root key, was
// allowed to certify a user at that date.
func (c *chain) checkAuthor(author parsec.DeviceID, certified parsec.UserID, timestamp parsec.DateTime) error {
	if author == (parsec.DeviceID{}) {
		return nil
	}
	if author.User() == certified {
		return untrusted("user %s certifies itself", certified)
	}
	if c.users[author.User()].Profile != parsec.ProfileAdmin {
		return untrusted("user %s is certified by %s, whose user is not known as ADMIN", certified, author)
	}
	return c.checkNotRevoked(author, timestamp)
}

func (c *chain) checkNotRevoked(author parsec.DeviceID, timestamp parsec.DateTime) error {
	if revocation, revoked := c.revocations[author.User()]; revoked && timestamp > revocation.Timestamp {
		return untrusted("device %s signed at %s, after its revocation", author, timestamp)
	}
	return nil
}

func untrusted(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrUntrusted, fmt.Errorf(format, arguments...))
}
