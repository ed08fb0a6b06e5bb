package testclient3

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"slices"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// ErrIncoherent is wrapped by the errors of certificates that official clients
// refuse: they would never get any further (docs/protocol/v5/certificates.md §8).
var ErrIncoherent = errors.New("the server's certificates are incoherent")

func incoherent(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrIncoherent}, args...)...)
}

// Knowledge is what a client has verified of its organization: the certificates of
// all topics that its user may see, replayed in the order received. It is not safe
// for concurrent use.
type Knowledge struct {
	root parsec.VerifyKey
	self parsec3.UserID

	// founded is the date of the first user.
	founded                   parsec.DateTime
	common, sequester, shamir parsec.DateTime
	users                     map[parsec3.UserID]*KnownUser
	devices                   map[parsec3.DeviceID]*knownDevice
	authority                 *rsa.PublicKey
	// authorized is the date of the authority.
	authorized parsec.DateTime
	services   map[parsec.SequesterServiceID]*knownService
	realms     map[parsec.RealmID]*KnownRealm
	// setups are the last Shamir recoveries of users.
	setups map[parsec3.UserID]*KnownSetup
}

// KnownUser is a user whose certificate is verified.
type KnownUser struct {
	ID          parsec3.UserID
	HumanHandle parsec.HumanHandle
	PublicKey   parsec.PublicKey
	CreatedOn   parsec.DateTime
	// RevokedOn is nil for an active user.
	RevokedOn *parsec.DateTime
	profiles  []since[parsec.UserProfile]
}

// since is a value from a date on.
type since[T any] struct {
	date  parsec.DateTime
	value T
}

// at returns the last value of a history at a date, false before the first.
func at[T any](history []since[T], date parsec.DateTime) (value T, found bool) {
	for _, entry := range history {
		if entry.date <= date {
			value, found = entry.value, true
		}
	}
	return value, found
}

type knownDevice struct {
	user      parsec3.UserID
	key       parsec.VerifyKey
	createdOn parsec.DateTime
}

type knownService struct {
	key     *rsa.PublicKey
	revoked bool
}

// KnownRealm is a realm whose certificates are verified.
type KnownRealm struct {
	// Last is the date of the last certificate.
	Last     parsec.DateTime
	KeyIndex uint64
	// Rotated is who added the key of each index, from 1 on.
	Rotated []parsec3.DeviceID
	Named   bool
	// Archiving is the type of the last archiving certificate.
	Archiving parsec.ArchivingType
	roles     map[parsec3.UserID][]since[parsec.RealmRole]
}

// NewKnowledge returns the knowledge of a device that has read nothing yet.
func NewKnowledge(d *client3.Device) *Knowledge {
	return &Knowledge{
		root: d.RootVerifyKey, self: d.User,
		users:    map[parsec3.UserID]*KnownUser{},
		devices:  map[parsec3.DeviceID]*knownDevice{},
		services: map[parsec.SequesterServiceID]*knownService{},
		realms:   map[parsec.RealmID]*KnownRealm{},
		setups:   map[parsec3.UserID]*KnownSetup{},
	}
}

// After returns the request for what is newer than what is known.
func (k *Knowledge) After() *protocol.CertificateGetRequest {
	request := &protocol.CertificateGetRequest{RealmAfter: map[parsec.RealmID]parsec.DateTime{}}
	if k.common != 0 {
		request.CommonAfter = new(k.common)
	}
	if k.sequester != 0 {
		request.SequesterAfter = new(k.sequester)
	}
	if k.shamir != 0 {
		request.ShamirRecoveryAfter = new(k.shamir)
	}
	for id, realm := range k.realms {
		request.RealmAfter[id] = realm.Last
	}
	return request
}

// Learn verifies a reply to After and returns the knowledge with it. What it was
// before stays as it is: the first certificate that fails throws all away.
func (k *Knowledge) Learn(reply *protocol.CertificateGetReply) (*Knowledge, error) {
	next := k.clone()
	for _, signed := range reply.SequesterCertificates {
		if err := next.learnSequester(signed); err != nil {
			return nil, err
		}
	}
	if err := next.learnCommon(reply.CommonCertificates); err != nil {
		return nil, err
	}
	if next.authority != nil && next.authorized != next.founded {
		return nil, incoherent("a sequester authority of %s, and a foundation of %s", next.authorized, next.founded)
	}
	for _, id := range slices.SortedFunc(maps.Keys(reply.RealmCertificates), func(a, b parsec.RealmID) int { return slices.Compare(a[:], b[:]) }) {
		for _, signed := range reply.RealmCertificates[id] {
			if err := next.learnRealm(id, signed); err != nil {
				return nil, fmt.Errorf("realm %s: %w", id, err)
			}
		}
	}
	if err := next.learnShamir(reply.ShamirRecoveryCertificates); err != nil {
		return nil, err
	}
	return next, nil
}

