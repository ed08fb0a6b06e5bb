package rules_test

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// signedCommand is a command that would be answered ok, with a request that has
// certificates.
type signedCommand struct {
	*fixture
	// request is a pointer to its fields, which send reads.
	request any
	send    func() error
	// by is who signs, with key; nil is the root key.
	by  *rules.Author
	key ed25519.PrivateKey
}

// signed has the author of c sign the request.
func (c *command) signed(request any, send func() error) signedCommand {
	return signedCommand{c.fixture, request, send, c.author, signingKey(c.author.Device)}
}

// signedCommands are the commands that have certificates.
var signedCommands = map[string]func(t *testing.T) signedCommand{
	"organization_bootstrap": func(t *testing.T) signedCommand {
		s := newFounding(t)
		request := s.request()
		return signedCommand{s.fixture, request, func() error {
			return failure(s.OrganizationBootstrap(t.Context(), s.anonymous, request))
		}, nil, rootKey()}
	},
	"user_create": func(t *testing.T) signedCommand {
		s := newUserCreate(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.UserCreate(t.Context(), s.author, request)) })
	},
	"device_create": func(t *testing.T) signedCommand {
		s := newDeviceCreate(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.DeviceCreate(t.Context(), s.author, request)) })
	},
	"user_update": func(t *testing.T) signedCommand {
		s := newUserUpdating(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.UserUpdate(t.Context(), s.author, request)) })
	},
	"user_revoke": func(t *testing.T) signedCommand {
		s := newUserRevoking(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.UserRevoke(t.Context(), s.author, request)) })
	},
	"realm_create": func(t *testing.T) signedCommand {
		s := newRealmCreate(t)
		request := s.creationRequest()
		return s.signed(request, func() error { return failure(s.RealmCreate(t.Context(), s.author, request)) })
	},
	"realm_share": func(t *testing.T) signedCommand {
		s := newRealmShare(t)
		request := s.shareRequest()
		return s.signed(request, func() error { return failure(s.RealmShare(t.Context(), s.author, request)) })
	},
	"realm_unshare": func(t *testing.T) signedCommand {
		s := newRealmUnshare(t)
		request := s.unshareRequest()
		return s.signed(request, func() error { return failure(s.RealmUnshare(t.Context(), s.author, request)) })
	},
	"realm_self_promote_to_owner": func(t *testing.T) signedCommand {
		s := newSelfPromotion(t)
		request := s.promotionRequest()
		return s.signed(request, func() error { return failure(s.RealmSelfPromoteToOwner(t.Context(), s.author, request)) })
	},
	"realm_rename": func(t *testing.T) signedCommand {
		s := newRealmRename(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.RealmRename(t.Context(), s.author, request)) })
	},
	"realm_rotate_key": func(t *testing.T) signedCommand {
		s := newRealmRotation(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.RealmRotateKey(t.Context(), s.author, request)) })
	},
	"realm_update_archiving": func(t *testing.T) signedCommand {
		s := newRealmArchiving(t)
		request := s.request()
		return s.signed(request, func() error { return failure(s.RealmUpdateArchiving(t.Context(), s.author, request)) })
	},
}

// certificates are the fields of the request that hold certificates, by name.
func (c *signedCommand) certificates() map[string]*[]byte {
	fields := map[string]*[]byte{}
	request := reflect.ValueOf(c.request).Elem()
	for field, value := range request.Fields() {
		if strings.HasSuffix(field.Name, "Certificate") {
			fields[field.Name] = value.Addr().Interface().(*[]byte)
		}
	}
	return fields
}

// In every field for a certificate of every command, what is none, or another one, is
// invalid: nothing is written of it, and nobody is told.
func TestEveryCertificateIsChecked(t *testing.T) {
	for name, begin := range signedCommands {
		t.Run(name, func(t *testing.T) {
			c := begin(t)
			c.events.take()
			before := c.stored(t.Context())
			fields := c.certificates()
			if len(fields) == 0 {
				t.Fatal("no certificate")
			}
			for field, value := range fields {
				good := *value
				for what, bad := range c.spoil(good) {
					*value = bad
					if got := status(nil, c.send()); got != protocol.StatusInvalidCertificate {
						t.Errorf("%s: %s: got %s", field, what, got)
					}
				}
				*value = good
			}
			if after := c.stored(t.Context()); !reflect.DeepEqual(before, after) {
				t.Errorf("what is refused has changed\n%+v to\n%+v", before, after)
			}
			c.checkEvents()
			if got := status(nil, c.send()); got != protocol.StatusOK {
				t.Errorf("unspoilt: got %s", got)
			}
		})
	}
}

