package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// The invariants of docs/protocol/commands.md §10 on realms, roles and
// archiving. Those that no test is named after are rows of a table.

// rounds is how often two racing commands are tried: either may win.
const rounds = 10

// call makes a command of what parallel runs.
func call[Request, Reply any](s *realmScenario, command func(*realmScenario, *rules.Author, Request) (Reply, error), author *rules.Author, request Request) func() error {
	return func() error {
		_, err := command(s, author, request)
		return err
	}
}

func updateRoles(s *realmScenario, author *rules.Author, change *roleChange) (*protocol.EmptyReply, error) {
	return s.RealmUpdateRoles(s.t.Context(), author, change.update())
}

func updateArchiving(s *realmScenario, author *rules.Author, change *archivingChange) (*protocol.EmptyReply, error) {
	return s.RealmUpdateArchiving(s.t.Context(), author, change.request())
}

func createVlob(s *realmScenario, author *rules.Author, request *protocol.VlobCreateRequest) (*protocol.EmptyReply, error) {
	return s.VlobCreate(s.t.Context(), author, request)
}

// both runs two commands at once.
func both(first, second func() error) [2]protocol.Status {
	var outcomes [2]protocol.Status
	parallel(
		func() error { outcomes[0] = status(nil, first()); return nil },
		func() error { outcomes[1] = status(nil, second()); return nil },
	)
	return outcomes
}

// checkEither wants one of the outcomes of the two serial orders.
func checkEither(t *testing.T, got [2]protocol.Status, orders ...[2]protocol.Status) {
	t.Helper()
	if !slices.Contains(orders, got) {
		t.Fatalf("got %v, want one of %v", got, orders)
	}
}

func (s *realmScenario) roleCertificates() []rules.RoleCertificate {
	s.t.Helper()
	for _, user := range []parsec.UserID{aliceID.User(), bobID.User()} { // whoever has a role
		_, roles, _, err := s.store.RoleCertificates(s.t.Context(), acme, s.realm, user)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(roles) > 0 {
			return roles
		}
	}
	return nil
}

func (s *realmScenario) roleOf(user parsec.UserID) parsec.RealmRole {
	s.t.Helper()
	realm, _, err := s.store.Realm(s.t.Context(), acme, s.realm, user)
	if err != nil {
		s.t.Fatal(err)
	}
	return realm.Member.Role
}

func TestInvariant18RealmCreatedOnce(t *testing.T) {
	s := newRealmScenario(t)
	s.realm = parsec.RealmID(testUUID(2))
	var calls []func() error
	for i := range 10 {
		author := []*rules.Author{s.alice(), s.bob()}[i%2]
		calls = append(calls, func() error {
			_, err := s.RealmCreate(t.Context(), author, s.roleChange(author, s.realm, author.User(), parsec.RoleOwner).creation())
			return err
		})
	}
	got := parallel(calls...)
	if got[protocol.StatusOK] != 1 || got[protocol.StatusAlreadyExists] != 9 {
		t.Errorf("got %v", got)
	}
	changes, err := s.store.RoleChanges(t.Context(), acme) // Whoever created it.
	s.ok(changes, err)
	changes = slices.DeleteFunc(changes, func(c rules.RoleCertificate) bool { return c.Realm != s.realm })
	if len(changes) != 1 {
		t.Errorf("%d role certificates", len(changes))
	}
}

func TestInvariant19RolesOfOneUserAreSerial(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		s.grant(s.alice(), malloryID.User(), parsec.RoleReader)
		same := both(
			call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleReader)),
			call(s, updateRoles, s.alice2(), s.roleChange(s.alice2(), s.realm, bobID.User(), parsec.RoleReader)),
		)
		checkEither(t, same,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusAlreadyGranted},
			[2]protocol.Status{protocol.StatusAlreadyGranted, protocol.StatusOK})
		distinct := both(
			call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, malloryID.User(), parsec.RoleContributor)),
			call(s, updateRoles, s.alice2(), s.roleChange(s.alice2(), s.realm, malloryID.User(), parsec.RoleNone)),
		)
		checkEither(t, distinct,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
			[2]protocol.Status{protocol.StatusRequireGreaterTimestamp, protocol.StatusOK})
		latest := map[parsec.UserID]parsec.DateTime{}
		for _, role := range s.roleCertificates() {
			if role.CertifiedOn <= latest[role.User] {
				t.Fatalf("two role certificates of %s at %s", role.User, role.CertifiedOn)
			}
			latest[role.User] = role.CertifiedOn
		}
	}
}

