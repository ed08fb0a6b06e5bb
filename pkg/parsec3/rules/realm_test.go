package rules_test

import (
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// realmCreate has alice create another realm.
type realmCreate struct {
	realmCommand
	*roleChange
}

func newRealmCreate(t *testing.T) *realmCreate {
	c := newRealmCommand(t)
	return &realmCreate{c, c.roleChange(c.alice(), realmID("new"), aliceID, parsec.RoleOwner)}
}

func (s *realmCreate) run() error {
	_, err := s.RealmCreate(s.t.Context(), s.author, s.creationRequest())
	return err
}

func TestRealmCreateTable(t *testing.T) {
	checkTable(t, "realm_create", newRealmCreate, realmRows([]row[*realmCreate]{
		{"1", "author is OUTSIDER", func(s *realmCreate) { s.forceProfile(aliceID, parsec.ProfileOutsider) }, protocol.StatusAuthorNotAllowed},
		{"2", "another key", func(s *realmCreate) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"3", "too late", func(s *realmCreate) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"4", "for somebody else", func(s *realmCreate) { s.UserID = bobID }, protocol.StatusInvalidCertificate},
		{"5", "exists", func(s *realmCreate) { s.RealmID = s.realm }, protocol.StatusRealmAlreadyExists},
		{"6", "not after C", func(s *realmCreate) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
	}), standingApart...)
}

// Every row that has several ways to be violated.
func TestRealmCreateRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		violate func(s *realmCreate)
		want    protocol.Status
	}{
		"another author":     {func(s *realmCreate) { s.Author = alicePhone }, protocol.StatusInvalidCertificate},
		"manager":            {func(s *realmCreate) { s.Role = parsec.RoleManager }, protocol.StatusInvalidCertificate},
		"no role":            {func(s *realmCreate) { s.Role = parsec.RoleNone }, protocol.StatusInvalidCertificate},
		"too early":          {func(s *realmCreate) { s.Timestamp = s.clock.now().Add(300 * time.Second) }, protocol.StatusTimestampOutOfBallpark},
		"exists, of another": {func(s *realmCreate) { s.forceRole(aliceID, parsec.RoleNone); s.RealmID = s.realm }, protocol.StatusRealmAlreadyExists},
		"exists, deleted":    {func(s *realmCreate) { s.delete(); s.RealmID = s.realm }, protocol.StatusRealmAlreadyExists},
	} {
		t.Run(name, func(t *testing.T) {
			checkRow(t, newRealmCreate(t), row[*realmCreate]{"", name, test.violate, test.want})
		})
	}
}

func TestRealmCreate(t *testing.T) {
	s := newRealmCreate(t)
	s.RealmID = s.realm
	s.checkAsOfRealm(s.run(), protocol.StatusRealmAlreadyExists)
	s.RealmID = realmID("new")
	s.growCommon()
	last := s.clock.now()
	s.Timestamp = last
	checkGreater(t, s.run(), last)
	s.Timestamp = last + 1
	s.events.take()
	s.ok(nil, s.run())
	s.checkEvents(notice.RealmCertificate{Timestamp: last + 1, Realm: s.RealmID, User: aliceID})
	s.realm = s.RealmID
	if got := s.facts(); got.KeyIndex != 0 || got.Timestamp != last+1 || got.Named || got.Role != parsec.RoleOwner {
		t.Errorf("got %+v", got)
	}
	if got := s.realmCertificates(s.alice()); len(got) != 1 || !slices.Equal(got[0], s.creationRequest().RealmRoleCertificate) {
		t.Errorf("got %q", got)
	}
}

