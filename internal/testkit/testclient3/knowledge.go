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
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/replay"
)

// ErrIncoherent is wrapped by the errors of certificates that official clients
// refuse: they would never get any further (docs/protocol/v5/certificates.md §8).
var ErrIncoherent = errors.New("the server's certificates are incoherent")

func incoherent(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrIncoherent}, args...)...)
}

type (
	// KnownUser is a user whose certificate is verified.
	KnownUser = replay.User
	// KnownRealm is a realm whose certificates are verified.
	KnownRealm = replay.Realm
	// KnownSetup is a Shamir recovery whose certificates are verified.
	KnownSetup = replay.Setup
)

// Knowledge is what a client has verified of its organization: the certificates of
// all topics that its user may see, replayed in the order received. It is not safe
// for concurrent use.
type Knowledge struct {
	self   parsec3.UserID
	of     *replay.Organization
	realms map[parsec.RealmID]*replay.Realm
}

// NewKnowledge returns the knowledge of a device that has read nothing yet.
func NewKnowledge(d *client3.Device) *Knowledge {
	return &Knowledge{self: d.User, of: replay.New(d.RootVerifyKey, &d.User), realms: map[parsec.RealmID]*replay.Realm{}}
}

// After returns the request for what is newer than what is known.
func (k *Knowledge) After() *protocol.CertificateGetRequest {
	request := &protocol.CertificateGetRequest{RealmAfter: map[parsec.RealmID]parsec.DateTime{}}
	if k.of.Common != 0 {
		request.CommonAfter = new(k.of.Common)
	}
	if k.of.Sequester != 0 {
		request.SequesterAfter = new(k.of.Sequester)
	}
	if k.of.Shamir != 0 {
		request.ShamirRecoveryAfter = new(k.of.Shamir)
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
		if err := judge(next.of.FollowSequester(signed)); err != nil {
			return nil, err
		}
	}
	for _, signed := range reply.CommonCertificates {
		if err := judge(next.of.FollowCommon(signed, nil)); err != nil {
			return nil, err
		}
	}
	for _, end := range []func() replay.Step{next.of.EndCommon, next.of.EndSequester} {
		if err := judge(end()); err != nil {
			return nil, err
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(reply.RealmCertificates), func(a, b parsec.RealmID) int { return slices.Compare(a[:], b[:]) }) {
		for _, signed := range reply.RealmCertificates[id] {
			if err := judge(next.of.FollowRealm(next.realm(id), signed)); err != nil {
				return nil, fmt.Errorf("realm %s: %w", id, err)
			}
		}
	}
	for _, signed := range reply.ShamirRecoveryCertificates {
		if err := judge(next.of.FollowShamir(signed)); err != nil {
			return nil, err
		}
	}
	return next, judge(next.of.EndShamir())
}

// judge returns the first objection.
func judge(step replay.Step) error {
	if len(step.Objections) == 0 {
		return nil
	}
	return incoherent("%s", step.Objections[0].Detail)
}

// clone copies what Learn changes.
func (k *Knowledge) clone() *Knowledge {
	of := *k.of
	of.Users = cloneEach(of.Users, func(u *replay.User) { u.Profiles = slices.Clone(u.Profiles) })
	of.Devices = maps.Clone(of.Devices)
	of.Services = cloneEach(of.Services, func(*replay.Service) {})
	of.Setups = cloneEach(of.Setups, func(*replay.Setup) {})
	return &Knowledge{self: k.self, of: &of, realms: cloneEach(k.realms, func(r *replay.Realm) {
		r.Rotated, r.Roles = slices.Clone(r.Rotated), maps.Clone(r.Roles)
		for user, history := range r.Roles {
			r.Roles[user] = slices.Clone(history)
		}
	})}
}

// cloneEach copies values, of which deepen copies what lies deeper.
func cloneEach[K comparable, V any](of map[K]*V, deepen func(*V)) map[K]*V {
	result := make(map[K]*V, len(of))
	for key, value := range of {
		copied := new(*value)
		deepen(copied)
		result[key] = copied
	}
	return result
}

// realm returns a realm that is known, if only from now on.
func (k *Knowledge) realm(id parsec.RealmID) *replay.Realm {
	if k.realms[id] == nil {
		k.realms[id] = replay.NewRealm(id)
	}
	return k.realms[id]
}

// Realm returns what is known of a realm, nil for nothing.
func (k *Knowledge) Realm(id parsec.RealmID) *KnownRealm { return k.realms[id] }

// User returns what is known of a user, nil for nothing.
func (k *Knowledge) User(id parsec3.UserID) *KnownUser { return k.of.Users[id] }

// Setup returns the last Shamir recovery of a user that concerns the reader, nil if
// there was none.
func (k *Knowledge) Setup(user parsec3.UserID) *KnownSetup { return k.of.Setups[user] }

// forgets reports whether who knows next, and knew k, must ask for everything again:
// OUTSIDERs are not told what others are called.
func (k *Knowledge) forgets(next *Knowledge) bool {
	before, now := k.User(k.self), next.User(k.self)
	return before != nil && (before.Profile() == parsec.ProfileOutsider) != (now.Profile() == parsec.ProfileOutsider)
}

// Dates returns the dates up to which the common topic and that of a realm are
// known, zero for nothing.
func (k *Knowledge) Dates(realm parsec.RealmID) (common, ofRealm parsec.DateTime) {
	if known := k.realms[realm]; known != nil {
		ofRealm = known.Last
	}
	return k.of.Common, ofRealm
}

// Participants returns who gets an access at a rotation of a realm: its members,
// revoked ones too, and the sequester services.
func (k *Knowledge) Participants(id parsec.RealmID) Participants {
	to := Participants{Users: map[parsec3.UserID]parsec.PublicKey{}}
	if realm := k.realms[id]; realm != nil {
		for user := range realm.Members() {
			to.Users[user] = k.User(user).PublicKey
		}
	}
	if k.of.Authority != nil {
		to.Services = map[parsec.SequesterServiceID]*rsa.PublicKey{}
		for service, known := range k.of.Services {
			if known.RevokedOn == nil {
				to.Services[service] = known.Key
			}
		}
	}
	return to
}

// Signer returns the key of a device that may have signed something in a realm at a
// date, as a user who has one of the roles that write.
func (k *Knowledge) Signer(realm parsec.RealmID, author parsec3.DeviceID, date parsec.DateTime) (parsec.VerifyKey, error) {
	known := k.realms[realm]
	if known == nil {
		return parsec.VerifyKey{}, incoherent("data by %s in a realm that is unknown", author)
	}
	if step := k.of.CheckData(known, author, date); len(step.Objections) > 0 {
		return parsec.VerifyKey{}, judge(step)
	}
	key, _ := k.KeyOf(author)
	return key, nil
}

// KeyOf returns the key of a device that is known.
func (k *Knowledge) KeyOf(device parsec3.DeviceID) (parsec.VerifyKey, bool) {
	known, found := k.of.Devices[device]
	return known.Key, found
}