// packed returns what is signed of a payload.
func packed(payload []byte) []byte { return must(zstd.NewWriter(nil)).EncodeAll(payload, []byte{0}) }

// bomb is a thousand times as large once it is decompressed.
var bomb = sync.OnceValue(func() []byte { return packed(make([]byte, 64<<20)) })

// spoil returns what takes the place of a certificate.
func (c *signedCommand) spoil(good []byte) map[string][]byte {
	c.t.Helper()
	payload := good[ed25519.SignatureSize:]
	sign := func(key ed25519.PrivateKey, payload []byte) []byte {
		return append(ed25519.Sign(key, payload), payload...)
	}
	changed := func(i int) []byte {
		spoilt := bytes.Clone(good)
		spoilt[i] ^= 1
		return spoilt
	}
	content := must(certificate.Unpack(payload))
	bad := map[string][]byte{
		"empty": {}, "short": good[:ed25519.SignatureSize-1], "no payload": sign(c.key, nil), "zeros": make([]byte, 200),
		"truncated": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "twice": append(bytes.Clone(good), good...),
		"another signature": changed(0), "another version byte": changed(ed25519.SignatureSize), "another payload": changed(len(good) - 1),
		"forged":              sign(signingKey(malloryLaptop), payload),
		"a signed version 1":  sign(c.key, append([]byte{1}, payload[1:]...)),
		"a signed truncation": sign(c.key, payload[:len(payload)-1]),
		"signed bytes behind": sign(c.key, append(bytes.Clone(payload), 0)),
		"signed uncompressed": sign(c.key, append([]byte{0}, content...)),
		"a byte after a map":  sign(c.key, packed(append(bytes.Clone(content), 0xc0))),
		"no map":              sign(c.key, packed([]byte{0x90})),
		"a deep map":          sign(c.key, packed(append([]byte{0x81, 0xa1, 'x'}, bytes.Repeat([]byte{0x91}, 100_000)...))),
		"a bomb":              sign(c.key, bomb()),
		"a large map":         sign(c.key, packed(must(wire.Microseconds.Append(nil, map[string]any{"x": make([]byte, 2<<20)})))),
	}
	kind, _ := wire.Microseconds.LookupString(content, "type")
	for other, signed := range c.everyKind() {
		if other != kind {
			bad["a "+other] = signed
		}
	}
	return bad
}

// everyKind returns a good certificate of each kind, by the author of the command.
func (c *signedCommand) everyKind() map[string][]byte {
	c.t.Helper()
	var by parsec3.DeviceID
	if c.by != nil {
		by = c.by.Device
	}
	now, realm := c.clock.now(), realmID("shared")
	user := c.userCreation(c.by, deviceID("dora@desk"), parsec.ProfileStandard)
	return map[string][]byte{
		"user_certificate":               must(user.user.Sign(c.key)),
		"device_certificate":             must(user.device.Sign(c.key)),
		"user_update_certificate":        must(certificate.UserUpdate{Author: by, Timestamp: now, UserID: malloryID, NewProfile: parsec.ProfileStandard}.Sign(c.key)),
		"revoked_user_certificate":       must(certificate.RevokedUser{Author: by, Timestamp: now, UserID: malloryID}.Sign(c.key)),
		"realm_role_certificate":         must(certificate.RealmRole{Author: by, Timestamp: now, RealmID: realm, UserID: malloryID, Role: parsec.RoleReader}.Sign(c.key)),
		"realm_key_rotation_certificate": must(certificate.RealmKeyRotation{Author: by, Timestamp: now, RealmID: realm, KeyIndex: 2}.Sign(c.key)),
		"realm_name_certificate":         must(certificate.RealmName{Author: by, Timestamp: now, RealmID: realm, KeyIndex: 1}.Sign(c.key)),
		"realm_archiving_certificate":    must(certificate.RealmArchiving{Author: by, Timestamp: now, RealmID: realm, Type: parsec.ArchivingArchived}.Sign(c.key)),
		"sequester_authority_certificate": must(certificate.SequesterAuthority{
			Timestamp: now, VerifyKeyDER: sequesterKeys(c.t)["sequester_authority"].Public,
		}.Sign(c.key)),
		"sequester_service_certificate": must(certificate.SequesterService{
			Timestamp: now, ServiceID: storageID, EncryptionKeyDER: serviceKeyDER(c.t),
		}.Sign(authorityKey(c.t))),
		"sequester_revoked_service_certificate": must(certificate.SequesterRevokedService{Timestamp: now, ServiceID: storageID}.Sign(authorityKey(c.t))),
	}
}

