package testclient_test

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"testing"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// reference is the instant of the vectors.
const reference parsec.DateTime = 1704164645_678901

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// notary signs certificates of devices that are named "user@device"; "" is the
// root key. Dates are in microseconds after the reference instant.
type notary struct{}

func (notary) key(device string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, device)
	return ed25519.NewKeyFromSeed(seed)
}

func (n notary) verifyKey(device string) parsec.VerifyKey {
	return parsec.VerifyKey(n.key(device).Public().(ed25519.PublicKey))
}

func deviceID(text string) parsec.DeviceID {
	if text == "" {
		return parsec.DeviceID{}
	}
	return must(parsec.ParseDeviceID(text))
}

func userID(text string) parsec.UserID { return must(parsec.ParseUserID(text)) }

func (n notary) user(author, user string, profile parsec.UserProfile, date parsec.DateTime) []byte {
	return must(certificate.User{
		Author: deviceID(author), Timestamp: reference + date, UserID: userID(user), Profile: profile,
	}.Sign(n.key(author)))
}

func (n notary) device(author, device string, date parsec.DateTime) []byte {
	return must(certificate.Device{
		Author: deviceID(author), Timestamp: reference + date, DeviceID: deviceID(device), VerifyKey: n.verifyKey(device),
	}.Sign(n.key(author)))
}

func (n notary) revocation(author, user string, date parsec.DateTime) []byte {
	return must(certificate.RevokedUser{
		Author: deviceID(author), Timestamp: reference + date, UserID: userID(user),
	}.Sign(n.key(author)))
}

func (n notary) role(author, user string, role parsec.RealmRole, date parsec.DateTime) []byte {
	return must(certificate.RealmRole{
		Author: deviceID(author), Timestamp: reference + date, RealmID: parsec.RealmID{1}, UserID: userID(user), Role: role,
	}.Sign(n.key(author)))
}

// carolsReply returns the reply of user_get for carol, whom bob created before alice
// revoked bob; the root key signed alice.
func (n notary) carolsReply() *protocol.UserGetReply {
	return &protocol.UserGetReply{
		UserCertificate:        n.user("bob@b1", "carol", parsec.ProfileStandard, 30),
		RevokedUserCertificate: n.revocation("alice@a2", "carol", 90),
		DeviceCertificates:     [][]byte{n.device("bob@b1", "carol@c1", 30), n.device("carol@c1", "carol@c2", 40)},
		Trustchain: protocol.Trustchain{
			// In an order that needs more than one pass.
			Devices: [][]byte{
				n.device("carol@c1", "carol@c2", 40), n.device("bob@b1", "carol@c1", 30), n.device("alice@a1", "bob@b1", 20),
				n.device("alice@a1", "alice@a2", 20), n.device("", "alice@a1", 10),
			},
			Users:        [][]byte{n.user("bob@b1", "carol", parsec.ProfileStandard, 30), n.user("alice@a1", "bob", parsec.ProfileAdmin, 20), n.user("", "alice", parsec.ProfileAdmin, 10)},
			RevokedUsers: [][]byte{n.revocation("alice@a2", "bob", 40)},
		},
	}
}

func TestVerifyTrustchain(t *testing.T) {
	var n notary
	verified, err := testclient.VerifyTrustchain(n.verifyKey(""), userID("carol"), n.carolsReply())
	if err != nil {
		t.Fatal(err)
	}
	if verified.User.UserID != userID("carol") || verified.User.Profile != parsec.ProfileStandard ||
		len(verified.Devices) != 2 || verified.Devices[1].DeviceID != deviceID("carol@c2") ||
		verified.Revocation == nil || verified.Revocation.Timestamp != reference+90 {
		t.Errorf("verified %+v", verified)
	}
}

func TestVerifyTrustchainOfTheFirstUser(t *testing.T) {
	var n notary
	verified, err := testclient.VerifyTrustchain(n.verifyKey(""), userID("alice"), &protocol.UserGetReply{
		UserCertificate:    n.user("", "alice", parsec.ProfileAdmin, 10),
		DeviceCertificates: [][]byte{n.device("", "alice@a1", 10)},
	})
	if err != nil || verified.Revocation != nil {
		t.Errorf("verified %+v, %v", verified, err)
	}
}

