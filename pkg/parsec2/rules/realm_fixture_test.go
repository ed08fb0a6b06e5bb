package rules_test

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// row is one row of a table of errors: how to break it, and what it answers.
type row[Scenario any] struct {
	name   string
	status protocol.Status
	breaks func(Scenario)
	// undoes names former rows that hold again once this one is broken.
	undoes []string
}

// exerciseTable checks that the command succeeds, then that it is refused by
// each row alone, and by the first of every two.
func exerciseTable[Scenario any](t *testing.T, begin func(t *testing.T) Scenario, run func(Scenario) error, rows []row[Scenario]) {
	t.Helper()
	t.Run("ok", func(t *testing.T) {
		if got := status(nil, run(begin(t))); got != protocol.StatusOK {
			t.Errorf("got %s", got)
		}
	})
	for i, first := range rows {
		t.Run(first.name, func(t *testing.T) {
			s := begin(t)
			first.breaks(s)
			if got := status(nil, run(s)); got != first.status {
				t.Errorf("got %s, want %s", got, first.status)
			}
		})
		for _, second := range rows[i+1:] {
			if slices.Contains(second.undoes, first.name) {
				continue
			}
			t.Run(fmt.Sprintf("%s before %s", first.name, second.name), func(t *testing.T) {
				s := begin(t)
				first.breaks(s)
				second.breaks(s)
				if got := status(nil, run(s)); got != first.status {
					t.Errorf("got %s, want %s", got, first.status)
				}
			})
		}
	}
}

// realmScenario is a realm of which alice is OWNER, bob CONTRIBUTOR, and where
// mallory has no role. Tests break it under the feet of the rules.
type realmScenario struct {
	*fixture
	realm parsec.RealmID
	// author is who will send the command under test.
	author *rules.Author
}

var (
	unknownRealm = parsec.RealmID(testUUID(0xdead))
	unknownVlob  = parsec.VlobID(testUUID(0xdead))
	unknownBlock = parsec.BlockID(testUUID(0xdead))
)

func testUUID(n uint16) parsec.UUID { return parsec.UUID{0: byte(n >> 8), 15: byte(n)} }

func newRealmScenario(t testing.TB, changes ...func(*setup)) *realmScenario {
	t.Helper()
	f := newFixture(t, changes...)
	s := &realmScenario{fixture: f, realm: f.createRealm(f.alice(), 1), author: f.alice()}
	s.grant(f.alice(), bobID.User(), parsec.RoleContributor)
	f.events.take()
	f.events.watch(notice.RealmTopic(acme, s.realm))
	return s
}

// createRealm returns the realm of number n, and lets a second pass.
func (f *fixture) createRealm(author *rules.Author, n uint16) parsec.RealmID {
	f.t.Helper()
	realm := parsec.RealmID(testUUID(n))
	f.ok(f.RealmCreate(f.t.Context(), author, f.roleChange(author, realm, author.User(), parsec.RoleOwner).creation()))
	f.clock.advance(time.Second)
	return realm
}

// grant lets a second pass.
func (s *realmScenario) grant(author *rules.Author, user parsec.UserID, role parsec.RealmRole) {
	s.t.Helper()
	s.ok(s.RealmUpdateRoles(s.t.Context(), author, s.roleChange(author, s.realm, user, role).update()))
	s.clock.advance(time.Second)
}

// roleChange is the content of a role certificate; tests spoil it before it is
// signed with key.
type roleChange struct {
	certificate.RealmRole
	key     ed25519.PrivateKey
	message []byte
}

func (f *fixture) roleChange(author *rules.Author, realm parsec.RealmID, user parsec.UserID, role parsec.RealmRole) *roleChange {
	return &roleChange{
		RealmRole: certificate.RealmRole{
			Author: author.Device, Timestamp: f.clock.now(), RealmID: realm, UserID: user, Role: role,
		},
		key: signingKey(author.Device),
	}
}

func (c *roleChange) creation() *protocol.RealmCreateRequest {
	return &protocol.RealmCreateRequest{RoleCertificate: must(c.Sign(c.key))}
}

func (c *roleChange) update() *protocol.RealmUpdateRolesRequest {
	return &protocol.RealmUpdateRolesRequest{RoleCertificate: must(c.Sign(c.key)), RecipientMessage: c.message}
}

// archivingChange is the content of an archiving certificate.
type archivingChange struct {
	certificate.RealmArchiving
	key ed25519.PrivateKey
}

