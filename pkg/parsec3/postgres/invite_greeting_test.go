//go:build !without_postgresql

package postgres_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// peers are alice, who invites another device of hers, and that device, each with an
// instance.
type peers struct {
	t                        *testing.T
	greeterSide, claimerSide *rules.Rules
	author                   *rules.Author
	invited                  *rules.Invited
	attempt                  parsec3.GreetingAttemptID
}

// newInstance returns rules of a server, whose steps wait for nobody. Its one connection
// prepares each statement once.
func newInstance(t *testing.T, dsn string) *rules.Rules {
	t.Helper()
	bus := testkit.NewBus(t)
	store := openOn(t, dsn, 1, now, bus)
	return rules.New(store, blockstore.NewMemory(), bus, nil, now, slog.New(slog.DiscardHandler), rules.Options{GreetingPatience: time.Nanosecond})
}

func (p *peers) no(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// admit has the sender of a request let in, as servers do.
func (p *peers) admit(side protocol.Side) {
	p.t.Helper()
	if side == protocol.Greeter {
		_, err := p.greeterSide.Standing(p.t.Context(), acme, aliceOne)
		p.no(err)
		return
	}
	var err error
	p.invited, err = p.claimerSide.AdmitInvited(p.t.Context(), acme, p.invited.Token, p.author.API)
	p.no(err)
}

// admitToStep is admit for a step.
func (p *peers) admitToStep(side protocol.Side) {
	p.t.Helper()
	var err error
	if side == protocol.Greeter {
		_, err = p.greeterSide.GreeterStanding(p.t.Context(), acme, aliceOne, p.attempt)
	} else {
		p.invited, err = p.claimerSide.AdmitClaimer(p.t.Context(), acme, p.invited.Token, p.author.API, p.attempt)
	}
	p.no(err)
}

// begin has both sides join.
func (p *peers) begin() {
	p.t.Helper()
	ctx := p.t.Context()
	p.admit(protocol.Greeter)
	greeter, err := p.greeterSide.InviteGreeterStartGreetingAttempt(ctx, p.author, &protocol.InviteGreeterStartGreetingAttemptRequest{Token: p.invited.Token})
	p.no(err)
	p.admit(protocol.Claimer)
	claimer, err := p.claimerSide.InviteClaimerStartGreetingAttempt(ctx, p.invited, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: alice})
	p.no(err)
	if p.attempt = greeter.GreetingAttempt; claimer.GreetingAttempt != p.attempt {
		p.t.Fatal("the sides are in two attempts")
	}
}

// say returns false for a step that is not ready.
func (p *peers) say(side protocol.Side, step int) bool {
	p.t.Helper()
	p.admitToStep(side)
	part := make([]byte, 32)
	var err error
	if side == protocol.Greeter {
		_, err = p.greeterSide.InviteGreeterStep(p.t.Context(), p.author, &protocol.InviteGreeterStepRequest{
			GreetingAttempt: p.attempt, GreeterStep: protocol.GreeterStepOf(step, part),
		})
	} else {
		_, err = p.claimerSide.InviteClaimerStep(p.t.Context(), p.invited, &protocol.InviteClaimerStepRequest{
			GreetingAttempt: p.attempt, ClaimerStep: protocol.ClaimerStepOf(step, part),
		})
	}
	if errors.Is(err, protocol.Refuse(protocol.StatusNotReady)) {
		return false
	}
	p.no(err)
	return true
}

func newPeers(t *testing.T, greeterSide, claimerSide *rules.Rules) *peers {
	t.Helper()
	author := &rules.Author{
		Organization: acme, Device: aliceOne, User: alice, VerifyKey: publicKey, API: parsec.APIVersion{Major: 5, Minor: 6},
	}
	reply, err := greeterSide.InviteNewDevice(t.Context(), author, &protocol.InviteNewDeviceRequest{})
	p := &peers{t: t, greeterSide: greeterSide, claimerSide: claimerSide, author: author}
	p.no(err)
	p.invited = &rules.Invited{Organization: acme, Token: reply.Token, API: author.API}
	return p
}

