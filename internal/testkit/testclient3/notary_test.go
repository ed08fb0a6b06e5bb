package testclient3_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// start is before any certificate.
const start parsec.DateTime = 1704164645_678901

// notary signs certificates, good or not. Users and devices go by names, and a user
// has the name of its first device.
type notary struct{ now parsec.DateTime }

// tick returns a date after all before.
func (n *notary) tick() parsec.DateTime {
	n.now = n.now.Add(time.Second)
	return n.now
}

func idOf(name string) parsec.UUID {
	digest := sha256.Sum256([]byte(name))
	return parsec.UUID(digest[:16])
}

func userOf(name string) parsec3.UserID { return parsec3.UserID(idOf("user " + name)) }

// deviceOf is zero for the root key, whose name is "".
func deviceOf(name string) parsec3.DeviceID {
	if name == "" {
		return parsec3.DeviceID{}
	}
	return parsec3.DeviceID(idOf("device " + name))
}

func realmOf(name string) parsec.RealmID { return parsec.RealmID(idOf("realm " + name)) }

func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func verifyKeyOf(name string) parsec.VerifyKey {
	return parsec.VerifyKey(keyOf(name).Public().(ed25519.PublicKey))
}

// device returns a device with its secrets.
func device(name string) *client3.Device {
	seed := sha256.Sum256([]byte("private key " + name))
	return &client3.Device{
		Organization: must(parsec.ParseOrganizationID("CoolOrg")),
		User:         userOf(name), ID: deviceOf(name), Label: must(parsec3.ParseDeviceLabel(name)),
		HumanHandle:   must(parsec3.ParseHumanHandle(name+"@example.com", name)),
		SigningKey:    keyOf(name),
		PrivateKey:    must(ecdh.X25519().NewPrivateKey(seed[:])),
		RootVerifyKey: verifyKeyOf(""),
	}
}

// user returns the certificates of a user and its first device.
func (n *notary) user(author, name string, profile parsec.UserProfile) [][]byte {
	return n.userWith(author, name, profile, func(*certificate.Device) {})
}

// userWith is user with another first device.
func (n *notary) userWith(author, name string, profile parsec.UserProfile, change func(*certificate.Device)) [][]byte {
	made := device(name)
	user := certificate.User{
		Author: deviceOf(author), Timestamp: n.tick(), UserID: made.User, HumanHandle: made.HumanHandle,
		PublicKey: made.PublicKey(), Profile: profile,
	}
	first := certificate.Device{
		Author: user.Author, Timestamp: user.Timestamp, UserID: made.User, DeviceID: made.ID, DeviceLabel: made.Label,
		VerifyKey: made.VerifyKey(),
	}
	change(&first)
	return [][]byte{must(user.Sign(keyOf(author))), must(first.Sign(keyOf(author)))}
}

// device returns the certificate of another device of a user.
func (n *notary) device(author, user, name string) [][]byte {
	made := certificate.Device{
		Author: deviceOf(author), Timestamp: n.tick(), UserID: userOf(user), DeviceID: deviceOf(name),
		DeviceLabel: must(parsec3.ParseDeviceLabel(name)), VerifyKey: verifyKeyOf(name),
	}
	return [][]byte{must(made.Sign(keyOf(author)))}
}

func (n *notary) update(author, user string, profile parsec.UserProfile) [][]byte {
	update := certificate.UserUpdate{Author: deviceOf(author), Timestamp: n.tick(), UserID: userOf(user), NewProfile: profile}
	return [][]byte{must(update.Sign(keyOf(author)))}
}

func (n *notary) revocation(author, user string) [][]byte {
	revoked := certificate.RevokedUser{Author: deviceOf(author), Timestamp: n.tick(), UserID: userOf(user)}
	return [][]byte{must(revoked.Sign(keyOf(author)))}
}

func (n *notary) role(author, realm, user string, role parsec.RealmRole) [][]byte {
	given := certificate.RealmRole{
		Author: deviceOf(author), Timestamp: n.tick(), RealmID: realmOf(realm), UserID: userOf(user), Role: role,
	}
	return [][]byte{must(given.Sign(keyOf(author)))}
}

