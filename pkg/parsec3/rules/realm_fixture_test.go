package rules_test

import (
	"crypto/ed25519"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// tooLate is how far from the clock a date is no longer in the window.
const tooLate = -320 * time.Second

var (
	carolID, carolDesk = userID("carol"), deviceID("carol@desk")
	daveID, daveDesk   = userID("dave"), deviceID("dave@desk")
	nobodyID           = userID("nobody")
)

// realmCommand is a command on a realm with one key, of which alice is OWNER and bob
// CONTRIBUTOR; carol and dave (both STANDARD) and mallory (OUTSIDER) have no role.
type realmCommand struct {
	command
	realm parsec.RealmID
}

func newRealmCommand(t testing.TB, changes ...func(*setup)) realmCommand {
	t.Helper()
	f := newFixture(t, changes...)
	f.createUser(f.alice(), carolDesk, parsec.ProfileStandard)
	f.createUser(f.alice(), daveDesk, parsec.ProfileStandard)
	c := realmCommand{command{f, f.alice()}, realmID("shared")}
	f.events.watch(notice.RealmTopic(acme, c.realm), notice.UserTopic(acme, carolID), notice.UserTopic(acme, daveID))
	f.createRealm(f.alice(), c.realm)
	c.rotate()
	c.share(f.alice(), bobID, parsec.RoleContributor)
	f.events.take()
	return c
}

// createRealm lets a second pass, as the other commands here do.
func (f *fixture) createRealm(author *rules.Author, realm parsec.RealmID) {
	f.t.Helper()
	f.ok(f.RealmCreate(f.t.Context(), author, f.roleChange(author, realm, author.User, parsec.RoleOwner).creationRequest()))
	f.clock.advance(time.Second)
}

// rotate has alice add the next key.
func (c *realmCommand) rotate() {
	c.t.Helper()
	c.ok(c.RealmRotateKey(c.t.Context(), c.alice(), c.keyRotation(c.alice()).request()))
	c.clock.advance(time.Second)
}

func (c *realmCommand) share(author *rules.Author, user parsec3.UserID, role parsec.RealmRole) {
	c.t.Helper()
	change := c.roleChange(author, c.realm, user, role)
	change.keyIndex = c.facts().KeyIndex
	c.ok(c.RealmShare(c.t.Context(), author, change.shareRequest()))
	c.clock.advance(time.Second)
}

func (c *realmCommand) unshare(author *rules.Author, user parsec3.UserID) {
	c.t.Helper()
	c.ok(c.RealmUnshare(c.t.Context(), author, c.roleChange(author, c.realm, user, parsec.RoleNone).unshareRequest()))
	c.clock.advance(time.Second)
}

func (c *realmCommand) archive(author *rules.Author, archiving parsec.ArchivingType) {
	c.t.Helper()
	c.ok(c.RealmUpdateArchiving(c.t.Context(), author, c.archiving(author, archiving).request()))
	c.clock.advance(time.Second)
}

// facts returns what the store knows of the realm, as alice sees it.
func (c *realmCommand) facts() rules.Realm {
	c.t.Helper()
	var facts rules.Realm
	c.change(func(tx rules.Tx) {
		if realm, found := tx.Realm(); found {
			facts = *realm
		}
	})
	return facts
}

// change works on the realm beside the rules.
func (c *realmCommand) change(change func(tx rules.Tx)) {
	c.t.Helper()
	scope := rules.Scope{Organization: acme, Common: rules.Shared, Realm: c.realm, RealmLock: rules.Exclusive, Author: aliceLaptop}
	c.ok(nil, c.store.Update(c.t.Context(), scope, func(tx rules.Tx) error { change(tx); return nil }))
}

// The breaks of the tables. Each takes a microsecond, so that several of them may
// follow each other.

func (c *realmCommand) certificate() rules.Certificate {
	c.clock.advance(time.Microsecond)
	return rules.Certificate{Timestamp: c.clock.now(), Author: aliceLaptop, Bytes: []byte("certificate")}
}

func (c *realmCommand) delete() { c.change(rules.Tx.MarkRealmDeleted) }

func (c *realmCommand) forceRole(user parsec3.UserID, role parsec.RealmRole) {
	signed := c.certificate()
	c.change(func(tx rules.Tx) { tx.SetRole(user, role, nil, signed) })
}

func (c *realmCommand) forceArchiving(archiving parsec.ArchivingType) {
	signed := c.certificate()
	c.change(func(tx rules.Tx) { tx.ArchiveRealm(archiving, new(signed.Timestamp), signed) })
}

func (c *realmCommand) changeCommon(change func(tx rules.Tx, signed rules.Certificate)) {
	c.t.Helper()
	signed := c.certificate()
	scope := rules.Scope{Organization: acme, Common: rules.Exclusive, Shamir: rules.Shared}
	c.ok(nil, c.store.Update(c.t.Context(), scope, func(tx rules.Tx) error { change(tx, signed); return nil }))
}

func (c *realmCommand) forceProfile(user parsec3.UserID, profile parsec.UserProfile) {
	c.t.Helper()
	c.changeCommon(func(tx rules.Tx, signed rules.Certificate) { tx.UpdateProfile(user, profile, signed) })
}

func (c *realmCommand) forceRevoked(user parsec3.UserID) {
	c.t.Helper()
	c.changeCommon(func(tx rules.Tx, signed rules.Certificate) { tx.RevokeUser(user, signed) })
}

// growCommon makes the common topic as late as a microsecond from now.
func (c *realmCommand) growCommon() { c.forceProfile(malloryID, parsec.ProfileOutsider) }

// realmScenario is a command on a realm, with the content of its request.
type realmScenario interface {
	scenario
	forceRevoked(user parsec3.UserID)
}

// realmRows puts standingRows before the rows of a table.
func realmRows[S realmScenario](rows []row[S]) []row[S] {
	standing := standingRows[S]()
	standing[len(standing)-1].violate = func(s S) { s.forceRevoked(s.base().author.User) }
	return append(standing, rows...)
}

// roleChange is the content of a role certificate; tests spoil it before it is signed
// with key.
type roleChange struct {
	certificate.RealmRole
	key      ed25519.PrivateKey
	access   []byte
	keyIndex uint64
}

func (f *fixture) roleChange(author *rules.Author, realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole) *roleChange {
	return &roleChange{
		certificate.RealmRole{Author: author.Device, Timestamp: f.clock.now(), RealmID: realm, UserID: user, Role: role},
		signingKey(author.Device), []byte("access of " + nameOf(parsec.UUID(user))), 1,
	}
}

func (c *roleChange) creationRequest() *protocol.RealmCreateRequest {
	return &protocol.RealmCreateRequest{RealmRoleCertificate: must(c.Sign(c.key))}
}

func (c *roleChange) shareRequest() *protocol.RealmShareRequest {
	return &protocol.RealmShareRequest{
		RealmRoleCertificate: must(c.Sign(c.key)), RecipientKeysBundleAccess: c.access, KeyIndex: c.keyIndex,
	}
}

func (c *roleChange) unshareRequest() *protocol.RealmUnshareRequest {
	return &protocol.RealmUnshareRequest{RealmRoleCertificate: must(c.Sign(c.key))}
}

func (c *roleChange) promotionRequest() *protocol.RealmSelfPromoteToOwnerRequest {
	return &protocol.RealmSelfPromoteToOwnerRequest{RealmRoleCertificate: must(c.Sign(c.key))}
}

// keyRotation is the content of a realm_rotate_key.
type keyRotation struct {
	certificate.RealmKeyRotation
	key          ed25519.PrivateKey
	participants map[parsec3.UserID][]byte
	services     map[parsec.SequesterServiceID][]byte
	bundle       []byte
}

// keyRotation adds the next key, for all members and services of now.
func (c *realmCommand) keyRotation(author *rules.Author) *keyRotation {
	c.t.Helper()
	rotation := &keyRotation{
		RealmKeyRotation: certificate.RealmKeyRotation{
			Author: author.Device, Timestamp: c.clock.now(), RealmID: c.realm, KeyCanary: []byte("canary"),
		},
		key: signingKey(author.Device), participants: map[parsec3.UserID][]byte{},
	}
	c.change(func(tx rules.Tx) {
		if realm, found := tx.Realm(); found {
			rotation.KeyIndex = realm.KeyIndex + 1
		}
		for _, member := range must(tx.Members(c.t.Context())) {
			rotation.participants[member.User] = keyText("access of "+nameOf(parsec.UUID(member.User)), rotation.KeyIndex)
		}
		if o, _ := tx.Organization(); o.Sequestered() {
			rotation.services = map[parsec.SequesterServiceID][]byte{}
		}
	})
	rotation.bundle = keyText("bundle", rotation.KeyIndex)
	if rotation.services != nil {
		for _, service := range must(c.store.SequesterServices(c.t.Context(), acme)) {
			if service.RevokedOn == nil {
				rotation.services[service.ID] = keyText("access of "+service.Label, rotation.KeyIndex)
			}
		}
	}
	return rotation
}

// keyText is what stands for the encrypted things of a key.
func keyText(what string, index uint64) []byte { return append([]byte(what+" "), '0'+byte(index)) }

func (r *keyRotation) request() *protocol.RealmRotateKeyRequest {
	return &protocol.RealmRotateKeyRequest{
		RealmKeyRotationCertificate: must(r.Sign(r.key)), PerParticipantKeysBundleAccess: r.participants,
		PerSequesterServiceKeysBundleAccess: r.services, KeysBundle: r.bundle,
	}
}

// naming is the content of a realm_rename.
type naming struct {
	certificate.RealmName
	key           ed25519.PrivateKey
	initialOrFail bool
}

func (c *realmCommand) naming(author *rules.Author) *naming {
	return &naming{certificate.RealmName{
		Author: author.Device, Timestamp: c.clock.now(), RealmID: c.realm, KeyIndex: 1, EncryptedName: []byte("name"),
	}, signingKey(author.Device), true}
}

func (n *naming) request() *protocol.RealmRenameRequest {
	return &protocol.RealmRenameRequest{RealmNameCertificate: must(n.Sign(n.key)), InitialNameOrFail: n.initialOrFail}
}

// archiving is the content of an archiving certificate.
type archiving struct {
	certificate.RealmArchiving
	key ed25519.PrivateKey
}

// archiving leaves as long as it must to a planned deletion.
func (c *realmCommand) archiving(author *rules.Author, kind parsec.ArchivingType) *archiving {
	a := &archiving{certificate.RealmArchiving{
		Author: author.Device, Timestamp: c.clock.now(), RealmID: c.realm, Type: kind,
	}, signingKey(author.Device)}
	if kind == parsec.ArchivingDeletionPlanned {
		a.DeletionDate = new(a.Timestamp.Add(30 * 24 * time.Hour))
	}
	return a
}

func (a *archiving) request() *protocol.RealmUpdateArchivingRequest {
	return &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: must(a.Sign(a.key))}
}