func TestInvariant20RightsAtCommit(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		s.grant(s.alice(), bobID.User(), parsec.RoleManager)
		removal := s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleNone)
		removal.Timestamp++
		got := both(
			call(s, updateRoles, s.alice(), removal),
			call(s, updateRoles, s.bob(), s.roleChange(s.bob(), s.realm, malloryID.User(), parsec.RoleReader)),
		)
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusNotAllowed},
			[2]protocol.Status{protocol.StatusOK, protocol.StatusOK})
		if given := s.roleOf(malloryID.User()) == parsec.RoleReader; given != (got[1] == protocol.StatusOK) {
			t.Fatalf("%v, and the role is given: %t", got, given)
		}
	}
}

func TestInvariant21AnOwnerRemains(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
		got := both(
			call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleReader)),
			call(s, updateRoles, s.bob(), s.roleChange(s.bob(), s.realm, aliceID.User(), parsec.RoleReader)),
		)
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusNotAllowed},
			[2]protocol.Status{protocol.StatusNotAllowed, protocol.StatusOK})
		if s.roleOf(aliceID.User()) != parsec.RoleOwner && s.roleOf(bobID.User()) != parsec.RoleOwner {
			t.Fatal("no owner left")
		}
	}
}

// TestInvariant22RolesReplay has four users of skewed clocks change each
// other's roles at random, archive and write; then it replays the certificates
// as clients do.
func TestInvariant22RolesReplay(t *testing.T) {
	s := newRealmScenario(t)
	authors := []*rules.Author{
		s.alice(), s.bob(),
		s.createUser(s.alice(), carolID, parsec.ProfileStandard),
		s.createUser(s.alice(), deviceID("dave@laptop"), parsec.ProfileStandard),
	}
	roles := []parsec.RealmRole{
		parsec.RoleNone, parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner, parsec.RoleOwner,
	}
	random := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for i := range 1500 {
		author := authors[random.IntN(len(authors))]
		skew := time.Duration(random.IntN(20)-10) * time.Second
		switch random.IntN(6) {
		case 0:
			vlob := s.vlobCreation(uint16(i))
			vlob.Timestamp = s.clock.now().Add(skew)
			_, _ = s.VlobCreate(t.Context(), author, vlob) // may be refused
		case 1:
			archiving := s.archivingChange(author, s.realm, parsec.ArchivingAvailable)
			archiving.Timestamp = s.clock.now().Add(skew)
			_, _ = s.RealmUpdateArchiving(t.Context(), author, archiving.request()) // may be refused
		default:
			target := authors[random.IntN(len(authors))]
			change := s.roleChange(author, s.realm, target.User(), roles[random.IntN(len(roles))])
			change.Timestamp = s.clock.now().Add(skew)
			if status(s.RealmUpdateRoles(t.Context(), author, change.update())) == protocol.StatusOK {
				accepted++
			}
		}
		s.clock.advance(time.Second)
	}
	if accepted < 50 {
		t.Fatalf("only %d changes were accepted", accepted)
	}
	certificates := s.roleCertificates()
	slices.SortStableFunc(certificates, func(x, y rules.RoleCertificate) int { return int(x.CertifiedOn - y.CertifiedOn) })
	current := map[parsec.UserID]parsec.RealmRole{}
	for i, certificate := range certificates {
		by := current[certificate.Author.User()]
		mayManage := func(role parsec.RealmRole) bool {
			if role == parsec.RoleOwner || role == parsec.RoleManager {
				return by == parsec.RoleOwner
			}
			return by == parsec.RoleOwner || by == parsec.RoleManager
		}
		first := i == 0 && certificate.Author.User() == certificate.User && certificate.Role == parsec.RoleOwner
		if !first && (certificate.Author.User() == certificate.User || !mayManage(certificate.Role) || !mayManage(current[certificate.User])) {
			t.Fatalf("certificate %d of %d: %s, %q, makes %s, %q, a %q", i, len(certificates),
				certificate.Author, by, certificate.User, current[certificate.User], certificate.Role)
		}
		current[certificate.User] = certificate.Role
	}
}