// archivingChange leaves 31 days to a planned deletion.
func (f *fixture) archivingChange(author *rules.Author, realm parsec.RealmID, kind parsec.ArchivingType) *archivingChange {
	c := &archivingChange{
		RealmArchiving: certificate.RealmArchiving{
			Author: author.Device, Timestamp: f.clock.now(), RealmID: realm, Type: kind,
		},
		key: signingKey(author.Device),
	}
	if kind == parsec.ArchivingDeletionPlanned {
		date := c.Timestamp.Add(31 * 24 * time.Hour)
		c.DeletionDate = &date
	}
	return c
}

func (c *archivingChange) request() *protocol.RealmUpdateArchivingRequest {
	return &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: must(c.Sign(c.key))}
}

// archive lets a second pass.
func (s *realmScenario) archive(author *rules.Author, kind parsec.ArchivingType) {
	s.t.Helper()
	s.ok(s.RealmUpdateArchiving(s.t.Context(), author, s.archivingChange(author, s.realm, kind).request()))
	s.clock.advance(time.Second)
}

// vlobCreation returns what author would send for the vlob of number n.
func (s *realmScenario) vlobCreation(n uint16) *protocol.VlobCreateRequest {
	return &protocol.VlobCreateRequest{
		RealmID: s.realm, EncryptionRevision: 1, VlobID: parsec.VlobID(testUUID(n)),
		Timestamp: s.clock.now(), Blob: fmt.Appendf(nil, "vlob %d v1", n),
	}
}

func (s *realmScenario) vlobUpdate(n uint16, version uint32) *protocol.VlobUpdateRequest {
	return &protocol.VlobUpdateRequest{
		EncryptionRevision: 1, VlobID: parsec.VlobID(testUUID(n)), Version: version,
		Timestamp: s.clock.now(), Blob: fmt.Appendf(nil, "vlob %d v%d", n, version),
	}
}

// createVlob creates the vlob of number n as alice, and lets a second pass.
func (s *realmScenario) createVlob(n uint16) parsec.VlobID {
	s.t.Helper()
	s.ok(s.VlobCreate(s.t.Context(), s.alice(), s.vlobCreation(n)))
	s.clock.advance(time.Second)
	return parsec.VlobID(testUUID(n))
}

func (s *realmScenario) updateVlob(n uint16, version uint32) {
	s.t.Helper()
	s.ok(s.VlobUpdate(s.t.Context(), s.alice(), s.vlobUpdate(n, version)))
	s.clock.advance(time.Second)
}

func (s *realmScenario) blockCreation(n uint16, block string) *protocol.BlockCreateRequest {
	return &protocol.BlockCreateRequest{BlockID: parsec.BlockID(testUUID(n)), RealmID: s.realm, Block: []byte(block)}
}

// reencryption returns the start of the reencryption to revision by alice, with
// the messages of the participants of a new scenario.
func (s *realmScenario) reencryption(revision uint64) *protocol.RealmStartReencryptionRequest {
	return &protocol.RealmStartReencryptionRequest{
		RealmID: s.realm, EncryptionRevision: revision, Timestamp: s.clock.now(),
		PerParticipantMessage: map[parsec.UserID][]byte{
			aliceID.User(): []byte("for alice"), bobID.User(): []byte("for bob"),
		},
	}
}

// saveBytes is what saves a batch of the tests, and more.
const saveBytes = 2 << 20

// startReencryption lets a second pass.
func (s *realmScenario) startReencryption(revision uint64) {
	s.t.Helper()
	s.ok(s.RealmStartReencryption(s.t.Context(), s.alice(), s.reencryption(revision)))
	s.clock.advance(time.Second)
}

// saveAll reencrypts whatever is left.
func (s *realmScenario) saveAll(revision uint64) *protocol.VlobSaveReencryptionBatchReply {
	s.t.Helper()
	batch := must(s.VlobGetReencryptionBatch(s.t.Context(), s.alice(), &protocol.VlobGetReencryptionBatchRequest{
		RealmID: s.realm, EncryptionRevision: revision, Size: 1000,
	}, saveBytes)).Batch
	for i := range batch {
		batch[i].Blob = fmt.Appendf(nil, "%s, revision %d", batch[i].Blob, revision)
	}
	return must(s.VlobSaveReencryptionBatch(s.t.Context(), s.alice(), &protocol.VlobSaveReencryptionBatchRequest{
		RealmID: s.realm, EncryptionRevision: revision, Batch: batch,
	}))
}

// What follows breaks the realm without its rules.

