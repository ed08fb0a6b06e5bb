package testclient3_test

import (
	"bytes"
	"crypto/rsa"
	"slices"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// bundleOf is what a server answers to a user.
func bundleOf(request *protocol.RealmRotateKeyRequest, user string) *protocol.RealmGetKeysBundleReply {
	return &protocol.RealmGetKeysBundleReply{
		KeysBundle: request.KeysBundle, KeysBundleAccess: request.PerParticipantKeysBundleAccess[userOf(user)],
	}
}

func participants(names ...string) testclient3.Participants {
	to := testclient3.Participants{Users: map[parsec3.UserID]parsec.PublicKey{}}
	for _, name := range names {
		to.Users[userOf(name)] = device(name).PublicKey()
	}
	return to
}

// TestKeysBundles rotates the key of a realm twice, and has a member open what is
// encrypted with each.
func TestKeysBundles(t *testing.T) {
	alice, bob, realm := device("alice"), device("bob"), realmOf("work")
	keys, request, err := testclient3.RotateKey(alice, realm, testclient3.UserKeys(alice), participants("alice"), start)
	if err != nil || keys.Index() != 1 || request.PerSequesterServiceKeysBundleAccess != nil {
		t.Fatalf("%+v, %v", request, err)
	}
	old := keys.Encrypt([]byte("old"))
	keys, request, err = testclient3.RotateKey(alice, realm, keys, participants("alice", "bob"), start.Add(time.Second))
	if err != nil || keys.Index() != 2 {
		t.Fatal(err)
	}
	rotation, err := certificate.LoadRealmKeyRotation(request.RealmKeyRotationCertificate, alice.VerifyKey(), alice.ID)
	if err != nil || rotation.RealmID != realm || rotation.KeyIndex != 2 || rotation.Timestamp != start.Add(time.Second) {
		t.Errorf("%+v, %v", rotation, err)
	}
	// The canary is the empty message (docs/protocol/v5/certificates.md §3).
	if empty, err := keys.Decrypt(2, rotation.KeyCanary); err != nil || len(empty) != 0 || len(rotation.KeyCanary) != 40 {
		t.Errorf("canary %x, %v", rotation.KeyCanary, err)
	}
	opened, access, err := testclient3.OpenKeysBundle(bob, bundleOf(request, "bob"), realm, 2, alice.ID, alice.VerifyKey())
	if err != nil || opened.Index() != 2 {
		t.Fatal(err)
	}
	for index, encrypted := range map[uint64][]byte{1: old, 2: keys.Encrypt([]byte("new"))} {
		if data, err := opened.Decrypt(index, encrypted); err != nil || string(data) != map[uint64]string{1: "old", 2: "new"}[index] {
			t.Errorf("key %d: %q, %v", index, data, err)
		}
		if _, err := opened.Decrypt(3-index, encrypted); err == nil {
			t.Errorf("key %d opens what another one closed", 3-index)
		}
	}
	// The access is for who gets a role later.
	sealed, err := access.For(device("carol").PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	later := &protocol.RealmGetKeysBundleReply{KeysBundle: request.KeysBundle, KeysBundleAccess: sealed}
	if _, _, err := testclient3.OpenKeysBundle(device("carol"), later, realm, 2, alice.ID, alice.VerifyKey()); err != nil {
		t.Error(err)
	}
}

// TestKeysOfAUser are those of index 0, and of nobody else.
func TestKeysOfAUser(t *testing.T) {
	keys := testclient3.UserKeys(device("alice"))
	encrypted := keys.Encrypt([]byte("manifest"))
	if data, err := testclient3.UserKeys(device("alice")).Decrypt(0, encrypted); err != nil || string(data) != "manifest" {
		t.Errorf("%q, %v", data, err)
	}
	if data, err := testclient3.UserKeys(device("bob")).Decrypt(0, encrypted); err == nil {
		t.Errorf("bob reads %q", data)
	}
	for _, short := range [][]byte{nil, encrypted[:23], encrypted[:len(encrypted)-1]} {
		if data, err := keys.Decrypt(0, short); err == nil {
			t.Errorf("%d bytes are %q", len(short), data)
		}
	}
	if _, err := keys.Decrypt(1, encrypted); err == nil {
		t.Error("a key that there is not")
	}
}

// TestKeysBundlesForOthers are opened by nobody but whom they are for, and say of
// what they are.
func TestKeysBundlesForOthers(t *testing.T) {
	alice, realm := device("alice"), realmOf("work")
	_, request, err := testclient3.RotateKey(alice, realm, testclient3.UserKeys(alice), participants("alice", "bob"), start)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*protocol.RealmGetKeysBundleReply)) *protocol.RealmGetKeysBundleReply {
		reply := bundleOf(request, "bob")
		reply.KeysBundle, reply.KeysBundleAccess = slices.Clone(reply.KeysBundle), slices.Clone(reply.KeysBundleAccess)
		change(reply)
		return reply
	}
	same := changed(func(*protocol.RealmGetKeysBundleReply) {})
	for name, open := range map[string]func() error{
		"another user":   func() error { return openAs("carol", same, realm, 1, "alice") },
		"another access": func() error { return openAs("bob", bundleOf(request, "alice"), realm, 1, "alice") },
		"another realm":  func() error { return openAs("bob", same, realmOf("home"), 1, "alice") },
		"too few keys":   func() error { return openAs("bob", same, realm, 2, "alice") },
		"another author": func() error { return openAs("bob", same, realm, 1, "ada") },
		"a changed access": func() error {
			return openAs("bob", changed(func(r *protocol.RealmGetKeysBundleReply) { r.KeysBundleAccess[40] ^= 1 }), realm, 1, "alice")
		},
		"a changed bundle": func() error {
			return openAs("bob", changed(func(r *protocol.RealmGetKeysBundleReply) { r.KeysBundle[40] ^= 1 }), realm, 1, "alice")
		},
	} {
		if open() == nil {
			t.Errorf("%s opens it", name)
		}
	}
	if err := openAs("bob", same, realm, 1, "alice"); err != nil {
		t.Error(err)
	}
	// The id of the author, with another's key.
	if _, _, err := testclient3.OpenKeysBundle(device("bob"), same, realm, 1, alice.ID, verifyKeyOf("ada")); err == nil {
		t.Error("the key of another opens it")
	}
}

