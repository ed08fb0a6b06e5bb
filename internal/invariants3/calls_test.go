//go:build !without_postgresql

package invariants3_test

import (
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// What follows are the calls of a member through an instance. Their date is anytime, or
// one that they are signed with once.

// creates returns the first device of a new user too.
func (m *member) creates(instance int, person parsec3.Person, profile parsec.UserProfile, date parsec.DateTime) (*member, call) {
	created := &member{w: m.w}
	return created, dated(m.on[instance], protocol.UserCreate, date, func(on parsec.DateTime) (*protocol.UserCreateRequest, error) {
		device, request, err := m.NewUser(person, profile, on)
		if err == nil {
			*created = *m.w.member(device)
		}
		return request, err
	})
}

// createsAs creates a user whose first device has given ids.
func (m *member) createsAs(instance int, person parsec3.Person, user vocabulary.UserID, device vocabulary.DeviceID, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.UserCreate, date, func(on parsec.DateTime) (*protocol.UserCreateRequest, error) {
		made, _, err := m.NewUser(person, parsec.ProfileStandard, on)
		if err != nil {
			return nil, err
		}
		asUser := certificate.User{
			Author: m.ID, Timestamp: on, UserID: user, HumanHandle: person.HumanHandle,
			PublicKey: made.PublicKey(), Profile: parsec.ProfileStandard,
		}
		asDevice := certificate.Device{
			Author: m.ID, Timestamp: on, UserID: user, DeviceID: device, DeviceLabel: person.Label,
			VerifyKey: made.VerifyKey(), Purpose: vocabulary.PurposeStandard,
		}
		return &protocol.UserCreateRequest{
			UserCertificate:           must(asUser.Sign(m.SigningKey)),
			RedactedUserCertificate:   must(asUser.Redacted().Sign(m.SigningKey)),
			DeviceCertificate:         must(asDevice.Sign(m.SigningKey)),
			RedactedDeviceCertificate: must(asDevice.Redacted().Sign(m.SigningKey)),
		}, nil
	})
}

// addsDevice creates another device of the user.
func (m *member) addsDevice(instance int, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.DeviceCreate, date, func(on parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
		_, request, err := m.NewDevice(must(vocabulary.ParseDeviceLabel("another")), on)
		return request, err
	})
}

func (m *member) setsProfile(instance int, of *member, profile parsec.UserProfile, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.UserUpdate, date, func(on parsec.DateTime) (*protocol.UserUpdateRequest, error) {
		return testclient3.UpdateProfile(m.Device, of.User, profile, on)
	})
}

func (m *member) revokes(instance int, user *member, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.UserRevoke, date, func(on parsec.DateTime) (*protocol.UserRevokeRequest, error) {
		return testclient3.RevokeUser(m.Device, user.User, on)
	})
}

func (m *member) createsRealm(instance int, realm parsec.RealmID, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmCreate, date, func(on parsec.DateTime) (*protocol.RealmCreateRequest, error) {
		signed, err := testclient3.CertifyRole(m.Device, realm, m.User, parsec.RoleOwner, on)
		return &protocol.RealmCreateRequest{RealmRoleCertificate: signed}, err
	})
}

// accessOf is an access that no server reads.
func accessOf(user vocabulary.UserID) []byte { return []byte("access of " + user.String()) }

func (m *member) shares(instance int, realm parsec.RealmID, key uint64, with *member, role parsec.RealmRole, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmShare, date, func(on parsec.DateTime) (*protocol.RealmShareRequest, error) {
		signed, err := testclient3.CertifyRole(m.Device, realm, with.User, role, on)
		return &protocol.RealmShareRequest{RealmRoleCertificate: signed, RecipientKeysBundleAccess: accessOf(with.User), KeyIndex: key}, err
	})
}

func (m *member) unshares(instance int, realm parsec.RealmID, with *member, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmUnshare, date, func(on parsec.DateTime) (*protocol.RealmUnshareRequest, error) {
		signed, err := testclient3.CertifyRole(m.Device, realm, with.User, parsec.RoleNone, on)
		return &protocol.RealmUnshareRequest{RealmRoleCertificate: signed}, err
	})
}

func (m *member) promotesItself(instance int, realm parsec.RealmID, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmSelfPromoteToOwner, date, func(on parsec.DateTime) (*protocol.RealmSelfPromoteToOwnerRequest, error) {
		signed, err := testclient3.CertifyRole(m.Device, realm, m.User, parsec.RoleOwner, on)
		return &protocol.RealmSelfPromoteToOwnerRequest{RealmRoleCertificate: signed}, err
	})
}