// Of many who create one realm at once, one does.
func TestInvariant18ConcurrentRealmCreate(t *testing.T) {
	c := newRealmCommand(t)
	realm := realmID("new")
	var calls []func() error
	for _, author := range []func() error{
		func() error {
			_, err := c.RealmCreate(t.Context(), c.alice(), c.roleChange(c.alice(), realm, aliceID, parsec.RoleOwner).creationRequest())
			return err
		},
		func() error {
			_, err := c.RealmCreate(t.Context(), c.bob(), c.roleChange(c.bob(), realm, bobID, parsec.RoleOwner).creationRequest())
			return err
		},
	} {
		calls = append(calls, author, author)
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 1 || got[protocol.StatusRealmAlreadyExists] != 3 {
		t.Errorf("got %v", got)
	}
}

// realmRename has alice name a realm that has no name.
type realmRename struct {
	realmCommand
	*naming
}

func newRealmRename(t *testing.T) *realmRename {
	c := newRealmCommand(t)
	return &realmRename{c, c.naming(c.alice())}
}

func (s *realmRename) run() error {
	_, err := s.RealmRename(s.t.Context(), s.author, s.request())
	return err
}

func (s *realmRename) forceName() {
	signed := s.certificate()
	s.change(func(tx rules.Tx) { tx.NameRealm(signed) })
}

func TestRealmRenameTable(t *testing.T) {
	checkTable(t, "realm_rename", newRealmRename, realmRows([]row[*realmRename]{
		{"1", "another key", func(s *realmRename) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"2", "too late", func(s *realmRename) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "unknown realm", func(s *realmRename) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"4", "deleted", func(s *realmRename) { s.delete() }, protocol.StatusRealmDeleted},
		{"5", "not OWNER", func(s *realmRename) { s.forceRole(aliceID, parsec.RoleManager) }, protocol.StatusAuthorNotAllowed},
		{"6", "another key index", func(s *realmRename) { s.KeyIndex = 2 }, protocol.StatusBadKeyIndex},
		{"7", "has a name", func(s *realmRename) { s.forceName() }, protocol.StatusInitialNameAlreadyExists},
		{"8", "not after C", func(s *realmRename) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
	}), append(standingApart, [2]string{"unknown realm", "deleted"})...)
}

func TestRealmRename(t *testing.T) {
	s := newRealmRename(t)
	s.KeyIndex = 0
	s.checkAsOfRealm(s.run(), protocol.StatusBadKeyIndex)
	s.KeyIndex = 1
	s.archive(s.alice(), parsec.ArchivingArchived) // An archived realm may be named.
	last := s.facts().Timestamp
	s.Timestamp = last
	checkGreater(t, s.run(), last)
	s.growCommon()
	last = s.clock.now()
	checkGreater(t, s.run(), last)
	s.Timestamp = last + 1
	s.events.take()
	s.ok(nil, s.run())
	s.checkEvents(notice.RealmCertificate{Timestamp: last + 1, Realm: s.realm, User: aliceID})
	s.Timestamp++
	s.checkAsOfRealm(s.run(), protocol.StatusInitialNameAlreadyExists)
	s.initialOrFail = false
	s.ok(nil, s.run())
}

// Before the first rotation the key index is 0, for names too.
func TestRealmRenameWithoutKey(t *testing.T) {
	s := newRealmRename(t)
	s.realm = realmID("new")
	s.createRealm(s.alice(), s.realm)
	s.RealmID, s.Timestamp = s.realm, s.clock.now()
	s.checkAsOfRealm(s.run(), protocol.StatusBadKeyIndex)
	s.KeyIndex = 0
	s.ok(nil, s.run())
}

// Of many who give the first name at once, one does.
func TestInvariant30InitialNames(t *testing.T) {
	c := newRealmCommand(t)
	var calls []func() error
	for i := range 8 {
		name := c.naming(c.alice())
		name.Timestamp = name.Timestamp.Add(time.Duration(i) * time.Microsecond)
		calls = append(calls, func() error {
			_, err := c.RealmRename(t.Context(), c.alice(), name.request())
			return err
		})
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 1 || got[protocol.StatusInitialNameAlreadyExists] != 7 {
		t.Errorf("got %v", got)
	}
}