func (n *notary) rotation(author, realm string, index uint64) [][]byte {
	rotation := certificate.RealmKeyRotation{
		Author: deviceOf(author), Timestamp: n.tick(), RealmID: realmOf(realm), KeyIndex: index, KeyCanary: []byte("canary"),
	}
	return [][]byte{must(rotation.Sign(keyOf(author)))}
}

func (n *notary) name(author, realm string, index uint64) [][]byte {
	name := certificate.RealmName{
		Author: deviceOf(author), Timestamp: n.tick(), RealmID: realmOf(realm), KeyIndex: index, EncryptedName: []byte("name"),
	}
	return [][]byte{must(name.Sign(keyOf(author)))}
}

func (n *notary) archiving(author, realm string) [][]byte {
	archiving := certificate.RealmArchiving{
		Author: deviceOf(author), Timestamp: n.tick(), RealmID: realmOf(realm), Type: parsec.ArchivingArchived,
	}
	return [][]byte{must(archiving.Sign(keyOf(author)))}
}

// rsaKey is the sequester authority's, and the service's.
var rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))

func rsaDER() []byte { return must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)) }

func (n *notary) authority(date parsec.DateTime) [][]byte {
	return [][]byte{must(certificate.SequesterAuthority{Timestamp: date, VerifyKeyDER: rsaDER()}.Sign(keyOf("")))}
}

func serviceOf(name string) parsec.SequesterServiceID {
	return parsec.SequesterServiceID(idOf("service " + name))
}

func (n *notary) service(name string) [][]byte {
	service := certificate.SequesterService{Timestamp: n.tick(), ServiceID: serviceOf(name), EncryptionKeyDER: rsaDER()}
	return [][]byte{must(service.Sign(rsaKey))}
}

func (n *notary) serviceRevocation(name string) [][]byte {
	revoked := certificate.SequesterRevokedService{Timestamp: n.tick(), ServiceID: serviceOf(name)}
	return [][]byte{must(revoked.Sign(rsaKey))}
}

// join is one list of certificates.
func join(lists ...[][]byte) (all [][]byte) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// common is a reply of certificates of the common topic alone.
func common(lists ...[][]byte) *protocol.CertificateGetReply {
	return &protocol.CertificateGetReply{CommonCertificates: join(lists...)}
}

// inRealm is a reply of certificates of one realm alone.
func inRealm(name string, lists ...[][]byte) *protocol.CertificateGetReply {
	return &protocol.CertificateGetReply{RealmCertificates: map[parsec.RealmID][][]byte{realmOf(name): join(lists...)}}
}

// learn has what is known grow by good certificates.
func learn(t *testing.T, known *testclient3.Knowledge, replies ...*protocol.CertificateGetReply) *testclient3.Knowledge {
	t.Helper()
	for i, reply := range replies {
		next, err := known.Learn(reply)
		if err != nil {
			t.Fatalf("reply %d: %v", i, err)
		}
		known = next
	}
	return known
}

// organization returns what alice knows of hers: alice and ada are ADMIN, bob and
// carol STANDARD, oscar OUTSIDER, and rita revoked.
func organization(t *testing.T, n *notary) *testclient3.Knowledge {
	t.Helper()
	n.now = start
	return learn(t, testclient3.NewKnowledge(device("alice")), common(
		n.user("", "alice", parsec.ProfileAdmin),
		n.user("alice", "ada", parsec.ProfileAdmin),
		n.user("alice", "bob", parsec.ProfileStandard),
		n.user("ada", "carol", parsec.ProfileStandard),
		n.user("alice", "oscar", parsec.ProfileOutsider),
		n.user("alice", "rita", parsec.ProfileAdmin),
		n.revocation("alice", "rita"),
	))
}

// workspace returns what alice knows with the realm "work": she is OWNER of it, bob
// MANAGER, carol CONTRIBUTOR and oscar READER.
func workspace(t *testing.T, n *notary) *testclient3.Knowledge {
	t.Helper()
	return learn(t, organization(t, n), inRealm("work",
		n.role("alice", "work", "alice", parsec.RoleOwner),
		n.rotation("alice", "work", 1),
		n.name("alice", "work", 1),
		n.role("alice", "work", "bob", parsec.RoleManager),
		n.role("bob", "work", "carol", parsec.RoleContributor),
		n.role("bob", "work", "oscar", parsec.RoleReader),
	))
}