// clone copies what Learn changes.
func (k *Knowledge) clone() *Knowledge {
	next := *k
	next.users = cloneEach(k.users, func(u KnownUser) KnownUser {
		u.profiles = slices.Clone(u.profiles)
		return u
	})
	next.devices = maps.Clone(k.devices)
	next.services = cloneEach(k.services, func(s knownService) knownService { return s })
	next.realms = cloneEach(k.realms, func(r KnownRealm) KnownRealm {
		r.Rotated = slices.Clone(r.Rotated)
		roles := make(map[parsec3.UserID][]since[parsec.RealmRole], len(r.roles))
		for user, history := range r.roles {
			roles[user] = slices.Clone(history)
		}
		r.roles = roles
		return r
	})
	next.setups = cloneEach(k.setups, func(s KnownSetup) KnownSetup { return s })
	return &next
}

func cloneEach[K comparable, V any](of map[K]*V, copied func(V) V) map[K]*V {
	result := make(map[K]*V, len(of))
	for key, value := range of {
		result[key] = new(copied(*value))
	}
	return result
}

func (k *Knowledge) learnSequester(signed []byte) error {
	if k.authority == nil {
		authority, err := certificate.LoadSequesterAuthority(signed, k.root)
		if err != nil {
			return incoherent("the first of the sequester topic: %w", err)
		}
		if k.authority, err = parsec.ParseRSAPublicKey(authority.VerifyKeyDER); err != nil {
			return incoherent("the sequester authority: %w", err)
		}
		k.sequester, k.authorized = authority.Timestamp, authority.Timestamp
		return nil
	}
	if service, err := certificate.LoadSequesterService(signed, k.authority); err == nil {
		if service.Timestamp <= k.sequester || k.services[service.ServiceID] != nil {
			return incoherent("sequester service %s at %s", service.ServiceID, service.Timestamp)
		}
		key, err := parsec.ParseRSAPublicKey(service.EncryptionKeyDER)
		if err != nil {
			return incoherent("the key of a sequester service: %w", err)
		}
		k.services[service.ServiceID], k.sequester = &knownService{key: key}, service.Timestamp
		return nil
	}
	revoked, err := certificate.LoadSequesterRevokedService(signed, k.authority)
	if err != nil {
		return incoherent("a certificate of the sequester topic: %w", err)
	}
	service := k.services[revoked.ServiceID]
	if revoked.Timestamp <= k.sequester || service == nil || service.revoked {
		return incoherent("the end of sequester service %s at %s", revoked.ServiceID, revoked.Timestamp)
	}
	service.revoked, k.sequester = true, revoked.Timestamp
	return nil
}

func (k *Knowledge) learnCommon(list [][]byte) error {
	for len(list) > 0 {
		claim, err := claims(list[0])
		if err != nil {
			return incoherent("a common certificate: %w", err)
		}
		if claim.Timestamp <= k.common {
			return incoherent("%s at %s after one at %s", claim.Type, claim.Timestamp, k.common)
		}
		author, key, err := k.signerOf(claim, len(k.users) == 0)
		if err != nil {
			return err
		}
		taken := 1
		switch claim.Type {
		case "user_certificate":
			if len(list) < 2 {
				return incoherent("a user without first device")
			}
			taken, err = 2, k.learnUser(list[0], list[1], author, key)
		case "device_certificate":
			err = k.learnDevice(list[0], author, key)
		case "user_update_certificate":
			err = k.learnUpdate(list[0], author, key)
		case "revoked_user_certificate":
			err = k.learnRevocation(list[0], author, key)
		default:
			err = incoherent("%s in the common topic", claim.Type)
		}
		if err != nil {
			return err
		}
		k.common, list = claim.Timestamp, list[taken:]
	}
	return nil
}

// signerOf returns who must have signed a certificate: the root key only where it
// may, else a device that is older, of a user that is not revoked then.
func (k *Knowledge) signerOf(claim claim, rootMay bool) (parsec3.DeviceID, parsec.VerifyKey, error) {
	if claim.Author == nil {
		if !rootMay {
			return parsec3.DeviceID{}, parsec.VerifyKey{}, incoherent("%s by the root key", claim.Type)
		}
		return parsec3.DeviceID{}, k.root, nil
	}
	device := k.devices[*claim.Author]
	if device == nil || device.createdOn > claim.Timestamp {
		return parsec3.DeviceID{}, parsec.VerifyKey{}, incoherent("%s at %s by %s, which is unknown or younger", claim.Type, claim.Timestamp, claim.Author)
	}
	if !k.users[device.user].activeAt(claim.Timestamp) {
		return parsec3.DeviceID{}, parsec.VerifyKey{}, incoherent("%s at %s by %s, who is revoked", claim.Type, claim.Timestamp, claim.Author)
	}
	return *claim.Author, device.key, nil
}

