package rules_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

func TestRealmUpdateRolesTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		*roleChange
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s := newRealmScenario(t)
		return &scenario{s, s.roleChange(s.author, s.realm, bobID.User(), parsec.RoleReader)}
	}, func(s *scenario) error {
		_, err := s.RealmUpdateRoles(s.t.Context(), s.author, s.update())
		return err
	}, []row[*scenario]{
		{"1 outsider", protocol.StatusNotAllowed, func(s *scenario) { s.author = s.mallory() }, nil},
		{"2 key", protocol.StatusInvalidCertification, func(s *scenario) { s.key = signingKey(bobID) }, nil},
		{"3 date", protocol.StatusBadTimestamp, func(s *scenario) { s.Timestamp = s.clock.now().Add(-330 * time.Second) }, nil},
		{"4 own role", protocol.StatusInvalidData, func(s *scenario) { s.UserID = aliceID.User() }, nil},
		{"5 unknown user", protocol.StatusNotFound, func(s *scenario) { s.UserID = userID("nobody") }, []string{"4 own role"}},
		{"6 profile", protocol.StatusIncompatibleProfile, func(s *scenario) {
			s.UserID, s.Role = malloryID.User(), parsec.RoleManager
		}, []string{"4 own role", "5 unknown user"}},
		{"6 profile of an owner", protocol.StatusIncompatibleProfile, func(s *scenario) {
			s.UserID, s.Role = malloryID.User(), parsec.RoleOwner
		}, []string{"4 own role", "5 unknown user"}},
		{"7 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"8 revoked", protocol.StatusUserRevoked, func(s *scenario) {
			if s.UserID != userID("nobody") {
				s.setRevoked(s.UserID)
			}
		}, nil},
		{"9 unknown realm", protocol.StatusNotFound, func(s *scenario) { s.RealmID = unknownRealm }, []string{"7 deleted"}},
		{"10 maintenance", protocol.StatusInMaintenance, func(s *scenario) { s.breakMaintenance() }, nil},
		{"11 role", protocol.StatusNotAllowed, func(s *scenario) { s.breakWriter() }, nil},
		{"12 granted", protocol.StatusAlreadyGranted, func(s *scenario) {
			if s.UserID != userID("nobody") {
				s.setRole(s.UserID, s.Role, -time.Minute)
				s.setRole(s.UserID, s.Role, 0)
			}
		}, nil},
		{"13 causality", protocol.StatusRequireGreaterTimestamp, func(s *scenario) {
			if s.UserID != userID("nobody") {
				s.changeRealm(func(tx rules.Tx, _ *rules.Realm) { tx.TouchRoleChange(s.UserID, s.Timestamp) })
			}
		}, nil},
	})
}