func TestUntrustedChains(t *testing.T) {
	var n notary
	without := func(list [][]byte, i int) [][]byte { return slices.Delete(slices.Clone(list), i, i+1) }
	for name, spoil := range map[string]func(*protocol.UserGetReply){
		"device missing":         func(r *protocol.UserGetReply) { r.Trustchain.Devices = without(r.Trustchain.Devices, 2) },
		"first device missing":   func(r *protocol.UserGetReply) { r.Trustchain.Devices = without(r.Trustchain.Devices, 4) },
		"user of author missing": func(r *protocol.UserGetReply) { r.Trustchain.Users = without(r.Trustchain.Users, 1) },
		"author not ADMIN": func(r *protocol.UserGetReply) {
			r.Trustchain.Users[1] = n.user("alice@a1", "bob", parsec.ProfileStandard, 20)
		},
		"loop": func(r *protocol.UserGetReply) {
			r.Trustchain.Devices = append(r.Trustchain.Devices, n.device("dan@d1", "dan@d2", 50), n.device("dan@d2", "dan@d1", 50))
		},
		"signed after the author's revocation": func(r *protocol.UserGetReply) {
			r.Trustchain.RevokedUsers[0] = n.revocation("alice@a2", "bob", 29)
		},
		"signed after its own revocation": func(r *protocol.UserGetReply) {
			r.RevokedUserCertificate = n.revocation("alice@a2", "carol", 39)
		},
		"user certifies itself": func(r *protocol.UserGetReply) {
			r.UserCertificate = n.user("carol@c1", "carol", parsec.ProfileAdmin, 30)
		},
		"user revokes itself": func(r *protocol.UserGetReply) {
			r.RevokedUserCertificate = n.revocation("carol@c1", "carol", 90)
		},
		"revoked by no ADMIN": func(r *protocol.UserGetReply) {
			r.Trustchain.RevokedUsers[0] = n.revocation("carol@c1", "bob", 40)
		},
		"user of another":       func(r *protocol.UserGetReply) { r.UserCertificate = n.user("alice@a1", "dan", parsec.ProfileAdmin, 30) },
		"revocation of another": func(r *protocol.UserGetReply) { r.RevokedUserCertificate = n.revocation("alice@a1", "dan", 90) },
		"device of another":     func(r *protocol.UserGetReply) { r.DeviceCertificates[0] = n.device("alice@a1", "alice@a3", 30) },
		"user spoiled":          func(r *protocol.UserGetReply) { r.UserCertificate[70] ^= 1 },
		"revocation spoiled":    func(r *protocol.UserGetReply) { r.RevokedUserCertificate[70] ^= 1 },
		"device spoiled":        func(r *protocol.UserGetReply) { r.DeviceCertificates[1][70] ^= 1 },
		"chain spoiled":         func(r *protocol.UserGetReply) { r.Trustchain.RevokedUsers[0][70] ^= 1 },
		"no user":               func(r *protocol.UserGetReply) { r.UserCertificate = nil },
	} {
		reply := n.carolsReply()
		spoil(reply)
		if verified, err := testclient.VerifyTrustchain(n.verifyKey(""), userID("carol"), reply); !errors.Is(err, testclient.ErrUntrusted) {
			t.Errorf("%s: verified %+v, %v", name, verified, err)
		}
	}
	if _, err := testclient.VerifyTrustchain(n.verifyKey("other"), userID("carol"), n.carolsReply()); !errors.Is(err, testclient.ErrUntrusted) {
		t.Errorf("with another root key: %v", err)
	}
}