// checkEvents wants these events, in this order, and no other; their ids do not
// matter.
func (f *fixture) checkEvents(want ...event.Body) {
	f.t.Helper()
	if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
		f.t.Errorf("told %+v, want %+v", got, want)
	}
}

// checkGreater wants a refusal that asks for a date after another, and nothing less.
func checkGreater(t testing.TB, err error, than parsec.DateTime) {
	t.Helper()
	if got := status(nil, err); got != protocol.StatusRequireGreaterTimestamp {
		t.Errorf("got %s, want a date after %s", got, than)
	} else if got := detailsOf[protocol.RequireGreaterTimestampDetails](err).StrictlyGreaterThan; got != than {
		t.Errorf("must be after %s, want %s", got, than)
	}
}

// checkAsOfRealm wants a refusal with the date of the realm's last certificate.
func (c *realmCommand) checkAsOfRealm(err error, want protocol.Status) {
	c.t.Helper()
	if got := status(nil, err); got != want {
		c.t.Errorf("got %s, want %s", got, want)
	}
	if got := detailsOf[protocol.LastRealmDetails](err).Timestamp; got != c.facts().Timestamp {
		c.t.Errorf("%s: as of %s, want %s", want, got, c.facts().Timestamp)
	}
}

// realmCertificates are those that the author's user sees of the realm.
func (c *realmCommand) realmCertificates(author *rules.Author) [][]byte {
	c.t.Helper()
	_, certificates, err := c.store.Certificates(c.t.Context(), acme, author.Device, rules.CertificatesAfter{}, 1<<30)
	c.ok(nil, err)
	return certificates.Realms[c.realm]
}

// keysBundle asks for the keys of an index.
func (c *realmCommand) keysBundle(author *rules.Author, index uint64) (*protocol.RealmGetKeysBundleReply, error) {
	return c.RealmGetKeysBundle(c.t.Context(), author, &protocol.RealmGetKeysBundleRequest{RealmID: c.realm, KeyIndex: index})
}