func (s *realmScenario) change(scope rules.Scope, effects func(tx rules.Tx)) {
	s.t.Helper()
	scope.Organization = acme
	err := s.store.Update(s.t.Context(), scope, func(tx rules.Tx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.clock.advance(time.Millisecond)
}

func (s *realmScenario) changeRealm(effects func(tx rules.Tx, realm *rules.Realm)) {
	s.t.Helper()
	s.change(rules.Scope{Author: aliceID, Realm: s.realm, By: rules.RealmExclusive}, func(tx rules.Tx) {
		realm, _ := tx.Realm()
		effects(tx, realm)
	})
}

// setRole grants a role, dated later than now by ahead.
func (s *realmScenario) setRole(user parsec.UserID, role parsec.RealmRole, ahead time.Duration) {
	s.t.Helper()
	s.changeRealm(func(tx rules.Tx, _ *rules.Realm) {
		tx.AddRole(rules.RoleCertificate{
			Realm: s.realm, User: user, Role: role, Certificate: []byte("role"), Author: aliceID,
			CertifiedOn: s.clock.now().Add(ahead),
		})
	})
}

// setArchiving plans a deletion at now + in.
func (s *realmScenario) setArchiving(kind parsec.ArchivingType, in time.Duration) {
	s.t.Helper()
	s.changeRealm(func(tx rules.Tx, _ *rules.Realm) {
		archiving := rules.Archiving{Type: kind, ConfiguredOn: s.clock.now(), ConfiguredBy: aliceID}
		if kind == parsec.ArchivingDeletionPlanned {
			date := s.clock.now().Add(in)
			archiving.DeletionDate = &date
		}
		tx.AddArchiving(archiving, []byte("archiving"))
	})
}

func (s *realmScenario) setMaintenance(kind parsec.MaintenanceType) {
	s.t.Helper()
	s.changeRealm(func(tx rules.Tx, _ *rules.Realm) {
		tx.StartMaintenance(rules.Maintenance{Type: kind, StartedOn: s.clock.now(), StartedBy: aliceID})
	})
}

func (s *realmScenario) setRevoked(user parsec.UserID) {
	s.t.Helper()
	s.change(rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		tx.RevokeUser(user, rules.Revocation{Certificate: []byte("revoked"), Certifier: aliceID, On: s.clock.now()})
	})
}

func (s *realmScenario) setVlob(n uint16) {
	s.t.Helper()
	scope := rules.Scope{Author: aliceID, Realm: s.realm, Vlob: parsec.VlobID(testUUID(n)), By: rules.RealmVlobCreate}
	s.change(scope, func(tx rules.Tx) {
		realm, _ := tx.Realm()
		tx.WriteVlob(rules.VlobVersion{
			Version: 1, Blob: []byte("vlob"), Author: aliceID, Timestamp: s.clock.now(),
		}, realm.Checkpoint+1, nil)
	})
}

func (s *realmScenario) setBlock(n uint16) {
	s.t.Helper()
	id := parsec.BlockID(testUUID(n))
	s.change(rules.Scope{Realm: s.realm, Block: id, By: rules.RealmData}, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{
			ID: id, Realm: s.realm, Author: aliceID, Size: 5, CreatedOn: s.clock.now(),
		})
	})
}

// Rows in common, on a command by alice. breakOwner takes away what OWNER may
// do and MANAGER not.
func (s *realmScenario) breakDeleted()     { s.setArchiving(parsec.ArchivingDeletionPlanned, 0) }
func (s *realmScenario) breakArchived()    { s.setArchiving(parsec.ArchivingArchived, 0) }
func (s *realmScenario) breakMaintenance() { s.setMaintenance(parsec.MaintenanceGarbageCollection) }
func (s *realmScenario) breakOwner()       { s.setRole(aliceID.User(), parsec.RoleManager, 0) }
func (s *realmScenario) breakWriter()      { s.setRole(aliceID.User(), parsec.RoleReader, 0) }
func (s *realmScenario) breakReader()      { s.setRole(aliceID.User(), parsec.RoleNone, 0) }

// breakCausality dates alice's present role a minute ahead.
func (s *realmScenario) breakCausality() {
	var role parsec.RealmRole
	s.changeRealm(func(_ rules.Tx, realm *rules.Realm) { role = realm.Member.Role })
	s.setRole(aliceID.User(), role, time.Minute)
}

// checkEvents takes the events, which must be these.
func (s *realmScenario) checkEvents(want ...event.Event) {
	s.t.Helper()
	if got := s.events.take(); !slices.EqualFunc(got, want, func(x, y event.Event) bool { return reflect.DeepEqual(x, y) }) {
		s.t.Errorf("got events %+v, want %+v", got, want)
	}
}

// newInstance is other rules over the stores of f.
func newInstance(f *fixture) *rules.Rules {
	return rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, slog.New(slog.DiscardHandler), rules.Options{})
}

// by returns an event of Acme.
func by(author *rules.Author, body event.Body) event.Event {
	return event.Event{Organization: acme, Author: author.Device, Body: body}
}
