//go:build !without_postgresql

package postgres_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// aRealm is one that the tour makes.
var aRealm = parsec.RealmID{7}

// aRecovery is an invitation to recover aSetup.
var aRecovery = must(parsec3.ParseAccessToken(strings.Repeat("08", 16)))

// aSetup is the date of a setup that the tour makes.
var aSetup parsec.DateTime

// aKey is one that the tour makes.
var aKey = rules.OpaqueKeyName{User: alice, Key: parsec3.OpaqueKeyID{7}}

// tour sends every statement that a command may send, but for those of sequester
// services, which have few rows.
func tour(t *testing.T, store *postgres.Store) {
	t.Helper()
	tourReads(t, store)
	tourSpeeches(t, store)
	date := parsec.DateTime(1000)
	dated := func() rules.Certificate {
		date++
		return rules.Certificate{Timestamp: date, Author: aliceOne}
	}
	bob, bobOne := parsec3.UserID{0xb0}, parsec3.DeviceID{0xb0, 1}
	scope := rules.Scope{Common: rules.Shared, Realm: aRealm, RealmLock: rules.Exclusive, Sequester: rules.Shared, Shamir: rules.Shared}
	for _, step := range []struct {
		scope rules.Scope
		run   func(tx rules.Tx)
	}{
		{rules.Scope{Common: rules.Exclusive, Shamir: rules.Exclusive}, func(tx rules.Tx) {
			both := dated()
			tx.CreateUser(rules.User{ID: bob, Profile: parsec.ProfileStandard, HumanHandle: must(parsec.ParseHumanHandle("bob@example.com", "Bob"))},
				both, rules.Device{ID: bobOne, User: bob}, both)
			tx.CreateDevice(rules.Device{ID: parsec3.DeviceID{0xb0, 2}, User: bob}, dated())
			tx.UpdateProfile(bob, parsec.ProfileOutsider, dated())
			tx.FreezeUser(bob, true)
			tx.AcceptTOS(bob, 1)
			tx.RevokeUser(bob, dated())
		}},
		{scope, func(tx rules.Tx) {
			tx.CreateRealm(alice, dated())
			tx.NameRealm(dated())
			tx.RotateKey(rules.KeyRotation{KeyIndex: 1, Participants: map[parsec3.UserID][]byte{alice: nil}}, dated())
			tx.SetRole(bob, parsec.RoleReader, []byte("access"), dated())
			tx.ArchiveRealm(parsec.ArchivingArchived, nil, dated())
			tx.Emit(event.Event{Organization: acme, Body: notice.CommonCertificate{}})
		}},
		{scope, func(tx rules.Tx) { tx.MarkRealmDeleted() }},
		{rules.Scope{Common: rules.Shared, Shamir: rules.Exclusive}, func(tx rules.Tx) { tourShamir(t, tx, bob, dated) }},
		{onVlob(), func(tx rules.Tx) {
			tx.WriteVlob(rules.VlobVersion{Vlob: theVlob, Version: tx.Vlob() + 1, Author: aliceOne})
		}},
		{rules.Scope{Common: rules.Shared, Realm: theRealm, RealmLock: rules.Shared, Vlob: parsec.VlobID{7}}, func(tx rules.Tx) {
			tx.WriteVlob(rules.VlobVersion{Vlob: parsec.VlobID{7}, Version: 1, Author: aliceOne})
		}},
		{onVlob(), func(tx rules.Tx) {
			session := rules.CryptpadSession{Document: theVlob}
			_, _, err := tx.CryptpadSession(t.Context(), theVlob)
			noErrors(t, err)
			tx.PutCryptpadSession(session, nil)
			tx.PutCryptpadSession(session, &session)
		}},
		{onBlock(), func(tx rules.Tx) {
			tx.ReserveBlock(rules.BlockUpload{ID: theBlock, Token: store.NewUploadToken(), Until: 1})
		}},
		{onBlock(), func(tx rules.Tx) {
			_ = tx.UploadIsDead()
			tx.CreateBlock(rules.Block{ID: theBlock, Author: aliceOne})
		}},
		{rules.Scope{Common: rules.Exclusive, Realm: theRealm, RealmLock: rules.Exclusive}, func(tx rules.Tx) {
			_, _, err1 := tx.User(t.Context(), alice)
			_, _, err2 := tx.UserByEmail(t.Context(), "alice@example.com")
			_, err3 := tx.ActiveUsers(t.Context())
			_, err4 := tx.Traces(t.Context(), alice)
			_, err5 := tx.DeviceExists(t.Context(), aliceOne)
			_, err6 := tx.RealmRole(t.Context(), alice)
			_, err7 := tx.Members(t.Context())
			_, err8 := tx.Services(t.Context())
			noErrors(t, err1, err2, err3, err4, err5, err6, err7, err8)
		}},
		{rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
			_, err1 := tx.IsEnrolled(t.Context(), "zack@example.com")
			for _, claimer := range []rules.Claimer{
				{Type: parsec.InvitationUser, Email: "zack@example.com"}, {Type: parsec.InvitationDevice, User: alice},
			} {
				_, err2 := tx.PendingInvitations(t.Context(), claimer)
				noErrors(t, err2)
				tx.CreateInvitation(rules.Invitation{
					Token: parsec3.NewAccessToken(), CreatedBy: rules.Person{User: alice}, Claimer: claimer,
				})
			}
			tx.CreateInvitation(rules.Invitation{
				Token: theToken, CreatedBy: rules.Person{User: alice}, Claimer: rules.Claimer{Type: parsec.InvitationUser, Email: "yves@example.com"},
			})
			tx.CreateInvitation(rules.Invitation{
				Token: aRecovery, CreatedBy: rules.Person{User: alice}, Claimer: rules.Claimer{Type: parsec.InvitationShamirRecovery, User: alice, Setup: aSetup},
			})
			noErrors(t, err1)
		}},
		{rules.Scope{Common: rules.Shared, Invitation: &theToken}, func(tx rules.Tx) {
			_, err1 := tx.ActiveAttempts(t.Context(), theToken)
			_, err2 := tx.GreetingSession(t.Context(), theToken, alice, protocol.Claimer, 1)
			noErrors(t, err1, err2)
			tx.EraseAttempts(theToken, alice, 1)
			tx.CreateAttempt(rules.Attempt{ID: theAttempt, Invitation: theToken, Greeter: alice, Version: 1})
		}},
		{rules.Scope{Common: rules.Shared, Attempt: &theAttempt}, func(tx rules.Tx) {
			tx.JoinAttempt(theAttempt, protocol.Greeter, 1)
			tx.JoinAttempt(theAttempt, protocol.Claimer, 1)
		}},
		{rules.Scope{Common: rules.Shared, Invitation: &aRecovery}, func(tx rules.Tx) {
			_, _, err := tx.RevealedSetup(t.Context())
			noErrors(t, err)
			tx.PutWrongReveals(aRecovery, []parsec.DateTime{1})
		}},
		{rules.Scope{Common: rules.Shared, Attempt: &theAttempt}, func(tx rules.Tx) {
			tx.CancelAttempt(theAttempt, rules.AttemptEnd{Origin: protocol.Greeter, Reason: protocol.ManuallyCancelled})
			tx.EndInvitation(theToken, rules.InvitationEnd{Status: protocol.InvitationCancelled})
		}},
		{rules.Scope{Common: rules.Shared, Enrollment: rules.Exclusive}, func(tx rules.Tx) {
			_, _, err1 := tx.Enrollment(t.Context(), parsec3.EnrollmentID{1})
			_, err2 := tx.Submissions(t.Context(), parsec3.EnrollmentID{1}, "new@example.com")
			noErrors(t, err1, err2)
			tx.SubmitEnrollment(rules.Enrollment{ID: parsec3.EnrollmentID{1}, Status: protocol.EnrollmentSubmitted, SubmittedOn: 1}, "new@example.com")
			tx.EndEnrollment(parsec3.EnrollmentID{1}, protocol.EnrollmentCancelled, 2)
		}},
		{rules.Scope{TOTP: &alice}, func(tx rules.Tx) {
			_, _, err1 := tx.TOTP(t.Context())
			_, err2 := tx.OpaqueKeys(t.Context())
			noErrors(t, err1, err2)
			tx.PutTOTP(rules.TOTPSetup{})
			tx.CreateOpaqueKey(aKey.Key, parsec3.OpaqueKey{})
			tx.ForgiveOpaqueKeys()
		}},
		{rules.Scope{OpaqueKey: &aKey}, func(tx rules.Tx) {
			_, _, key, err := tx.OpaqueKey(t.Context())
			noErrors(t, err)
			tx.CountOpaqueKey(key)
		}},
	} {
		change(t, store, step.scope, step.run)
	}
}