// What is recorded and sent again, at once or later, changes nothing and tells nobody.
func TestReplays(t *testing.T) {
	for name, want := range map[string]protocol.Status{
		"organization_bootstrap":      protocol.StatusOrganizationAlreadyBootstrapped,
		"user_create":                 protocol.StatusUserAlreadyExists,
		"device_create":               protocol.StatusDeviceAlreadyExists,
		"user_update":                 protocol.StatusUserNoChanges,
		"user_revoke":                 protocol.StatusUserAlreadyRevoked,
		"realm_create":                protocol.StatusRealmAlreadyExists,
		"realm_share":                 protocol.StatusRoleAlreadyGranted,
		"realm_unshare":               protocol.StatusRecipientAlreadyUnshared,
		"realm_self_promote_to_owner": protocol.StatusActiveOwnerAlreadyExists,
		"realm_rename":                protocol.StatusInitialNameAlreadyExists,
		"realm_rotate_key":            protocol.StatusBadKeyIndex,
		"realm_update_archiving":      protocol.StatusRequireGreaterTimestamp,
	} {
		t.Run(name, func(t *testing.T) {
			c := signedCommands[name](t)
			c.clock.advance(time.Millisecond)
			c.ok(nil, c.send())
			c.events.take()
			before := c.stored(t.Context())
			if got := status(nil, c.send()); got != want {
				t.Errorf("again: got %s, want %s", got, want)
			}
			c.clock.advance(320 * time.Second)
			if got := status(nil, c.send()); got != protocol.StatusTimestampOutOfBallpark {
				t.Errorf("later: got %s", got)
			}
			if after := c.stored(t.Context()); !reflect.DeepEqual(before, after) {
				t.Errorf("what is refused has changed\n%+v to\n%+v", before, after)
			}
			c.checkEvents()
		})
	}
}

// What one organization has signed is nothing in another, even where the ids and the
// keys are the same but for one.
func TestCertificatesOfAnotherOrganization(t *testing.T) {
	c := newRealmCommand(t)
	c.createOrganization(other)
	foreign := c.bootstrap(other, deviceID("eve@desk"))
	c.ok(c.OrganizationBootstrap(t.Context(), foreign.anonymous, foreign.request()))
	c.clock.advance(time.Second)
	before := c.stored(t.Context())
	eve := c.device(deviceID("eve@desk"))
	eve.Organization = other
	role := c.roleChange(c.alice(), c.realm, carolID, parsec.RoleReader)
	for name, err := range map[string]error{
		"a role":        failure(c.RealmShare(t.Context(), eve, role.shareRequest())),
		"a revocation":  failure(c.UserRevoke(t.Context(), eve, c.revocation(c.alice(), bobID).request())),
		"a device":      failure(c.DeviceCreate(t.Context(), eve, c.deviceCreation(c.alice(), deviceID("alice@desk")).request())),
		"a second user": failure(c.UserCreate(t.Context(), eve, c.userCreation(c.alice(), deviceID("frank@desk"), parsec.ProfileAdmin).request())),
	} {
		if got := status(nil, err); got != protocol.StatusInvalidCertificate {
			t.Errorf("%s: got %s", name, got)
		}
	}
	// Her own certificates name users and realms that her organization has not.
	for name, test := range map[string]struct {
		err  error
		want protocol.Status
	}{
		"revocation": {failure(c.UserRevoke(t.Context(), eve, c.revocation(eve, bobID).request())), protocol.StatusUserNotFound},
		"share":      {failure(c.RealmShare(t.Context(), eve, c.roleChange(eve, c.realm, carolID, parsec.RoleReader).shareRequest())), protocol.StatusRealmNotFound},
	} {
		if got := status(nil, test.err); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	if after := c.stored(t.Context()); !reflect.DeepEqual(before, after) {
		t.Errorf("Acme has changed\n%+v to\n%+v", before, after)
	}
}