func (m *member) names(instance int, realm parsec.RealmID, key uint64, initial bool, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmRename, date, func(on parsec.DateTime) (*protocol.RealmRenameRequest, error) {
		signed, err := certificate.RealmName{
			Author: m.ID, Timestamp: on, RealmID: realm, KeyIndex: key, EncryptedName: []byte("name"),
		}.Sign(m.SigningKey)
		return &protocol.RealmRenameRequest{RealmNameCertificate: signed, InitialNameOrFail: initial}, err
	})
}

func (m *member) archives(instance int, realm parsec.RealmID, archiving parsec.ArchivingType, deletion *parsec.DateTime, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmUpdateArchiving, date, func(on parsec.DateTime) (*protocol.RealmUpdateArchivingRequest, error) {
		return testclient3.ArchiveRealm(m.Device, realm, archiving, deletion, on)
	})
}

// rotates adds the key of an index, for members and services.
func (m *member) rotates(instance int, realm parsec.RealmID, key uint64, to []*member, services []parsec.SequesterServiceID, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.RealmRotateKey, date, func(on parsec.DateTime) (*protocol.RealmRotateKeyRequest, error) {
		signed, err := certificate.RealmKeyRotation{
			Author: m.ID, Timestamp: on, RealmID: realm, KeyIndex: key, KeyCanary: []byte("canary"),
		}.Sign(m.SigningKey)
		request := &protocol.RealmRotateKeyRequest{
			RealmKeyRotationCertificate:         signed,
			KeysBundle:                          []byte("bundle of " + m.ID.String()),
			PerParticipantKeysBundleAccess:      map[vocabulary.UserID][]byte{},
			PerSequesterServiceKeysBundleAccess: map[parsec.SequesterServiceID][]byte{},
		}
		for _, member := range to {
			request.PerParticipantKeysBundleAccess[member.User] = accessOf(member.User)
		}
		for _, service := range services {
			request.PerSequesterServiceKeysBundleAccess[service] = []byte("access of a service")
		}
		return request, err
	})
}

// createsVlob writes a vlob with the key of an index; its content is its id.
func (m *member) createsVlob(instance int, realm parsec.RealmID, vlob parsec.VlobID, key uint64, date parsec.DateTime) call {
	return m.createsVlobWith(instance, realm, vlob, key, parsec.UUID(vlob).Hex(), date)
}

func (m *member) createsVlobWith(instance int, realm parsec.RealmID, vlob parsec.VlobID, key uint64, content string, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.VlobCreate, date, func(on parsec.DateTime) (*protocol.VlobCreateRequest, error) {
		return &protocol.VlobCreateRequest{RealmID: realm, VlobID: vlob, KeyIndex: key, Timestamp: on, Blob: []byte(content)}, nil
	})
}

func (m *member) updatesVlob(instance int, realm parsec.RealmID, vlob parsec.VlobID, key uint64, version uint32, content string, date parsec.DateTime) call {
	return dated(m.on[instance], protocol.VlobUpdate, date, func(on parsec.DateTime) (*protocol.VlobUpdateRequest, error) {
		return &protocol.VlobUpdateRequest{
			RealmID: realm, VlobID: vlob, KeyIndex: key, Timestamp: on, Version: version, Blob: []byte(content),
		}, nil
	})
}

func (m *member) createsBlock(instance int, realm parsec.RealmID, block parsec.BlockID, key uint64, content string) call {
	return send(m.on[instance], protocol.BlockCreate, &protocol.BlockCreateRequest{
		RealmID: realm, BlockID: block, KeyIndex: key, Block: []byte(content),
	})
}

// What follows is done at once.

// addRealm creates a realm with a first key, the services' too.
func (m *member) addRealm(services ...parsec.SequesterServiceID) parsec.RealmID {
	m.w.Helper()
	realm := newRealmID()
	m.w.ok(m.createsRealm(0, realm, anytime), m.rotates(0, realm, 1, []*member{m}, services, anytime))
	return realm
}

// addRealmWith creates a realm with members beside m.
func (m *member) addRealmWith(role parsec.RealmRole, members ...*member) parsec.RealmID {
	m.w.Helper()
	realm := m.addRealm()
	for _, other := range members {
		m.w.ok(m.shares(0, realm, 1, other, role, anytime))
	}
	return realm
}

// reads returns the latest versions of vlobs.
func (m *member) reads(instance int, realm parsec.RealmID, vlobs ...parsec.VlobID) *protocol.VlobReadBatchReply {
	m.w.Helper()
	return ask(m, instance, protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: vlobs})
}

func (m *member) changes(instance int, realm parsec.RealmID, since uint64) *protocol.VlobPollChangesReply {
	m.w.Helper()
	return ask(m, instance, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm, LastCheckpoint: since})
}

func (m *member) readsBlock(instance int, realm parsec.RealmID, block parsec.BlockID) *protocol.BlockReadReply {
	m.w.Helper()
	return ask(m, instance, protocol.BlockRead, &protocol.BlockReadRequest{RealmID: realm, BlockID: block})
}