func (u *KnownUser) activeAt(date parsec.DateTime) bool {
	return u.CreatedOn <= date && (u.RevokedOn == nil || date < *u.RevokedOn)
}

// Profile returns the present one.
func (u *KnownUser) Profile() parsec.UserProfile { return u.profiles[len(u.profiles)-1].value }

// checkAdmin wants a device of a user that is ADMIN at a date, or the root key.
func (k *Knowledge) checkAdmin(author parsec3.DeviceID, date parsec.DateTime, subject parsec3.UserID) error {
	if author == (parsec3.DeviceID{}) {
		return nil
	}
	user := k.users[k.devices[author].user]
	if profile, _ := at(user.profiles, date); profile != parsec.ProfileAdmin {
		return incoherent("%s is %s at %s", user.ID, profile, date)
	}
	if user.ID == subject {
		return incoherent("%s about itself at %s", user.ID, date)
	}
	return nil
}

func (k *Knowledge) learnUser(signed, signedDevice []byte, author parsec3.DeviceID, key parsec.VerifyKey) error {
	user, err := certificate.LoadUser(signed, key, author)
	if err != nil {
		return incoherent("a user: %w", err)
	}
	device, err := certificate.LoadDevice(signedDevice, key, author)
	if err != nil {
		return incoherent("the first device of %s: %w", user.UserID, err)
	}
	if err := k.checkAdmin(author, user.Timestamp, user.UserID); err != nil {
		return err
	}
	if author == (parsec3.DeviceID{}) && user.Profile != parsec.ProfileAdmin {
		return incoherent("the first user is %s", user.Profile)
	}
	if device.Timestamp != user.Timestamp || device.UserID != user.UserID || k.users[user.UserID] != nil || k.devices[device.DeviceID] != nil {
		return incoherent("user %s with device %s", user.UserID, device.DeviceID)
	}
	if len(k.users) == 0 {
		k.founded = user.Timestamp
	}
	k.users[user.UserID] = &KnownUser{
		ID: user.UserID, HumanHandle: user.HumanHandle, PublicKey: user.PublicKey, CreatedOn: user.Timestamp,
		profiles: []since[parsec.UserProfile]{{user.Timestamp, user.Profile}},
	}
	k.devices[device.DeviceID] = &knownDevice{user.UserID, device.VerifyKey, device.Timestamp}
	return nil
}

func (k *Knowledge) learnDevice(signed []byte, author parsec3.DeviceID, key parsec.VerifyKey) error {
	device, err := certificate.LoadDevice(signed, key, author)
	if err != nil {
		return incoherent("a device: %w", err)
	}
	if author == (parsec3.DeviceID{}) || k.devices[author].user != device.UserID || k.devices[device.DeviceID] != nil {
		return incoherent("device %s of %s by %s", device.DeviceID, device.UserID, author)
	}
	k.devices[device.DeviceID] = &knownDevice{device.UserID, device.VerifyKey, device.Timestamp}
	return nil
}

func (k *Knowledge) learnUpdate(signed []byte, author parsec3.DeviceID, key parsec.VerifyKey) error {
	update, err := certificate.LoadUserUpdate(signed, key, author)
	if err != nil {
		return incoherent("an update: %w", err)
	}
	if err := k.checkAdmin(author, update.Timestamp, update.UserID); err != nil {
		return err
	}
	user := k.users[update.UserID]
	if user == nil || !user.activeAt(update.Timestamp) || user.Profile() == update.NewProfile {
		return incoherent("update of %s to %s at %s", update.UserID, update.NewProfile, update.Timestamp)
	}
	user.profiles = append(user.profiles, since[parsec.UserProfile]{update.Timestamp, update.NewProfile})
	return nil
}

func (k *Knowledge) learnRevocation(signed []byte, author parsec3.DeviceID, key parsec.VerifyKey) error {
	revoked, err := certificate.LoadRevokedUser(signed, key, author)
	if err != nil {
		return incoherent("a revocation: %w", err)
	}
	if err := k.checkAdmin(author, revoked.Timestamp, revoked.UserID); err != nil {
		return err
	}
	user := k.users[revoked.UserID]
	if user == nil || !user.activeAt(revoked.Timestamp) {
		return incoherent("revocation of %s at %s", revoked.UserID, revoked.Timestamp)
	}
	user.RevokedOn = &revoked.Timestamp
	return nil
}