func tourShamir(t *testing.T, tx rules.Tx, recipient parsec3.UserID, dated func() rules.Certificate) {
	t.Helper()
	_, err1 := tx.ShamirFacts(t.Context(), alice, []parsec3.UserID{recipient}, parsec3.AccessToken{})
	_, _, err2 := tx.ShamirSetup(t.Context(), alice, 1)
	_, err3 := tx.LastShamirSeen(t.Context(), alice)
	_, _, err4 := tx.CurrentShamirSetup(t.Context(), alice)
	_, err5 := tx.PendingInvitations(t.Context(), rules.Claimer{Type: parsec.InvitationShamirRecovery, User: alice, Setup: 1})
	noErrors(t, err1, err2, err3, err4, err5)
	brief := dated()
	aSetup = brief.Timestamp
	setup := rules.ShamirSetup{User: alice, CreatedOn: brief.Timestamp, Shares: map[parsec3.UserID]uint8{recipient: 1}}
	tx.CreateShamirSetup(setup, brief, []rules.ShamirShare{{Recipient: recipient}})
	tx.DeleteShamirSetup(&setup, dated())
}

// tourSpeeches says nothing that holds.
func tourSpeeches(t *testing.T, store *postgres.Store) {
	t.Helper()
	for _, side := range []protocol.Side{protocol.Greeter, protocol.Claimer} {
		said, err := store.Say(t.Context(), rules.Speech{Organization: acme, Side: side}, event.Event{Organization: acme, Body: notice.Pinged{}})
		if said || err != nil {
			t.Fatalf("said: %t, %v", said, err)
		}
	}
}