func TestInvariant23WritesAndRemovals(t *testing.T) {
	for round := range rounds {
		s := newRealmScenario(t)
		write := s.vlobCreation(1)
		removal := s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleReader)
		later := round%2 == 0
		if later {
			removal.Timestamp++
		}
		got := both(call(s, createVlob, s.bob(), write), call(s, updateRoles, s.alice(), removal))
		if later {
			checkEither(t, got,
				[2]protocol.Status{protocol.StatusOK, protocol.StatusOK},
				[2]protocol.Status{protocol.StatusNotAllowed, protocol.StatusOK})
		} else {
			checkEither(t, got,
				[2]protocol.Status{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
				[2]protocol.Status{protocol.StatusNotAllowed, protocol.StatusOK})
		}
	}
}

func TestInvariant24ChangesAndDemotions(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
		roles := both(
			call(s, updateRoles, s.bob(), s.roleChange(s.bob(), s.realm, malloryID.User(), parsec.RoleReader)),
			call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleContributor)),
		)
		checkEither(t, roles,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
			[2]protocol.Status{protocol.StatusNotAllowed, protocol.StatusOK})

		s = newRealmScenario(t)
		s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
		archiving := both(
			call(s, updateArchiving, s.bob(), s.archivingChange(s.bob(), s.realm, parsec.ArchivingArchived)),
			call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleManager)),
		)
		checkEither(t, archiving,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
			[2]protocol.Status{protocol.StatusNotAllowed, protocol.StatusOK})
	}
}

// TestInvariant25DatesNeverDecrease writes in the order of decreasing dates.
func TestInvariant25DatesNeverDecrease(t *testing.T) {
	s := newRealmScenario(t)
	s.clock.advance(time.Minute)
	highest := s.clock.now()
	for n := range uint16(3) {
		creation := s.vlobCreation(n)
		creation.Timestamp = highest.Add(-time.Duration(n) * time.Second)
		s.ok(s.VlobCreate(t.Context(), s.bob(), creation))
	}
	change := s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleReader)
	_, err := s.RealmUpdateRoles(t.Context(), s.alice(), change.update())
	checkRequireGreater(t, err, highest)

	s.clock.advance(time.Minute)
	s.grant(s.alice(), bobID.User(), parsec.RoleManager)
	carol := s.createUser(s.alice(), carolID, parsec.ProfileStandard)
	s.clock.advance(time.Minute)
	highest = s.clock.now()
	for i, target := range []parsec.UserID{malloryID.User(), carol.User()} {
		change := s.roleChange(s.bob(), s.realm, target, parsec.RoleReader)
		change.Timestamp = highest.Add(-time.Duration(i) * time.Second)
		s.ok(updateRoles(s, s.bob(), change))
	}
	change = s.roleChange(s.alice(), s.realm, bobID.User(), parsec.RoleContributor)
	_, err = s.RealmUpdateRoles(t.Context(), s.alice(), change.update())
	checkRequireGreater(t, err, highest)
}

func TestInvariant26GrantsAndRevocations(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		got := both(
			call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, malloryID.User(), parsec.RoleReader)),
			func() error {
				_, err := s.UserRevoke(t.Context(), s.alice2(), s.revocation(s.alice2(), malloryID.User()))
				return err
			},
		)
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusOK},
			[2]protocol.Status{protocol.StatusUserRevoked, protocol.StatusOK})
	}
}