func openAs(user string, reply *protocol.RealmGetKeysBundleReply, realm parsec.RealmID, index uint64, author string) error {
	_, _, err := testclient3.OpenKeysBundle(device(user), reply, realm, index, deviceOf(author), verifyKeyOf(author))
	return err
}

// TestKeysBundlesForServices have the form that services open
// (docs/protocol/v5/certificates.md §9).
func TestKeysBundlesForServices(t *testing.T) {
	alice, to := device("alice"), participants("alice")
	to.Services = map[parsec.SequesterServiceID]*rsa.PublicKey{serviceOf("archive"): &rsaKey.PublicKey}
	_, request, err := testclient3.RotateKey(alice, realmOf("work"), testclient3.UserKeys(alice), to, start)
	if err != nil {
		t.Fatal(err)
	}
	access := request.PerSequesterServiceKeysBundleAccess[serviceOf("archive")]
	if !bytes.HasPrefix(access, []byte("RSAES-OAEP-SHA256-XSALSA20-POLY1305:")) || len(request.PerSequesterServiceKeysBundleAccess) != 1 {
		t.Errorf("access %q", access)
	}
	to.Services = map[parsec.SequesterServiceID]*rsa.PublicKey{}
	_, request, err = testclient3.RotateKey(alice, realmOf("work"), testclient3.UserKeys(alice), to, start)
	if err != nil || request.PerSequesterServiceKeysBundleAccess == nil {
		t.Errorf("without service: %v, %v", request.PerSequesterServiceKeysBundleAccess, err)
	}
}