func TestVerifyInvitationCreator(t *testing.T) {
	var n notary
	reply := func() *protocol.InvitationCreatorReply {
		carol := n.carolsReply()
		return &protocol.InvitationCreatorReply{
			UserCertificate: n.user("alice@a1", "bob", parsec.ProfileAdmin, 20), DeviceCertificate: n.device("alice@a1", "bob@b1", 20),
			Trustchain: carol.Trustchain,
		}
	}
	verified, err := testclient.VerifyInvitationCreator(n.verifyKey(""), reply())
	if err != nil || verified.User.UserID != userID("bob") || verified.Devices[0].DeviceID != deviceID("bob@b1") {
		t.Errorf("verified %+v, %v", verified, err)
	}
	for name, spoil := range map[string]func(*protocol.InvitationCreatorReply){
		"device of another": func(r *protocol.InvitationCreatorReply) { r.DeviceCertificate = n.device("alice@a1", "alice@a2", 20) },
		"device spoiled":    func(r *protocol.InvitationCreatorReply) { r.DeviceCertificate[70] ^= 1 },
		"user spoiled":      func(r *protocol.InvitationCreatorReply) { r.UserCertificate[70] ^= 1 },
		"chain missing":     func(r *protocol.InvitationCreatorReply) { r.Trustchain = protocol.Trustchain{} },
	} {
		spoiled := reply()
		spoil(spoiled)
		if _, err := testclient.VerifyInvitationCreator(n.verifyKey(""), spoiled); !errors.Is(err, testclient.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyRealmRoles(t *testing.T) {
	var n notary
	member := func(device string) *testclient.VerifiedUser {
		return &testclient.VerifiedUser{
			User:    certificate.User{UserID: deviceID(device).User()},
			Devices: []certificate.Device{{DeviceID: deviceID(device), VerifyKey: n.verifyKey(device)}},
		}
	}
	users := []*testclient.VerifiedUser{member("alice@a1"), member("bob@b1"), member("carol@c1")}
	users[1].Revocation = &certificate.RevokedUser{UserID: userID("bob"), Timestamp: reference + 50}
	first := n.role("alice@a1", "alice", parsec.RoleOwner, 10)
	manager := n.role("alice@a1", "bob", parsec.RoleManager, 20)
	reader := n.role("bob@b1", "carol", parsec.RoleReader, 30)
	for _, item := range []struct {
		name         string
		certificates [][]byte
		want         map[parsec.UserID]parsec.RealmRole // nil if refused
	}{
		{"in order", [][]byte{first, manager, reader}, map[parsec.UserID]parsec.RealmRole{
			userID("alice"): parsec.RoleOwner, userID("bob"): parsec.RoleManager, userID("carol"): parsec.RoleReader,
		}},
		{"sorted by date", [][]byte{reader, manager, first}, map[parsec.UserID]parsec.RealmRole{
			userID("alice"): parsec.RoleOwner, userID("bob"): parsec.RoleManager, userID("carol"): parsec.RoleReader,
		}},
		{"removed", [][]byte{first, manager, n.role("alice@a1", "bob", parsec.RoleNone, 40)}, map[parsec.UserID]parsec.RealmRole{
			userID("alice"): parsec.RoleOwner, userID("bob"): parsec.RoleNone,
		}},
		{"first of another", [][]byte{n.role("alice@a1", "bob", parsec.RoleOwner, 10)}, nil},
		{"first no OWNER", [][]byte{n.role("alice@a1", "alice", parsec.RoleManager, 10)}, nil},
		{"author before its role", [][]byte{first, manager, n.role("bob@b1", "carol", parsec.RoleReader, 15)}, nil},
		{"MANAGER by MANAGER", [][]byte{first, manager, n.role("bob@b1", "carol", parsec.RoleManager, 30)}, nil},
		{"OWNER demoted by MANAGER", [][]byte{first, manager, n.role("bob@b1", "alice", parsec.RoleReader, 30)}, nil},
		{"by READER", [][]byte{first, manager, reader, n.role("carol@c1", "bob", parsec.RoleNone, 40)}, nil},
		{"after its revocation", [][]byte{first, manager, n.role("bob@b1", "carol", parsec.RoleReader, 51)}, nil},
		{"unknown author", [][]byte{first, n.role("dan@d1", "carol", parsec.RoleReader, 30)}, nil},
	} {
		got, err := testclient.VerifyRealmRoles(parsec.RealmID{1}, users, item.certificates)
		if !maps.Equal(got, item.want) || (err == nil) != (item.want != nil) || err != nil && !errors.Is(err, testclient.ErrUntrusted) {
			t.Errorf("%s: %v, %v", item.name, got, err)
		}
	}
	if _, err := testclient.VerifyRealmRoles(parsec.RealmID{2}, users, [][]byte{first}); !errors.Is(err, testclient.ErrUntrusted) {
		t.Errorf("another realm: %v", err)
	}
}