// TestInvariant27Outsiders may own what they create, and nothing else.
func TestInvariant27Outsiders(t *testing.T) {
	s := newRealmScenario(t)
	s.createRealm(s.mallory(), 2)
	for _, role := range []parsec.RealmRole{parsec.RoleOwner, parsec.RoleManager} {
		change := s.roleChange(s.alice(), s.realm, malloryID.User(), role)
		if got := status(updateRoles(s, s.alice(), change)); got != protocol.StatusIncompatibleProfile {
			t.Errorf("%s: got %s", role, got)
		}
	}
	for _, role := range []parsec.RealmRole{parsec.RoleContributor, parsec.RoleReader} {
		s.grant(s.alice(), malloryID.User(), role)
	}
}

// TestInvariant28RoleAndMessage has two changes race for one message.
func TestInvariant28RoleAndMessage(t *testing.T) {
	s := newRealmScenario(t)
	change := s.roleChange(s.alice(), s.realm, malloryID.User(), parsec.RoleReader)
	change.message = []byte("message")
	got := parallel(call(s, updateRoles, s.alice(), change), call(s, updateRoles, s.alice(), change))
	if got[protocol.StatusOK] != 1 || got[protocol.StatusAlreadyGranted] != 1 {
		t.Errorf("got %v", got)
	}
	s.checkEvents(
		by(s.alice(), notice.RealmRolesUpdated{Realm: s.realm, User: malloryID.User(), Role: parsec.RoleReader}),
		by(s.alice(), notice.MessageReceived{Recipient: malloryID.User(), Index: 1}),
	)
	if messages := must(s.MessageGet(t.Context(), s.mallory(), &protocol.MessageGetRequest{})).Messages; len(messages) != 1 {
		t.Errorf("%d messages", len(messages))
	}
}

// TestInvariant29NothingAfterRemoval tries every command on the realm.
func TestInvariant29NothingAfterRemoval(t *testing.T) {
	s := newRealmScenario(t)
	vlob := s.createVlob(1)
	s.ok(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "block")))
	s.grant(s.alice(), bobID.User(), parsec.RoleNone)
	s.events.take()
	ctx, bob := t.Context(), s.bob()
	for name, got := range map[string]protocol.Status{
		"vlob_create":                 status(s.VlobCreate(ctx, bob, s.vlobCreation(2))),
		"vlob_update":                 status(s.VlobUpdate(ctx, bob, s.vlobUpdate(1, 2))),
		"vlob_read":                   status(s.VlobRead(ctx, bob, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})),
		"vlob_list_versions":          status(s.VlobListVersions(ctx, bob, &protocol.VlobListVersionsRequest{VlobID: vlob})),
		"vlob_poll_changes":           status(s.VlobPollChanges(ctx, bob, &protocol.VlobPollChangesRequest{RealmID: s.realm})),
		"block_create":                status(s.BlockCreate(ctx, bob, s.blockCreation(2, "block"))),
		"block_read":                  status(s.readBlockAs(ctx, bob, 1)),
		"realm_status":                status(s.RealmStatus(ctx, bob, &protocol.RealmStatusRequest{RealmID: s.realm})),
		"realm_stats":                 status(s.RealmStats(ctx, bob, &protocol.RealmStatsRequest{RealmID: s.realm})),
		"realm_get_role_certificates": status(s.RealmGetRoleCertificates(ctx, bob, &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm})),
		"realm_update_roles":          status(updateRoles(s, bob, s.roleChange(bob, s.realm, malloryID.User(), parsec.RoleReader))),
		"realm_update_archiving":      status(updateArchiving(s, bob, s.archivingChange(bob, s.realm, parsec.ArchivingArchived))),
		"realm_start_reencryption":    status(s.RealmStartReencryption(ctx, bob, s.reencryption(2))),
	} {
		if got != protocol.StatusNotAllowed {
			t.Errorf("%s: got %s", name, got)
		}
	}
	s.checkEvents()
}

func TestInvariant30ArchivingIsSerial(t *testing.T) {
	s := newRealmScenario(t)
	var calls []func() error
	for range 8 {
		calls = append(calls, call(s, updateArchiving, s.alice(), s.archivingChange(s.alice(), s.realm, parsec.ArchivingArchived)))
	}
	got := parallel(calls...)
	if got[protocol.StatusOK] != 1 || got[protocol.StatusRequireGreaterTimestamp] != 7 {
		t.Errorf("got %v", got)
	}
}