// TestRoleRightsOfManagers covers, with real state, what TestRoleChanges
// covers without.
func TestRoleRightsOfManagers(t *testing.T) {
	for _, test := range []struct {
		present, wanted parsec.RealmRole
		want            protocol.Status
	}{
		{parsec.RoleNone, parsec.RoleContributor, protocol.StatusOK},
		{parsec.RoleContributor, parsec.RoleNone, protocol.StatusOK},
		{parsec.RoleReader, parsec.RoleManager, protocol.StatusNotAllowed},
		{parsec.RoleManager, parsec.RoleReader, protocol.StatusNotAllowed},
		{parsec.RoleOwner, parsec.RoleNone, protocol.StatusNotAllowed},
		{parsec.RoleNone, parsec.RoleNone, protocol.StatusAlreadyGranted},
	} {
		t.Run(string(test.present)+" to "+string(test.wanted), func(t *testing.T) {
			s := newRealmScenario(t)
			s.grant(s.alice(), bobID.User(), parsec.RoleManager)
			carol := s.createUser(s.alice(), carolID, parsec.ProfileStandard)
			if test.present != parsec.RoleNone {
				s.grant(s.alice(), carol.User(), test.present)
			}
			change := s.roleChange(s.bob(), s.realm, carol.User(), test.wanted)
			if got := status(s.RealmUpdateRoles(t.Context(), s.bob(), change.update())); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestRoleCausalityOfCommands checks that the dates of TestRoleCausality come
// from the commands that are said to set them.
func TestRoleCausalityOfCommands(t *testing.T) {
	for name, test := range map[string]struct {
		// prepare returns the date that the change of bob must be after.
		prepare func(s *realmScenario) parsec.DateTime
		wanted  parsec.RealmRole
		author  func(*fixture) *rules.Author
	}{
		"C3 archiving": {func(s *realmScenario) parsec.DateTime {
			s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
			date := s.clock.now()
			s.archive(s.bob(), parsec.ArchivingArchived)
			return date
		}, parsec.RoleManager, (*fixture).alice},
		"C4 removal": {func(s *realmScenario) parsec.DateTime {
			date := s.clock.now()
			s.grant(s.alice(), bobID.User(), parsec.RoleNone)
			return date
		}, parsec.RoleManager, (*fixture).alice},
		"C5 vlob_create": {func(s *realmScenario) parsec.DateTime {
			date := s.clock.now()
			s.ok(s.VlobCreate(s.t.Context(), s.bob(), s.vlobCreation(1)))
			s.clock.advance(time.Second)
			return date
		}, parsec.RoleReader, (*fixture).alice},
		"C5 vlob_update": {func(s *realmScenario) parsec.DateTime {
			s.createVlob(1)
			date := s.clock.now()
			s.ok(s.VlobUpdate(s.t.Context(), s.bob(), s.vlobUpdate(1, 2)))
			s.clock.advance(time.Second)
			return date
		}, parsec.RoleNone, (*fixture).alice},
		"C6 role change": {func(s *realmScenario) parsec.DateTime {
			s.grant(s.alice(), bobID.User(), parsec.RoleManager)
			date := s.clock.now()
			s.grant(s.bob(), malloryID.User(), parsec.RoleReader)
			return date
		}, parsec.RoleContributor, (*fixture).alice},
		"C9 author": {func(s *realmScenario) parsec.DateTime {
			s.createUser(s.alice(), carolID, parsec.ProfileStandard)
			date := s.clock.now()
			s.grant(s.alice(), carolID.User(), parsec.RoleOwner)
			return date
		}, parsec.RoleManager, func(f *fixture) *rules.Author { return f.author(acme, carolID, parsec.ProfileStandard) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRealmScenario(t)
			last := test.prepare(s)
			s.events.take()
			author := test.author(s.fixture)
			change := s.roleChange(author, s.realm, bobID.User(), test.wanted)
			change.message = []byte("message")
			change.Timestamp = last
			_, err := s.RealmUpdateRoles(t.Context(), author, change.update())
			checkRequireGreater(t, err, last)
			s.checkEvents()
			change.Timestamp = last + 1
			if got := status(s.RealmUpdateRoles(t.Context(), author, change.update())); got != protocol.StatusOK {
				t.Errorf("a microsecond later: got %s", got)
			}
		})
	}
}

func checkRequireGreater(t *testing.T, err error, date parsec.DateTime) {
	t.Helper()
	if got := status(nil, err); got != protocol.StatusRequireGreaterTimestamp {
		t.Fatalf("got %s", got)
	}
	refusal, _ := errors.AsType[*protocol.Refusal](err)
	details := refusal.Details.(*protocol.RequireGreaterTimestampDetails)
	if details.StrictlyGreaterThan != date {
		t.Errorf("must be after %s, want %s", details.StrictlyGreaterThan, date)
	}
}

// TestRealmUpdateRolesEffects covers grants, changes and removals, with and
// without message, on an archived realm.
func TestRealmUpdateRolesEffects(t *testing.T) {
	s := newRealmScenario(t)
	s.archive(s.alice(), parsec.ArchivingArchived)
	s.events.take()
	mallory := malloryID.User()
	for i, role := range []parsec.RealmRole{parsec.RoleReader, parsec.RoleContributor, parsec.RoleNone} {
		change := s.roleChange(s.alice2(), s.realm, mallory, role)
		change.message = []byte("message " + string(role))
		index := uint64(i + 1)
		s.ok(s.RealmUpdateRoles(t.Context(), s.alice2(), change.update()))
		s.checkEvents(
			by(s.alice2(), notice.RealmRolesUpdated{Realm: s.realm, User: mallory, Role: role}),
			by(s.alice2(), notice.MessageReceived{Recipient: mallory, Index: index}),
		)
		messages := must(s.MessageGet(t.Context(), s.mallory(), &protocol.MessageGetRequest{Offset: index - 1})).Messages
		if len(messages) != 1 || messages[0].Count != index || messages[0].Sender != alice2ID ||
			messages[0].Timestamp != change.Timestamp || string(messages[0].Body) != string(change.message) {
			t.Errorf("%q: got messages %+v", role, messages)
		}
		s.clock.advance(time.Second)
	}
	for name, message := range map[string][]byte{"nil": nil, "empty": {}} {
		role := parsec.RoleReader
		if name == "empty" {
			role = parsec.RoleNone
		}
		change := s.roleChange(s.alice2(), s.realm, bobID.User(), role)
		change.message = message
		s.ok(s.RealmUpdateRoles(t.Context(), s.alice2(), change.update()))
		s.checkEvents(by(s.alice2(), notice.RealmRolesUpdated{Realm: s.realm, User: bobID.User(), Role: role}))
		s.clock.advance(time.Second)
		if role == parsec.RoleReader {
			s.grant(s.alice(), bobID.User(), parsec.RoleContributor)
			s.events.take()
		}
	}
}

// TestRoleCertificatesAreKept covers invariant 17 for realms: what is stored
// is what was sent.
func TestRoleCertificatesAreKept(t *testing.T) {
	s := newRealmScenario(t)
	change := s.roleChange(s.alice(), s.realm, malloryID.User(), parsec.RoleReader).update()
	sent := slices.Clone(change.RoleCertificate)
	s.ok(s.RealmUpdateRoles(t.Context(), s.alice(), change))
	clear(change.RoleCertificate) // The message that it came from is reused.
	got := must(s.RealmGetRoleCertificates(t.Context(), s.mallory(), &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm}))
	if len(got.Certificates) != 3 || !slices.Equal(got.Certificates[2], sent) {
		t.Errorf("got %d certificates, the last one changed", len(got.Certificates))
	}
}