// TestStatementsOfGreeting counts those of a whole greeting of a device by two people
// who take their time (docs/protocol/v5/performance-notes.md §1), on one server. Those
// of the delivery of events are not of a request.
func TestStatementsOfGreeting(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	populate(t, open(t, dsn, 1, now))
	proxy := testkit.StartPostgresProxy(t, dsn)
	parsec3 := newInstance(t, proxy.DSN)
	p := newPeers(t, parsec3, parsec3)
	const most = 120
	requests, begun := 4, proxy.Executed.Load()
	p.admit(protocol.Claimer)
	_, err := parsec3.InviteInfo(t.Context(), p.invited, &protocol.InviteInfoRequest{})
	p.no(err)
	p.admit(protocol.Greeter)
	_, err = parsec3.InviteList(t.Context(), p.author, &protocol.InviteListRequest{})
	p.no(err)
	p.begin()
	for step := range protocol.Steps {
		for _, side := range []protocol.Side{protocol.Greeter, protocol.Greeter, protocol.Claimer, protocol.Greeter} {
			requests++
			p.say(side, step)
		}
	}
	p.admit(protocol.Greeter)
	_, _, err = parsec3.CertificateGet(t.Context(), p.author, &protocol.CertificateGetRequest{})
	p.no(err)
	p.admit(protocol.Greeter)
	_, err = parsec3.InviteComplete(t.Context(), p.author, &protocol.InviteCompleteRequest{Token: p.invited.Token})
	p.no(err)
	// device_create is of this wing, too, with fewer statements than these.
	const deviceCreate = 14
	statements := proxy.Executed.Load() - begun + deviceCreate
	t.Logf("%d requests take %d statements", requests+3, statements)
	if statements > most {
		t.Errorf("%d statements, want at most %d", statements, most)
	}
}

// TestRoundTripsOfSteps counts how often steps wait for the database.
func TestRoundTripsOfSteps(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	populate(t, open(t, dsn, 1, now))
	var proxies [3]*testkit.PostgresProxy
	var instances [3]*rules.Rules
	for i := range instances {
		proxies[i] = testkit.StartPostgresProxy(t, dsn)
		instances[i] = newInstance(t, proxies[i].DSN)
	}
	watcher := testkit.Connect(t, dsn)
	// The first greeting prepares the statements.
	for _, prepared := range []bool{false, true} {
		p := newPeers(t, instances[0], instances[1])
		p.begin()
		elsewhere := *p
		elsewhere.greeterSide, elsewhere.claimerSide = instances[2], instances[2]
		trips := func(side protocol.Side, step int) (int64, bool) {
			of := proxies[0]
			if side == protocol.Claimer {
				of = proxies[1]
			}
			before := of.Waits.Load()
			ready := p.say(side, step)
			return of.Waits.Load() - before, ready
		}
		for step := range protocol.Steps {
			first := []protocol.Side{protocol.Greeter, protocol.Claimer}[step%2]
			if took, _ := trips(first, step); prepared && took > 3 {
				t.Errorf("step %d of the %s takes %d round trips", step, first, took)
			}
			if step < 2 { // The instance has not seen the attempt for that side.
				before, version := proxies[2].Waits.Load(), versionOf(t, watcher, p.attempt)
				elsewhere.say(first, step)
				if took := proxies[2].Waits.Load() - before; prepared && took != 1 {
					t.Errorf("the first poll of the %s takes %d round trips", first, took)
				}
				if version != versionOf(t, watcher, p.attempt) {
					t.Error("a poll writes")
				}
			}
			for range 3 {
				if poll, _ := trips(first, step); prepared && poll != 0 {
					t.Errorf("a poll of step %d takes %d round trips", step, poll)
				}
			}
			if second, _ := trips(first.Peer(), step); prepared && second > 3 {
				t.Errorf("step %d of the %s takes %d round trips", step, first.Peer(), second)
			}
			polls := int64(0)
			testkit.Await(t, "the other side is told", func() bool {
				poll, ready := trips(first, step)
				polls += poll
				return ready
			})
			if prepared && polls > 0 {
				t.Errorf("to be told of step %d takes %d round trips", step, polls)
			}
		}
	}
}