func TestInvariant31WritesAndArchiving(t *testing.T) {
	for round := range uint16(rounds) {
		s := newRealmScenario(t)
		archiving := call(s, updateArchiving, s.alice(), s.archivingChange(s.alice(), s.realm, parsec.ArchivingArchived))
		write := call(s, createVlob, s.bob(), s.vlobCreation(1))
		if round%2 == 0 {
			write = func() error {
				_, err := s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "block"))
				return err
			}
		}
		got := both(write, archiving)
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusOK},
			[2]protocol.Status{protocol.StatusRealmArchived, protocol.StatusOK})
	}
}

// TestInvariant32DeletionIsFinal lets the date pass after each kind of
// command was still possible.
func TestInvariant32DeletionIsFinal(t *testing.T) {
	s := newRealmScenario(t)
	vlob := s.createVlob(1)
	s.archive(s.alice(), parsec.ArchivingDeletionPlanned)
	read := &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob}
	s.ok(s.VlobRead(t.Context(), s.alice(), read))
	// The date is 31 days after the certificate's, which is a second old.
	s.clock.advance(31*24*time.Hour - time.Second - time.Microsecond)
	s.ok(s.VlobRead(t.Context(), s.alice(), read))
	s.clock.advance(time.Microsecond)
	if got := status(s.VlobRead(t.Context(), s.alice(), read)); got != protocol.StatusRealmDeleted {
		t.Errorf("got %s", got)
	}
	for _, kind := range []parsec.ArchivingType{parsec.ArchivingAvailable, parsec.ArchivingArchived, parsec.ArchivingDeletionPlanned} {
		got := status(updateArchiving(s, s.alice(), s.archivingChange(s.alice(), s.realm, kind)))
		if got != protocol.StatusRealmDeleted {
			t.Errorf("%s: got %s", kind, got)
		}
	}
}

// TestInvariant15RealmsOfTwoOrganizations gives the same ids to both.
func TestInvariant15RealmsOfTwoOrganizations(t *testing.T) {
	s := newRealmScenario(t)
	stranger := s.fixture.author(other, aliceID, parsec.ProfileAdmin)
	s.ok(s.OrganizationBootstrap(t.Context(), &rules.Anonymous{Organization: other, API: latest},
		s.bootstrapRequest(s.createOrganization(other))))
	s.clock.advance(time.Second)
	creation := s.vlobCreation(1)
	for name, got := range map[string]protocol.Status{
		"realm_status": status(s.RealmStatus(t.Context(), stranger, &protocol.RealmStatusRequest{RealmID: s.realm})),
		"vlob_create":  status(s.VlobCreate(t.Context(), stranger, creation)),
		"block_create": status(s.BlockCreate(t.Context(), stranger, s.blockCreation(1, "block"))),
	} {
		if got == protocol.StatusOK {
			t.Errorf("%s: got %s", name, got)
		}
	}
	s.ok(s.RealmCreate(t.Context(), stranger, s.roleChange(stranger, s.realm, stranger.User(), parsec.RoleOwner).creation()))
	s.clock.advance(time.Second)
	for i, author := range []*rules.Author{s.alice(), stranger} {
		creation := s.vlobCreation(1)
		creation.Blob = fmt.Append(nil, i)
		s.ok(s.VlobCreate(t.Context(), author, creation))
		s.ok(s.BlockCreate(t.Context(), author, s.blockCreation(1, fmt.Sprint(i))))
	}
	for i, author := range []*rules.Author{s.alice(), stranger} {
		vlob := must(s.VlobRead(t.Context(), author, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: creation.VlobID}))
		block := must(s.readBlockAs(t.Context(), author, 1))
		if string(vlob.Blob) != fmt.Sprint(i) || string(block.Block) != fmt.Sprint(i) {
			t.Errorf("%s: got %q and %q", author.Organization, vlob.Blob, block.Block)
		}
	}
	// The recorder watches Acme alone.
	s.checkEvents(by(s.alice(), notice.RealmVlobsUpdated{
		Realm: s.realm, Checkpoint: 1, Source: creation.VlobID, SourceVersion: 1,
	}))
}