func tourReads(t *testing.T, store *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	_, err1 := store.Authentication(ctx, acme, aliceOne)
	_, _, err2 := store.Registration(ctx, acme, aliceOne)
	_, _, err3 := store.Certificates(ctx, acme, aliceOne, rules.CertificatesAfter{}, 1<<30)
	_, _, err4 := store.FrozenUsers(ctx, acme, aliceOne)
	_, _, _, err5 := store.KeysBundle(ctx, acme, aliceOne, theRealm, 1)
	_, err6 := store.ReadVlobs(ctx, acme, aliceOne, theRealm, []parsec.VlobID{theVlob}, nil, 1)
	_, err7 := store.ReadVersions(ctx, acme, aliceOne, theRealm, []rules.VlobNumber{{Vlob: theVlob, Version: 1}}, 1)
	_, _, _, err8 := store.Changes(ctx, acme, aliceOne, theRealm, 0)
	_, _, _, err9 := store.ReadBlock(ctx, acme, aliceOne, theRealm, theBlock)
	_, _, err10 := store.Usage(ctx, acme, aliceOne)
	_, err11 := store.Invited(ctx, acme, theToken)
	_, _, err12 := store.InvitationGreeters(ctx, acme, theToken)
	_, _, err13 := store.Invitations(ctx, acme, aliceOne, 0)
	_, _, err14 := store.Enrollment(ctx, acme, parsec3.EnrollmentID{1})
	_, _, err15 := store.PendingEnrollments(ctx, acme, aliceOne)
	_, _, err16 := store.Greeting(ctx, acme, aliceOne, nil, theAttempt)
	noErrors(t, err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13, err14, err15, err16, store.ReleaseBlock(ctx, acme, theBlock, parsec.UUID{}))
}

