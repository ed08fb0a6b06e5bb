package rules_test

import (
	"bytes"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// realmShare has alice make carol MANAGER.
type realmShare struct {
	realmCommand
	*roleChange
}

func newRealmShare(t *testing.T) *realmShare {
	c := newRealmCommand(t)
	return &realmShare{c, c.roleChange(c.alice(), c.realm, carolID, parsec.RoleManager)}
}

func (s *realmShare) run() error {
	_, err := s.RealmShare(s.t.Context(), s.author, s.shareRequest())
	return err
}

func TestRealmShareTable(t *testing.T) {
	checkTable(t, "realm_share", newRealmShare, realmRows([]row[*realmShare]{
		{"1", "another key", func(s *realmShare) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"2", "too late", func(s *realmShare) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "to oneself", func(s *realmShare) { s.UserID = aliceID }, protocol.StatusInvalidCertificate},
		{"4", "unknown realm", func(s *realmShare) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"5", "deleted", func(s *realmShare) { s.delete() }, protocol.StatusRealmDeleted},
		{"6", "no role", func(s *realmShare) { s.forceRole(aliceID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"7", "unknown recipient", func(s *realmShare) { s.UserID = nobodyID }, protocol.StatusRecipientNotFound},
		{"8", "recipient revoked", func(s *realmShare) { s.forceRevoked(carolID) }, protocol.StatusRecipientRevoked},
		{"9", "role too low", func(s *realmShare) { s.forceRole(aliceID, parsec.RoleManager) }, protocol.StatusAuthorNotAllowed},
		{"10", "recipient is OUTSIDER", func(s *realmShare) { s.forceProfile(carolID, parsec.ProfileOutsider) }, protocol.StatusRoleIncompatibleWithOutsider},
		{"11", "has the role", func(s *realmShare) { s.forceRole(carolID, parsec.RoleManager) }, protocol.StatusRoleAlreadyGranted},
		{"12", "another key index", func(s *realmShare) { s.keyIndex = 2 }, protocol.StatusBadKeyIndex},
		{"13", "not after C", func(s *realmShare) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
	}), append(standingApart,
		[2]string{"unknown realm", "deleted"}, [2]string{"unknown recipient", "recipient revoked"})...)
}

// realmUnshare has alice take the role of bob.
type realmUnshare struct {
	realmCommand
	*roleChange
}

func newRealmUnshare(t *testing.T) *realmUnshare {
	c := newRealmCommand(t)
	return &realmUnshare{c, c.roleChange(c.alice(), c.realm, bobID, parsec.RoleNone)}
}

func (s *realmUnshare) run() error {
	_, err := s.RealmUnshare(s.t.Context(), s.author, s.unshareRequest())
	return err
}

func TestRealmUnshareTable(t *testing.T) {
	checkTable(t, "realm_unshare", newRealmUnshare, realmRows([]row[*realmUnshare]{
		{"1", "another key", func(s *realmUnshare) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"2", "too late", func(s *realmUnshare) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "of oneself", func(s *realmUnshare) { s.UserID = aliceID }, protocol.StatusInvalidCertificate},
		{"4", "unknown realm", func(s *realmUnshare) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"5", "deleted", func(s *realmUnshare) { s.delete() }, protocol.StatusRealmDeleted},
		{"6", "no role", func(s *realmUnshare) { s.forceRole(aliceID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"7", "unknown recipient", func(s *realmUnshare) { s.UserID = nobodyID }, protocol.StatusRecipientNotFound},
		{"8", "role too low", func(s *realmUnshare) { s.forceRole(aliceID, parsec.RoleContributor) }, protocol.StatusAuthorNotAllowed},
		{"9", "has no role", func(s *realmUnshare) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusRecipientAlreadyUnshared},
		{"10", "not after C", func(s *realmUnshare) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
	}), append(standingApart, [2]string{"unknown realm", "deleted"})...)
}

// selfPromotion has bob, CONTRIBUTOR, promote himself once alice is revoked.
type selfPromotion struct {
	realmCommand
	*roleChange
}

func newSelfPromotion(t *testing.T) *selfPromotion {
	c := newRealmCommand(t)
	c.forceRevoked(aliceID)
	c.author = c.bob()
	s := &selfPromotion{c, nil}
	s.roleChange = s.fixture.roleChange(c.author, c.realm, bobID, parsec.RoleOwner)
	s.Timestamp++
	return s
}

func (s *selfPromotion) run() error {
	_, err := s.RealmSelfPromoteToOwner(s.t.Context(), s.author, s.promotionRequest())
	return err
}

func TestRealmSelfPromoteToOwnerTable(t *testing.T) {
	checkTable(t, "realm_self_promote_to_owner", newSelfPromotion, realmRows([]row[*selfPromotion]{
		{"1", "author is OUTSIDER", func(s *selfPromotion) { s.forceProfile(bobID, parsec.ProfileOutsider) }, protocol.StatusAuthorIsOutsider},
		{"2", "another key", func(s *selfPromotion) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"3", "too late", func(s *selfPromotion) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"4", "of somebody else", func(s *selfPromotion) { s.UserID = carolID }, protocol.StatusInvalidCertificate},
		{"5", "unknown realm", func(s *selfPromotion) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"6", "deleted", func(s *selfPromotion) { s.delete() }, protocol.StatusRealmDeleted},
		{"7", "no role", func(s *selfPromotion) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"8", "active owner", func(s *selfPromotion) { s.forceRole(carolID, parsec.RoleOwner) }, protocol.StatusActiveOwnerAlreadyExists},
		{"9", "higher role", func(s *selfPromotion) { s.forceRole(daveID, parsec.RoleManager) }, protocol.StatusAuthorNotAllowed},
		{"10", "not after C", func(s *selfPromotion) { s.forceProfile(malloryID, parsec.ProfileOutsider) }, protocol.StatusRequireGreaterTimestamp},
	}), append(standingApart, [2]string{"unknown realm", "deleted"})...)
}

// The certificates that say what their command may not.
func TestRoleCertificateContents(t *testing.T) {
	for name, test := range map[string]func(t *testing.T) error{
		"share of no role": func(t *testing.T) error { s := newRealmShare(t); s.Role = parsec.RoleNone; return s.run() },
		"share by another device": func(t *testing.T) error {
			s := newRealmShare(t)
			s.Author = alicePhone
			return s.run()
		},
		"unshare with a role": func(t *testing.T) error { s := newRealmUnshare(t); s.Role = parsec.RoleReader; return s.run() },
		"promotion to MANAGER": func(t *testing.T) error {
			s := newSelfPromotion(t)
			s.Role = parsec.RoleManager
			return s.run()
		},
	} {
		if got := status(nil, test(t)); got != protocol.StatusInvalidCertificate {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestRoleTable has an author of every role change every role to every other
// (docs/protocol/v5/commands.md §7).
func TestRoleTable(t *testing.T) {
	roles := []parsec.RealmRole{parsec.RoleNone, parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner}
	manages := func(role parsec.RealmRole) bool { return role == parsec.RoleManager || role == parsec.RoleOwner }
	c := newRealmCommand(t)
	for _, own := range roles {
		for _, present := range roles {
			for _, next := range roles {
				want := protocol.StatusOK
				switch {
				case own == parsec.RoleNone, own == parsec.RoleReader, own == parsec.RoleContributor,
					own == parsec.RoleManager && (manages(present) || manages(next)):
					want = protocol.StatusAuthorNotAllowed
				case present == next && next == parsec.RoleNone:
					want = protocol.StatusRecipientAlreadyUnshared
				case present == next:
					want = protocol.StatusRoleAlreadyGranted
				}
				c.forceRole(bobID, own)
				c.forceRole(carolID, present)
				c.clock.advance(time.Microsecond)
				change := c.roleChange(c.bob(), c.realm, carolID, next)
				change.Timestamp++
				c.clock.advance(time.Millisecond)
				var got protocol.Status
				if next == parsec.RoleNone {
					got = status(c.RealmUnshare(t.Context(), c.bob(), change.unshareRequest()))
				} else {
					got = status(c.RealmShare(t.Context(), c.bob(), change.shareRequest()))
				}
				if got != want {
					t.Errorf("%q changes %q to %q: got %s, want %s", own, present, next, got, want)
				}
			}
		}
	}
}

// An OUTSIDER keeps the roles that it has, may use them, and is given none above
// CONTRIBUTOR.
func TestRolesOfOutsiders(t *testing.T) {
	c := newRealmCommand(t)
	c.share(c.alice(), carolID, parsec.RoleManager)
	c.forceProfile(carolID, parsec.ProfileOutsider)
	c.clock.advance(time.Millisecond)
	c.share(c.device(carolDesk), malloryID, parsec.RoleContributor)
	for _, role := range []parsec.RealmRole{parsec.RoleManager, parsec.RoleOwner} {
		change := c.roleChange(c.alice(), c.realm, malloryID, role)
		if got := status(c.RealmShare(t.Context(), c.alice(), change.shareRequest())); got != protocol.StatusRoleIncompatibleWithOutsider {
			t.Errorf("%s: got %s", role, got)
		}
	}
}

// What shares and unshares must be later than: the common topic, that of the realm, and
// the last vlob in it.
func TestRoleDates(t *testing.T) {
	for name, grow := range map[string]func(c *realmCommand){
		"C": func(c *realmCommand) { c.growCommon() },
		"R": func(c *realmCommand) { c.forceRole(daveID, parsec.RoleReader) },
		"last vlob": func(c *realmCommand) {
			c.clock.advance(time.Millisecond)
			request := c.vlobCreation("vlob")
			c.ok(c.VlobCreate(c.t.Context(), c.bob(), request))
			// A vlob that is older changes nothing.
			older := c.vlobCreation("older vlob")
			older.Timestamp--
			c.ok(c.VlobCreate(c.t.Context(), c.bob(), older))
		},
	} {
		t.Run(name, func(t *testing.T) {
			share := newRealmShare(t)
			grow(&share.realmCommand)
			share.checkDate(&share.Timestamp, share.run)
			unshare := newRealmUnshare(t)
			grow(&unshare.realmCommand)
			unshare.checkDate(&unshare.Timestamp, unshare.run)
			promotion := newSelfPromotion(t)
			grow(&promotion.realmCommand)
			promotion.checkDate(&promotion.Timestamp, promotion.run)
		})
	}
}

// checkDate wants a command to be too early now, and right a microsecond later.
func (c *realmCommand) checkDate(date *parsec.DateTime, run func() error) {
	c.t.Helper()
	last := c.clock.now()
	*date = last
	checkGreater(c.t, run(), last)
	*date = last - 1
	checkGreater(c.t, run(), last)
	*date = last + 1
	c.ok(nil, run())
}

func TestRealmShare(t *testing.T) {
	s := newRealmShare(t)
	s.archive(s.alice(), parsec.ArchivingArchived) // An archived realm may be shared.
	s.Timestamp = s.clock.now()
	s.events.take()
	s.ok(nil, s.run())
	s.checkEvents(notice.RealmCertificate{Timestamp: s.Timestamp, Realm: s.realm, User: carolID})
	got := must(s.keysBundle(s.device(carolDesk), 1))
	if string(got.KeysBundleAccess) != "access of carol" || !bytes.Equal(got.KeysBundle, keyText("bundle", 1)) {
		t.Errorf("got %q", got)
	}
	if certificates := s.realmCertificates(s.device(carolDesk)); !bytes.Equal(certificates[len(certificates)-1], s.shareRequest().RealmRoleCertificate) {
		t.Error("the certificate is not the last one")
	}
	// The access sent with a role that there is already is not stored; one with
	// another role is.
	s.access, s.Timestamp = []byte("another access"), s.Timestamp+1
	s.checkAsOfRealm(s.run(), protocol.StatusRoleAlreadyGranted)
	if got := must(s.keysBundle(s.device(carolDesk), 1)); string(got.KeysBundleAccess) != "access of carol" {
		t.Errorf("got %q", got.KeysBundleAccess)
	}
	s.Role = parsec.RoleReader
	s.ok(nil, s.run())
	if got := must(s.keysBundle(s.device(carolDesk), 1)); string(got.KeysBundleAccess) != "another access" {
		t.Errorf("got %q", got.KeysBundleAccess)
	}
	// After a rotation the access must be to the new key.
	s.clock.advance(time.Second)
	s.rotate()
	s.Role, s.Timestamp = parsec.RoleContributor, s.clock.now()
	s.checkAsOfRealm(s.run(), protocol.StatusBadKeyIndex)
	s.keyIndex = 2
	s.ok(nil, s.run())
}

// A realm without key is not shared, whatever index is given.
func TestRealmShareWithoutKey(t *testing.T) {
	s := newRealmShare(t)
	s.realm = realmID("new")
	s.createRealm(s.alice(), s.realm)
	s.RealmID, s.Timestamp = s.realm, s.clock.now()
	for _, index := range []uint64{0, 1} {
		s.keyIndex = index
		s.checkAsOfRealm(s.run(), protocol.StatusBadKeyIndex)
	}
}

// A revoked user may be removed, and hears the last of the realm then.
func TestRealmUnshare(t *testing.T) {
	s := newRealmUnshare(t)
	s.revoke(bobID)
	s.Timestamp = s.clock.now()
	s.events.take()
	s.ok(nil, s.run())
	s.checkEvents(notice.RealmCertificate{Timestamp: s.Timestamp, Realm: s.realm, User: bobID, RoleRemoved: true})
	s.Timestamp++
	s.checkAsOfRealm(s.run(), protocol.StatusRecipientAlreadyUnshared)
}

// After a removal nothing that the user asks is answered; what it saw it still sees.
func TestInvariant34RemovedMember(t *testing.T) {
	c := newRealmCommand(t)
	c.ok(c.VlobCreate(t.Context(), c.bob(), c.vlobCreation("vlob")))
	c.clock.advance(time.Second)
	c.unshare(c.alice(), bobID)
	seen := len(c.realmCertificates(c.bob()))
	c.rotate()
	for name, err := range map[string]error{
		"read":   failure(c.readBatch(c.bob(), nil, "vlob")),
		"write":  failure(c.VlobCreate(t.Context(), c.bob(), c.vlobCreation("another"))),
		"keys":   failure(c.keysBundle(c.bob(), 1)),
		"change": failure(c.poll(c.bob(), 0)),
	} {
		if got := status(nil, err); got != protocol.StatusAuthorNotAllowed {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if got := len(c.realmCertificates(c.bob())); got != seen || seen != 4 {
		t.Errorf("sees %d certificates, then %d", seen, got)
	}
}

func failure(_ any, err error) error { return err }

// Those who may not act keep nobody from promoting itself.
func TestSelfPromotionIgnoresWhoMayNotAct(t *testing.T) {
	for name, test := range map[string]struct {
		begin func(s *selfPromotion)
		want  protocol.Status
	}{
		"revoked manager":  {func(s *selfPromotion) { s.forceRole(carolID, parsec.RoleManager); s.forceRevoked(carolID) }, protocol.StatusOK},
		"OUTSIDER owner":   {func(s *selfPromotion) { s.outsider(parsec.RoleOwner) }, protocol.StatusOK},
		"OUTSIDER manager": {func(s *selfPromotion) { s.outsider(parsec.RoleManager) }, protocol.StatusOK},
		"equal":            {func(s *selfPromotion) { s.forceRole(carolID, parsec.RoleContributor) }, protocol.StatusOK},
		"lower":            {func(s *selfPromotion) { s.forceRole(carolID, parsec.RoleReader) }, protocol.StatusOK},
		"frozen owner": {func(s *selfPromotion) {
			s.forceRole(carolID, parsec.RoleOwner)
			s.freeze(carolID)
		}, protocol.StatusActiveOwnerAlreadyExists},
		"itself": {func(s *selfPromotion) { s.forceRole(bobID, parsec.RoleOwner) }, protocol.StatusActiveOwnerAlreadyExists},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSelfPromotion(t)
			test.begin(s)
			s.clock.advance(time.Millisecond)
			s.Timestamp = s.clock.now()
			if got := status(nil, s.run()); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func (s *selfPromotion) outsider(role parsec.RealmRole) {
	s.forceRole(carolID, role)
	s.forceProfile(carolID, parsec.ProfileOutsider)
}

func TestSelfPromotion(t *testing.T) {
	s := newSelfPromotion(t)
	s.clock.advance(time.Millisecond)
	s.Timestamp = s.clock.now()
	s.events.take()
	s.ok(nil, s.run())
	s.checkEvents(notice.RealmCertificate{Timestamp: s.Timestamp, Realm: s.realm, User: bobID})
	if got := must(s.keysBundle(s.bob(), 1)); string(got.KeysBundleAccess) != "access of bob" {
		t.Errorf("the access is now %q", got.KeysBundleAccess)
	}
	s.Timestamp++
	s.checkAsOfRealm(s.run(), protocol.StatusActiveOwnerAlreadyExists)
}

// Of many who promote themselves at once, one does.
func TestInvariant23ConcurrentSelfPromotions(t *testing.T) {
	s := newSelfPromotion(t)
	s.forceRole(carolID, parsec.RoleContributor)
	s.forceRole(daveID, parsec.RoleContributor)
	s.clock.advance(time.Millisecond)
	var calls []func() error
	for i, device := range []parsec3.DeviceID{bobLaptop, carolDesk, daveDesk} {
		author := s.device(device)
		change := s.fixture.roleChange(author, s.realm, author.User, parsec.RoleOwner)
		change.Timestamp += parsec.DateTime(i)
		calls = append(calls, func() error {
			return failure(s.RealmSelfPromoteToOwner(t.Context(), author, change.promotionRequest()))
		})
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 1 || got[protocol.StatusActiveOwnerAlreadyExists] != 2 {
		t.Errorf("got %v", got)
	}
}

// Of two OWNERs who take each other's role at once, one does, so that every realm
// keeps one.
func TestInvariant21TwoOwners(t *testing.T) {
	c := newRealmCommand(t)
	c.share(c.alice(), carolID, parsec.RoleOwner)
	carol := c.device(carolDesk)
	first, second := c.roleChange(c.alice(), c.realm, carolID, parsec.RoleNone), c.roleChange(carol, c.realm, aliceID, parsec.RoleNone)
	second.Timestamp++
	got := parallel(
		func() error { return failure(c.RealmUnshare(t.Context(), c.alice(), first.unshareRequest())) },
		func() error { return failure(c.RealmUnshare(t.Context(), carol, second.unshareRequest())) },
	)
	if got[protocol.StatusOK] != 1 || got[protocol.StatusAuthorNotAllowed] != 1 {
		t.Errorf("got %v", got)
	}
	owners := 0
	c.change(func(tx rules.Tx) {
		for _, member := range must(tx.Members(t.Context())) {
			if member.Role == parsec.RoleOwner {
				owners++
			}
		}
	})
	if owners != 1 {
		t.Errorf("%d owners are left", owners)
	}
}