// versionOf counts what was written of an attempt.
func versionOf(t *testing.T, watcher *pgx.Conn, attempt parsec3.GreetingAttemptID) int64 {
	t.Helper()
	return testkit.Number(t, watcher, "SELECT version FROM parsec3.greeting_attempt WHERE attempt_id = $1", database.Key(attempt))
}

// TestSpeechesWait has a speech wait for whoever changes what it depends on, and then
// not be stored.
func TestSpeechesWait(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 3, now)
	populate(t, store)
	watcher := testkit.Connect(t, dsn)
	for name, changing := range map[string]struct {
		scope rules.Scope
		apply func(tx rules.Tx, token parsec3.AccessToken, attempt parsec3.GreetingAttemptID)
	}{
		"the invitation": {rules.Scope{}, func(tx rules.Tx, token parsec3.AccessToken, _ parsec3.GreetingAttemptID) {
			tx.EndInvitation(token, rules.InvitationEnd{On: 1, Status: protocol.InvitationFinished})
		}},
		"the attempt": {rules.Scope{}, func(tx rules.Tx, _ parsec3.AccessToken, attempt parsec3.GreetingAttemptID) {
			tx.CancelAttempt(attempt, rules.AttemptEnd{Origin: protocol.Claimer, Reason: protocol.InvalidSASCode})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			token, attempt := parsec3.NewAccessToken(), parsec3.GreetingAttemptID(parsec.NewUUID())
			change(t, store, rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
				tx.CreateInvitation(rules.Invitation{Token: token, CreatedBy: rules.Person{User: alice}, Claimer: rules.Claimer{Type: parsec.InvitationDevice, User: alice}})
			})
			changing.scope.Invitation = &token
			change(t, store, changing.scope, func(tx rules.Tx) {
				tx.CreateAttempt(rules.Attempt{ID: attempt, Invitation: token, Greeter: alice, Version: 1})
			})
			speech := rules.Speech{
				Organization: acme, Invitation: token, Greeter: alice, Profile: parsec.ProfileAdmin, Attempt: attempt, Version: 1, Side: protocol.Claimer,
			}
			type outcome struct {
				said bool
				err  error
			}
			outcomes := make(chan outcome, 1)
			change(t, store, changing.scope, func(tx rules.Tx) {
				changing.apply(tx, token, attempt)
				go func() {
					said, err := store.Say(t.Context(), speech, event.Event{Organization: acme, Body: notice.Pinged{ID: notice.NewID()}})
					outcomes <- outcome{said, err}
				}()
				testkit.Await(t, "the speech waits", func() bool {
					return testkit.Number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 1
				})
			})
			if got := <-outcomes; got.said || got.err != nil {
				t.Errorf("said: %t, %v", got.said, got.err)
			}
		})
	}
}