func noErrors(t *testing.T, problems ...error) {
	t.Helper()
	for i, err := range problems {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

// wholeOrganization are the statements that may read all rows of a kind that an
// organization has, by a text in each.
var wholeOrganization = map[string]string{
	"those of the profiles": "FROM parsec3.user_count c",
	"the frozen users":      "u.frozen",
	"sequester services":    "FROM parsec3.sequester_service s",
}

// plan is a node of what EXPLAIN answers.
type plan struct {
	Type      string `json:"Node Type"`
	Relation  string `json:"Relation Name"`
	Index     string `json:"Index Name"`
	Condition string `json:"Index Cond"`
	Plans     []plan
}

// byOrganization are the indexes that have few rows for each organization: its only
// one, the realms that were written to in the last minute, the uploads under way, and
// the administrators, and the enrollments that wait, which are bounded.
var byOrganization = map[string]bool{
	"usage_pkey": true, "realm_counter_unsummed": true, "block_uploading": true, "user_administrator": true, "enrollment_submitted": true,
}

// checkPlan reports what grows with the organization, or with all of them.
func checkPlan(t *testing.T, when, statement string, p plan) {
	t.Helper()
	switch {
	case p.Type == "Seq Scan" && p.Relation != "":
		t.Errorf("%s, %s is scanned by%s", when, p.Relation, statement)
	case p.Index != "" && !strings.Contains(p.Condition, "organization"):
		t.Errorf("%s, %s is read for all organizations by%s", when, p.Index, statement)
	case p.Index != "" && !byOrganization[p.Index] && !strings.HasPrefix(p.Index, "organization_") && !strings.Contains(p.Condition, " AND "):
		t.Errorf("%s, %s is read for the whole organization by%s", when, p.Index, statement)
	case strings.HasPrefix(p.Index, "vlob_atom") && !strings.Contains(p.Condition, "vlob_id"):
		t.Errorf("%s, %s is read for the whole realm by%s", when, p.Index, statement)
	case strings.HasPrefix(p.Index, "vlob_pkey") && !strings.Contains(p.Condition, "vlob_id"),
		strings.HasPrefix(p.Index, "vlob_changed") && !strings.Contains(p.Condition, "checkpoint"):
		t.Errorf("%s, %s is read for the whole realm by%s", when, p.Index, statement)
	case strings.HasPrefix(p.Index, "certificate") && !strings.Contains(p.Condition, "dated"):
		t.Errorf("%s, %s is read from its beginning by%s", when, p.Index, statement)
	case p.Type == "Nested Loop" && isAsked(p.Plans[1]):
		t.Errorf("%s, all that is asked for is gone through for each row by%s", when, statement)
	}
	for _, below := range p.Plans {
		checkPlan(t, when, statement, below)
	}
}

// isAsked reports whether a node goes through what a client asks for.
func isAsked(p plan) bool {
	return p.Type == "Function Scan" || p.Type == "Materialize" && isAsked(p.Plans[0])
}

// explain returns how a prepared statement runs, whatever its arguments.
func explain(t *testing.T, connection *pgx.Conn, statement string) plan {
	t.Helper()
	prepare(t, connection, statement)
	arguments := testkit.Number(t, connection, "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'explained'")
	execute := "EXECUTE explained"
	if arguments > 0 {
		execute += "(" + strings.Join(slices.Repeat([]string{"NULL"}, int(arguments)), ", ") + ")"
	}
	var answer []struct{ Plan plan }
	text := strings.Join(texts(t, connection, "EXPLAIN (FORMAT JSON) "+execute), "\n")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return answer[0].Plan
}

// newUnanalyzed returns a database whose tables PostgreSQL looks at only when the test
// has it do so: what it knows of them is then known.
func newUnanalyzed(t *testing.T) string {
	t.Helper()
	dsn := testkit.NewUnusedPostgres(t)
	testkit.Execute(t, testkit.Connect(t, dsn), `DO $$
DECLARE name regclass;
BEGIN
    FOR name IN SELECT c.oid FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace IN ('parsec3'::regnamespace, 'public'::regnamespace)
    LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', name); END LOOP;
END $$`)
	return dsn
}

// statementsOf returns those that were sent through a proxy and are to be checked, at
// least so many.
func statementsOf(t *testing.T, proxy *testkit.PostgresProxy, least int, isChecked func(statement string) bool) []string {
	t.Helper()
	statements := slices.DeleteFunc(proxy.Statements(), func(statement string) bool { return !isChecked(statement) })
	if len(statements) < least {
		t.Fatalf("only %d statements are found", len(statements))
	}
	return statements
}

// plansOf returns a connection with the settings of those of a store, which keep plans,
// and what checks the plan of each statement there.
func plansOf(t *testing.T, dsn string, statements []string, check func(t *testing.T, when, statement string, p plan)) (*pgx.Conn, func(when string)) {
	t.Helper()
	connection := testkit.Connect(t, dsn+" plan_cache_mode=force_generic_plan enable_seqscan=off jit=off")
	return connection, func(when string) {
		for _, statement := range statements {
			check(t, when, statement, explain(t, connection, statement))
		}
	}
}

// TestPlans has no command read more in a large organization, or beside large ones:
// with statements planned while there is nothing yet, later but before PostgreSQL
// has looked at the tables, and after.
func TestPlans(t *testing.T) {
	dsn := newUnanalyzed(t)
	proxy := testkit.StartPostgresProxy(t, dsn)
	store := open(t, proxy.DSN, 1, now)
	populate(t, store)
	tour(t, store)
	const least = 40
	isChecked := func(statement string) bool { return strings.Contains(statement, "parsec3.") && !readsWhole(statement) }
	connection, check := plansOf(t, dsn, statementsOf(t, proxy, least, isChecked), checkPlan)
	check("empty")
	grow(t, connection)
	check("grown")
	// What the server does each minute, and PostgreSQL soon after.
	if err := open(t, dsn, 1, now).Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, connection, "VACUUM parsec3.realm_counter, parsec3.usage")
	testkit.Execute(t, connection, "ANALYZE")
	check("analyzed")
	checkCosts(t, dsn, connection, proxy.Statements())
}

func readsWhole(statement string) bool {
	for text := range maps.Values(wholeOrganization) {
		if strings.Contains(statement, text) {
			return true
		}
	}
	return false
}

// grow adds 10,000 users to Acme, each with a device and a realm, 100,000 vlobs to
// its first realm, as many blocks, and 60,000 certificates to other organizations.
func grow(t testing.TB, connection *pgx.Conn) {
	t.Helper()
	for _, sql := range []string{
		"SET session_replication_role = replica", // foreign keys take their time
		`INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on)
		SELECT 'Other' || i, '', false, 0, 0 FROM generate_series(1, 50) i`,
		`INSERT INTO parsec3.user_ (organization, user_id, profile, human_email, human_label, created_on, frozen)
		SELECT 'Acme', md5('user' || i)::uuid, 'STANDARD', i || '@example.com', 'Somebody', i, false FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.device (organization, device_id, user_id, verify_key, created_on)
		SELECT 'Acme', md5('device' || i)::uuid, md5('user' || i)::uuid, sha256(''), i FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
		SELECT 'Acme', 'common', '00000000-0000-0000-0000-000000000000', 2000 + i, s, 'certificate' FROM generate_series(1, 10000) i, generate_series(0, 1) s`,
		`INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
		SELECT 'Other' || i % 50 + 1, 'realm', md5('realm' || i % 6000)::uuid, i, 0, 'certificate' FROM generate_series(1, 60000) i`,
		`INSERT INTO parsec3.realm (organization, realm_id, created_on, last_date, key_index, named, archiving, deleted)
		SELECT 'Acme', md5('realm' || i)::uuid, i, i, 0, false, 'AVAILABLE', false FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.realm_counter (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size)
		SELECT 'Acme', md5('realm' || i)::uuid, 0, 0, 0, 0 FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.realm_member (organization, realm_id, user_id, role, role_date, given_date, managing_date)
		SELECT 'Acme', md5('realm' || i)::uuid, md5('user' || i)::uuid, 'OWNER', i, i, i FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.shamir_setup (organization, user_id, created_on, threshold, reveal_token, ciphered_data)
		SELECT 'Acme', md5('user' || i)::uuid, 2000 + i, 1, decode(md5('token' || i), 'hex'), 'data' FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.shamir_share (organization, user_id, created_on, recipient, shares)
		SELECT 'Acme', md5('user' || i)::uuid, 2000 + i, md5('user' || i + 1)::uuid, 1 FROM generate_series(1, 10000) i`,
		`INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
		SELECT 'Acme', 'shamir_recovery', '00000000-0000-0000-0000-000000000000', 2000 + i, s, 'certificate' FROM generate_series(1, 10000) i, generate_series(0, 1) s`,
		`INSERT INTO parsec3.shamir_seen (organization, user_id, dated, sequence)
		SELECT 'Acme', md5('user' || i + s)::uuid, 2000 + i, s FROM generate_series(1, 10000) i, generate_series(0, 1) s`,
		fmt.Sprintf(`INSERT INTO parsec3.vlob (organization, realm_id, vlob_id, version, checkpoint)
		SELECT 'Acme', '%[1]s', md5('vlob' || i)::uuid, 1, 1000 + i FROM generate_series(1, 100000) i`, parsec.UUID(theRealm)),
		fmt.Sprintf(`INSERT INTO parsec3.vlob_atom (organization, realm_id, vlob_id, version, key_index, author, written_on, blob)
		SELECT 'Acme', '%[1]s', md5('vlob' || i)::uuid, 1, 1, '%[2]s', i, 'blob' FROM generate_series(1, 100000) i`, parsec.UUID(theRealm), parsec.UUID(aliceOne)),
		fmt.Sprintf(`INSERT INTO parsec3.cryptpad_session (organization, realm_id, document_id, author, registered_on, key_index, view_key)
		SELECT 'Acme', '%[1]s', md5('document' || i)::uuid, '%[2]s', i, 1, 'view' FROM generate_series(1, 100000) i`, parsec.UUID(theRealm), parsec.UUID(aliceOne)),
		fmt.Sprintf(`INSERT INTO parsec3.block (organization, block_id, realm_id, key_index, author, size, created_on)
		SELECT 'Acme', md5('block' || i)::uuid, '%[1]s', 1, '%[2]s', 1, i FROM generate_series(1, 100000) i`, parsec.UUID(theRealm), parsec.UUID(aliceOne)),
		`INSERT INTO parsec3.invitation (organization, token, type, created_by, created_on, claimer_email, claimer_user, ended_on, ended_as, attempts_erased)
		SELECT 'Acme', md5('invitation' || i)::uuid, CASE i % 2 WHEN 0 THEN 'USER' ELSE 'DEVICE' END, md5('user' || i)::uuid, i,
		    CASE i % 2 WHEN 0 THEN i || '@example.com' END, CASE i % 2 WHEN 1 THEN md5('user' || i)::uuid END, i, 'FINISHED', true
		FROM generate_series(1, 100000) i`,
		`INSERT INTO parsec3.greeting_attempt (organization, attempt_id, token, greeter, greeter_joined, version, greeter_said, claimer_said)
		SELECT 'Acme', md5('attempt' || i)::uuid, md5('invitation' || i % 50000)::uuid, md5('user' || 1 + i / 50000)::uuid, i, 1, '{}', '{}' FROM generate_series(1, 100000) i`,
		fmt.Sprintf("UPDATE parsec3.realm_counter SET checkpoint = 200000, vlobs_size = 400000, blocks_size = 100000 WHERE realm_id = '%s'", parsec.UUID(theRealm)),
	} {
		testkit.Execute(t, connection, sql)
	}
}

// checkCosts has certificate_get with nothing new, and organization_info, read as few
// pages as they do where there is nothing else.
func checkCosts(t *testing.T, dsn string, connection *pgx.Conn, statements []string) {
	t.Helper()
	empty := testkit.Connect(t, testkit.NewPostgres(t, testkit.Unsound)+" plan_cache_mode=force_generic_plan enable_seqscan=off jit=off")
	small := open(t, empty.Config().ConnString(), 1, now)
	populate(t, small)
	tour(t, small)
	const last = "20000" // after the 10,000 users, and what alice did
	compared := 0
	for _, statement := range statements {
		var arguments string
		switch {
		case strings.Contains(statement, "FROM parsec3.usage u"):
			arguments = "('Acme')"
		case !strings.Contains(statement, "FROM parsec3.certificate c"):
			continue
		case strings.Contains(statement, "c.dated <= $7"):
			continue // a page of what is new
		case strings.Contains(statement, "unnest($3"):
			arguments = fmt.Sprintf("('Acme', '%s', '{%s, %s}', '{%[4]s, %[4]s}'%s)",
				parsec.UUID(aliceOne), parsec.UUID(theRealm), parsec.UUID(aRealm), last, bytesArgument(statement, "$5"))
		default:
			arguments = fmt.Sprintf("('Acme', '%s', %s%s)", parsec.UUID(aliceOne), last, bytesArgument(statement, "$4"))
		}
		compared++
		const more = 8 // four look-ups in indexes that are up to two levels deeper
		if large, alone := pages(t, connection, statement, arguments), pages(t, empty, statement, arguments); large > alone+more {
			t.Errorf("%d pages instead of %d are read by%s", large, alone, statement)
		}
	}
	if compared < 2 {
		t.Errorf("only %d statements are compared", compared)
	}
}

// bytesArgument returns that of a statement which reads so many bytes of a list.
func bytesArgument(statement, parameter string) string {
	if strings.Contains(statement, parameter) {
		return ", 1000000"
	}
	return ""
}

// prepare calls a statement explained.
func prepare(t *testing.T, connection *pgx.Conn, statement string) {
	t.Helper()
	_, _ = connection.Exec(t.Context(), "DEALLOCATE explained") // There is none at first.
	testkit.Execute(t, connection, "PREPARE explained AS "+statement)
}

// pages counts those that a statement reads, from the disk or not.
func pages(t *testing.T, connection *pgx.Conn, statement, arguments string) int {
	t.Helper()
	prepare(t, connection, statement)
	var answer []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	// The first time also reads the catalogue.
	for range 2 {
		text := strings.Join(texts(t, connection, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained"+arguments), "\n")
		if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer) != 1 {
			t.Fatalf("%v: %s", err, text)
		}
	}
	return answer[0].Plan.Hit + answer[0].Plan.Read
}
