package rules

import (
	"cmp"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// The checks of docs/protocol/certificates.md §6 that need no state, for users.

// checkUserCreate returns what to store for the form of API 2 and 3.
func checkUserCreate(author *Author, now parsec.DateTime, request *protocol.UserCreateRequest) (User, Device, error) {
	if err := checkAdministrator(author); err != nil {
		return User{}, Device{}, err
	}
	full := signedPair{request.UserCertificate, request.DeviceCertificate}
	redacted := signedPair{request.RedactedUserCertificate, request.RedactedDeviceCertificate}
	return checkNewUser(author, now, full, &redacted)
}

// checkUserCreateV1 returns what to store for the form of API 1.
func checkUserCreateV1(author *Author, now parsec.DateTime, request *protocol.UserCreateV1Request) (User, Device, error) {
	if err := checkAdministrator(author); err != nil {
		return User{}, Device{}, err
	}
	return checkNewUser(author, now, signedPair{request.UserCertificate, request.DeviceCertificate}, nil)
}

// checkNewUser makes the checks 2 to 9 of user_create, without 6 to 9 when
// redacted is nil.
func checkNewUser(author *Author, now parsec.DateTime, full signedPair, redacted *signedPair) (User, Device, error) {
	n, err := loadNewUser(author.VerifyKey, author.Device, full, redacted)
	if err != nil {
		return User{}, Device{}, err
	}
	if err := cmp.Or(
		n.checkSameDate(),
		checkCertificateDate(now, n.loaded.user.Timestamp),
		n.checkOwner(),
		n.checkRedacted(),
	); err != nil {
		return User{}, Device{}, err
	}
	user, device := n.stored()
	return user, device, nil
}

// checkUserRevoke returns whom to revoke, and how.
func checkUserRevoke(author *Author, now parsec.DateTime, request *protocol.UserRevokeRequest) (parsec.UserID, Revocation, error) {
	if err := checkAdministrator(author); err != nil {
		return parsec.UserID{}, Revocation{}, err
	}
	revoked, err := certificate.LoadRevokedUser(request.RevokedUserCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return parsec.UserID{}, Revocation{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	if err := checkCertificateDate(now, revoked.Timestamp); err != nil {
		return parsec.UserID{}, Revocation{}, err
	}
	if revoked.UserID == author.User() {
		return parsec.UserID{}, Revocation{}, protocol.Refuse(protocol.StatusNotAllowed, "Users cannot revoke themselves.")
	}
	return revoked.UserID, Revocation{
		Certificate: request.RevokedUserCertificate, Certifier: author.Device, On: revoked.Timestamp,
	}, nil
}

// signedPair is the certificates of a user and its first device, as received.
type signedPair struct{ user, device []byte }

func (s signedPair) load(key parsec.VerifyKey, author parsec.DeviceID) (pair, error) {
	device, err := certificate.LoadDevice(s.device, key, author)
	if err != nil {
		return pair{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	user, err := certificate.LoadUser(s.user, key, author)
	if err != nil {
		return pair{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	return pair{user, device}, nil
}

// pair is a user and its first device.
type pair struct {
	user   certificate.User
	device certificate.Device
}

// newUser is a user and its first device in both forms, as received and as
// loaded.
type newUser struct {
	full, redacted         signedPair
	loaded, loadedRedacted pair
}

// loadNewUser loads the certificates that author, zero for the root key,
// signed with key. When redacted is nil, as in API 1, the full certificates
// are stored in its place and need not be redacted.
func loadNewUser(key parsec.VerifyKey, author parsec.DeviceID, full signedPair, redacted *signedPair) (newUser, error) {
	loaded, err := full.load(key, author)
	if err != nil {
		return newUser{}, err
	}
	if redacted == nil {
		return newUser{full, full, loaded, pair{loaded.user.Redacted(), loaded.device.Redacted()}}, nil
	}
	loadedRedacted, err := redacted.load(key, author)
	if err != nil {
		return newUser{}, err
	}
	return newUser{full, *redacted, loaded, loadedRedacted}, nil
}

func (n *newUser) checkSameDate() error {
	if n.loaded.user.Timestamp != n.loaded.device.Timestamp {
		return protocol.Refuse(protocol.StatusInvalidData, "The user and device certificates must have the same date.")
	}
	return nil
}

func (n *newUser) checkOwner() error {
	if n.loaded.device.DeviceID.User() != n.loaded.user.UserID {
		return protocol.Refuse(protocol.StatusInvalidData, "The device certificate must be of the user's device.")
	}
	return nil
}

func (n *newUser) checkRedacted() error {
	if n.loadedRedacted.user != n.loaded.user.Redacted() {
		return protocol.Refuse(protocol.StatusInvalidData, "The redacted user certificate must be the user certificate without human handle.")
	}
	if n.loadedRedacted.device != n.loaded.device.Redacted() {
		return refuseRedactedDevice()
	}
	return nil
}

// stored returns the user and the device as stored.
func (n *newUser) stored() (User, Device) {
	user := n.loaded.user
	return User{
		ID:                  user.UserID,
		Profile:             user.Profile,
		HumanHandle:         user.HumanHandle,
		Certificate:         n.full.user,
		RedactedCertificate: n.redacted.user,
		Certifier:           user.Author,
		CreatedOn:           user.Timestamp,
	}, storedDevice(n.loaded.device, n.full.device, n.redacted.device)
}

func checkAdministrator(author *Author) error {
	if author.Profile != parsec.ProfileAdmin {
		return protocol.Refuse(protocol.StatusNotAllowed, "Only administrators may do this.")
	}
	return nil
}