// TestLastSpeechLasts has PostgreSQL wait for the disk before it answers what a claimer
// says once, and for nothing else of a greeting.
func TestLastSpeechLasts(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	populate(t, open(t, dsn, 1, now))
	watcher := testkit.Connect(t, dsn)
	for _, sql := range []string{
		"CREATE TABLE waited (number bigint GENERATED ALWAYS AS IDENTITY, setting text)",
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN INSERT INTO waited (setting) VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER noted AFTER UPDATE ON parsec3.greeting_attempt DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (old.greeter_joined = new.greeter_joined AND old.claimer_joined = new.claimer_joined) EXECUTE FUNCTION note()`,
	} {
		testkit.Execute(t, watcher, sql)
	}
	instance := newInstance(t, dsn+" synchronous_commit=on")
	p := newPeers(t, instance, instance)
	p.begin()
	for step := range protocol.Steps {
		p.say(protocol.Greeter, step)
		p.say(protocol.Claimer, step)
	}
	var waited string
	if err := watcher.QueryRow(t.Context(), "SELECT string_agg(setting, ' ' ORDER BY number) FROM waited").Scan(&waited); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("off ", 2*protocol.Steps-1) + "on"; waited != want {
		t.Errorf("the commits wait: %s", waited)
	}
}

// TestSpeechesAndDeadlocks has a step wait for a transaction that changes its greeter, and
// then wants the invitation: it is as if the step had come later.
func TestSpeechesAndDeadlocks(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	populate(t, open(t, dsn, 1, now))
	parsec3 := newInstance(t, dsn)
	p := newPeers(t, parsec3, parsec3)
	p.begin()
	watcher, other := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	waiting := func(want int64) {
		t.Helper()
		testkit.Await(t, "somebody waits for a lock", func() bool {
			return testkit.Number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == want
		})
	}
	deadlocks := func() int64 {
		return testkit.Number(t, watcher, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
	}
	before := deadlocks()
	// The other transaction leaves it to the step to find that they wait for each other.
	for _, sql := range []string{
		"BEGIN", "SET LOCAL deadlock_timeout = '10min'",
		"UPDATE parsec3.user_ SET human_label = 'Alicia' WHERE organization = 'Acme'",
	} {
		p.run(other, sql)
	}
	said := make(chan error, 1)
	go func() {
		_, err := parsec3.InviteClaimerStep(t.Context(), p.invited, &protocol.InviteClaimerStepRequest{
			GreetingAttempt: p.attempt, ClaimerStep: protocol.ClaimerStepOf(0, make([]byte, 32)),
		})
		said <- err
	}()
	waiting(1)
	p.run(other, "UPDATE parsec3.invitation SET created_on = created_on + 1 WHERE organization = 'Acme'")
	waiting(1)
	p.run(other, "COMMIT")
	if err := <-said; !errors.Is(err, protocol.Refuse(protocol.StatusNotReady)) {
		t.Errorf("the step ends with %v", err)
	}
	// There are two when the step comes again before the other one is woken.
	testkit.Await(t, "the deadlock is counted", func() bool { return deadlocks() > before })
	if !p.say(protocol.Greeter, 0) {
		t.Error("the step is not stored")
	}
}

func (p *peers) run(on *pgx.Conn, sql string) {
	p.t.Helper()
	_, err := on.Exec(p.t.Context(), sql)
	p.no(err)
}

// TestRevealsGuessedInParallel has two servers guess at what the shares of a setup protect:
// each guess counts, and only for the invitation that it comes by.
func TestRevealsGuessedInParallel(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 2, now)
	populate(t, store)
	setup := rules.ShamirSetup{
		User: alice, CreatedOn: 1000, Threshold: 1, Shares: map[parsec3.UserID]uint8{}, RevealToken: theToken, CipheredData: []byte("data"),
	}
	change(t, store, rules.Scope{Common: rules.Shared, Shamir: rules.Exclusive}, func(tx rules.Tx) {
		tx.CreateShamirSetup(setup, rules.Certificate{Timestamp: setup.CreatedOn, Author: aliceOne}, nil)
	})
	tokens := []parsec3.AccessToken{parsec3.NewAccessToken(), parsec3.NewAccessToken()}
	change(t, store, rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
		for _, token := range tokens {
			tx.CreateInvitation(rules.Invitation{
				Token: token, CreatedBy: rules.Person{User: alice}, Claimer: rules.Claimer{Type: parsec.InvitationShamirRecovery, User: alice, Setup: setup.CreatedOn},
			})
		}
	})
	servers := []*rules.Rules{newInstance(t, dsn), newInstance(t, dsn)}
	reveal := func(server int, by, secret parsec3.AccessToken) error {
		_, err := servers[server].InviteShamirRecoveryReveal(t.Context(),
			&rules.Invited{Organization: acme, Token: by, API: parsec.APIVersion{Major: 5, Minor: 6}}, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: secret})
		return err
	}
	const guesses = 12
	outcomes := make(chan error, guesses)
	for n := range guesses {
		go func() { outcomes <- reveal(n%2, tokens[0], parsec3.NewAccessToken()) }()
	}
	wrong := protocol.Refuse(protocol.StatusBadRevealToken)
	for range guesses {
		if err := <-outcomes; !errors.Is(err, wrong) {
			t.Errorf("a guess ends with %v", err)
		}
	}
	const most = 10
	if got := testkit.Number(t, testkit.Connect(t, dsn), "SELECT sum(cardinality(wrong_on)) FROM parsec3.shamir_guess"); got != most {
		t.Errorf("%d guesses count", got)
	}
	for server := range servers {
		if err := reveal(server, tokens[0], theToken); !errors.Is(err, wrong) {
			t.Errorf("the right token after too many wrong ones: %v", err)
		}
		if err := reveal(server, tokens[1], theToken); err != nil {
			t.Errorf("by another invitation: %v", err)
		}
	}
}

// TestWhatIsOverIsErased has the attempts of an invitation go a day after its end, and
// what is left of an enrollment that was cancelled after 90 days.
func TestWhatIsOverIsErased(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	clock := parsec.DateTimeOf(time.Now())
	store := open(t, dsn, 2, func() parsec.DateTime { return clock })
	populate(t, store)
	watcher := testkit.Connect(t, dsn)
	want := func(what string, attempts, enrollments int64) {
		t.Helper()
		if err := store.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := testkit.Number(t, watcher, "SELECT count(*) FROM parsec3.greeting_attempt"); got != attempts {
			t.Errorf("%s: %d attempts are kept, want %d", what, got, attempts)
		}
		if got := testkit.Number(t, watcher, "SELECT count(*) FROM parsec3.enrollment"); got != enrollments {
			t.Errorf("%s: %d enrollments are kept, want %d", what, got, enrollments)
		}
	}
	var tokens []parsec3.AccessToken
	for range 2 {
		token := parsec3.NewAccessToken()
		change(t, store, rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
			tx.CreateInvitation(rules.Invitation{Token: token, CreatedBy: rules.Person{User: alice}, Claimer: rules.Claimer{Type: parsec.InvitationDevice, User: alice}})
		})
		change(t, store, rules.Scope{Common: rules.Shared, Invitation: &token}, func(tx rules.Tx) {
			tx.CreateAttempt(rules.Attempt{ID: parsec3.GreetingAttemptID(parsec.NewUUID()), Invitation: token, Greeter: alice, Version: 1})
		})
		tokens = append(tokens, token)
	}
	change(t, store, rules.Scope{Common: rules.Shared, Invitation: &tokens[0]}, func(tx rules.Tx) {
		tx.EndInvitation(tokens[0], rules.InvitationEnd{On: clock, Status: protocol.InvitationFinished})
	})
	for i, email := range []string{"one@example.com", "two@example.com"} {
		id := parsec3.EnrollmentID{byte(i + 1)}
		change(t, store, rules.Scope{Common: rules.Shared, Enrollment: rules.Exclusive}, func(tx rules.Tx) {
			tx.SubmitEnrollment(rules.Enrollment{ID: id, Status: protocol.EnrollmentSubmitted, SubmittedOn: clock}, email)
		})
	}
	change(t, store, rules.Scope{Common: rules.Shared, Enrollment: rules.Exclusive}, func(tx rules.Tx) {
		tx.EndEnrollment(parsec3.EnrollmentID{1}, protocol.EnrollmentRejected, clock)
	})
	const day = 24 * time.Hour
	want("at the end", 2, 2)
	clock = clock.Add(day)
	want("a day later", 2, 2)
	clock = clock.Add(time.Second)
	want("a moment later", 1, 2)
	clock = clock.Add(89 * day)
	want("90 days later", 1, 1)
}
