package rules_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// recovery is a command about the setup of bob, by alice and carol.
type recovery struct {
	realmCommand
	setup *shamirSetup
}

func newRecovery(t *testing.T, changes ...func(*setup)) recovery {
	t.Helper()
	c := newRealmCommand(t, changes...)
	setup := c.shamirSetup(c.bob(), aliceID, carolID)
	c.setUp(c.bob(), setup)
	c.events.take()
	return recovery{c, setup}
}

// deleted has bob delete the setup.
func (r *recovery) deleted() {
	r.t.Helper()
	r.clock.advance(time.Microsecond)
	r.deleteSetup(r.bob(), r.setup)
}

// inviteRecovery has an author invite bob to recover.
func (f *fixture) inviteRecovery(author *rules.Author) parsec3.AccessToken {
	f.t.Helper()
	reply, err := f.InviteNewShamirRecovery(f.t.Context(), author, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: bobID})
	f.ok(reply, err)
	f.clock.advance(time.Second)
	return reply.Token
}

// recoveryInvitation has alice invite bob to recover.
type recoveryInvitation struct {
	recovery
	claimer parsec3.UserID
}

func newRecoveryInvitation(t *testing.T) *recoveryInvitation {
	return &recoveryInvitation{newRecovery(t), bobID}
}

func (s *recoveryInvitation) run() error {
	return failure(s.InviteNewShamirRecovery(s.t.Context(), s.author, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: s.claimer}))
}

func TestInviteNewShamirRecoveryTable(t *testing.T) {
	checkTable(t, "invite_new_shamir_recovery", newRecoveryInvitation, realmRows([]row[*recoveryInvitation]{
		{"1", "claimer unknown", func(s *recoveryInvitation) { s.claimer = nobodyID }, protocol.StatusUserNotFound},
		{"1", "claimer revoked", func(s *recoveryInvitation) { s.forceRevoked(bobID) }, protocol.StatusUserNotFound},
		{"2", "no setup", func(s *recoveryInvitation) { s.claimer = daveID }, protocol.StatusAuthorNotAllowed},
		{"2", "no recipient", func(s *recoveryInvitation) { s.author = s.device(daveDesk) }, protocol.StatusAuthorNotAllowed},
		{"2", "the owner", func(s *recoveryInvitation) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
	}), append(standingApart, [2]string{"claimer unknown", "claimer revoked"}, [2]string{"claimer revoked", "no setup"})...)
	s := newRecoveryInvitation(t)
	s.deleted()
	if got := status(nil, s.run()); got != protocol.StatusAuthorNotAllowed {
		t.Errorf("a setup that is deleted: got %s", got)
	}
}

// Whoever is a recipient of the current setup finds its one invitation; all of them
// hear of it.
func TestInviteNewShamirRecovery(t *testing.T) {
	post := &mailer{outcome: protocol.EmailSuccess}
	r := newRecovery(t, withOptions(func(o *rules.Options) { o.Mailer = post }))
	on := r.clock.now()
	token := r.inviteRecovery(r.alice())
	greeters := []parsec3.UserID{aliceID, carolID}
	slices.SortFunc(greeters, func(a, b parsec3.UserID) int { return slices.Compare(a[:], b[:]) })
	told := []event.Body{notice.Invitation{Token: token, Status: protocol.InvitationPending, Greeters: greeters}}
	r.checkEvents(told...)
	again, err := r.InviteNewShamirRecovery(t.Context(), r.device(carolDesk), &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: bobID, SendEmail: true})
	r.ok(again, err)
	if again.Token != token || again.EmailSent != protocol.EmailSuccess {
		t.Errorf("got %+v", again)
	}
	r.checkEvents(told...)
	mail := []rules.InvitationMail{{
		To: human(bobID).Email(), Organization: acme, Type: parsec.InvitationShamirRecovery, Token: token, Greeter: human(carolID),
	}}
	if got := post.take(); !reflect.DeepEqual(got, mail) {
		t.Errorf("sent %+v, want %+v", got, mail)
	}

	item := protocol.InviteListItem{
		Type: parsec.InvitationShamirRecovery, Token: token, CreatedOn: on, CreatedBy: protocol.InvitationOfUser(aliceID, human(aliceID)),
		Status: protocol.InvitationPending, ClaimerUserID: &bobID, ShamirRecoveryCreatedOn: &r.setup.brief.Timestamp,
	}
	for author, want := range map[parsec3.DeviceID][]protocol.InviteListItem{aliceLaptop: {item}, carolDesk: {item}, bobLaptop: nil, daveDesk: nil} {
		if got := r.listed(r.device(author)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s sees %+v, want %+v", nameOf(parsec.UUID(author)), got, want)
		}
	}
}

// A setup that is deleted takes its invitation with it: who is invited, and who greets,
// is told. The next setup has an invitation of its own.
func TestDeletedSetupCancelsItsInvitation(t *testing.T) {
	r := newRecovery(t)
	token := r.inviteRecovery(r.alice())
	started, err := r.InviteGreeterStartGreetingAttempt(t.Context(), r.alice(), &protocol.InviteGreeterStartGreetingAttemptRequest{Token: token})
	r.ok(started, err)
	r.events.take()
	r.deleted()
	var ended, cancelled int
	for _, body := range r.events.bodies() {
		switch told := body.(type) {
		case notice.Invitation:
			if told.Token == token && told.Status == protocol.InvitationCancelled {
				ended++
			}
		case notice.GreetingAttemptCancelled:
			if told.Attempt == started.GreetingAttempt && told.Greeter == aliceID {
				cancelled++
			}
		}
	}
	if ended == 0 || cancelled == 0 {
		t.Errorf("told %d times of the end, and %d times of that of the attempt", ended, cancelled)
	}
	r.checkOver(token)
	// One that another server made has no end of its own.
	imported := parsec3.NewAccessToken()
	r.ok(nil, r.store.Update(t.Context(), rules.Scope{Organization: acme, Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) error {
		tx.CreateInvitation(rules.Invitation{
			Token: imported, CreatedBy: rules.Person{User: aliceID}, CreatedOn: 1,
			Claimer: rules.Claimer{Type: parsec.InvitationShamirRecovery, User: bobID, Setup: r.setup.brief.Timestamp},
		})
		return nil
	}))
	r.checkOver(imported)
	again := r.shamirSetup(r.bob(), carolID, daveID)
	r.setUp(r.bob(), again)
	second := r.inviteRecovery(r.device(daveDesk))
	if second == token {
		t.Error("the invitation of the setup that is deleted is used again")
	}
	statuses := map[parsec3.AccessToken]protocol.InvitationStatus{}
	for _, item := range r.listed(r.device(carolDesk)) {
		statuses[item.Token] = item.Status
	}
	want := map[parsec3.AccessToken]protocol.InvitationStatus{
		imported: protocol.InvitationCancelled, token: protocol.InvitationCancelled, second: protocol.InvitationPending,
	}
	if !reflect.DeepEqual(statuses, want) {
		t.Errorf("listed as %v", statuses)
	}
	r.clock.advance(91 * 24 * time.Hour)
	if got := r.listed(r.device(carolDesk)); len(got) != 1 || got[0].Token != second {
		t.Errorf("listed %+v 91 days later", got)
	}
}

// checkOver wants an invitation to let nobody in, nor anybody greet.
func (r *recovery) checkOver(token parsec3.AccessToken) {
	r.t.Helper()
	ctx := r.t.Context()
	if got := status(r.AdmitInvited(ctx, acme, token, latest)); got != aborted(rules.InvitationOver) {
		r.t.Errorf("the claimer: got %s", got)
	}
	reveal := &protocol.InviteShamirRecoveryRevealRequest{RevealToken: r.setup.token}
	if got := status(r.InviteShamirRecoveryReveal(ctx, invited(token), reveal)); got != aborted(rules.InvitationOver) {
		r.t.Errorf("reveal: got %s", got)
	}
	start := &protocol.InviteGreeterStartGreetingAttemptRequest{Token: token}
	if got := status(r.InviteGreeterStartGreetingAttempt(ctx, r.alice(), start)); got != protocol.StatusInvitationCancelled {
		r.t.Errorf("the greeter: got %s", got)
	}
	if got := status(r.InviteCancel(ctx, r.alice(), &protocol.InviteCancelRequest{Token: token})); got != protocol.StatusInvitationAlreadyCancelled {
		r.t.Errorf("cancel: got %s", got)
	}
	if got := status(r.InviteComplete(ctx, r.alice(), &protocol.InviteCompleteRequest{Token: token})); got != protocol.StatusInvitationCancelled {
		r.t.Errorf("complete: got %s", got)
	}
}

// Whose owner is revoked has nothing to recover.
func TestRevokedOwnerIsNotRecovered(t *testing.T) {
	r := newRecovery(t)
	token := r.inviteRecovery(r.alice())
	r.revoke(bobID)
	r.checkOver(token)
}

// The owner ends the invitation itself, once it has recovered; nobody else but recipients
// may.
func TestInviteCompleteByTheOwner(t *testing.T) {
	r := newRecovery(t)
	token := r.inviteRecovery(r.alice())
	for _, stranger := range []*rules.Author{r.device(daveDesk), r.mallory()} {
		if got := status(r.InviteComplete(t.Context(), stranger, &protocol.InviteCompleteRequest{Token: token})); got != protocol.StatusAuthorNotAllowed {
			t.Errorf("a stranger: got %s", got)
		}
	}
	r.ok(r.InviteComplete(t.Context(), r.bob(), &protocol.InviteCompleteRequest{Token: token}))
	if got := r.listed(r.alice())[0].Status; got != protocol.InvitationFinished {
		t.Errorf("listed as %s", got)
	}
}

// The claimer counts the shares of all recipients, those that are revoked too.
func TestInviteInfoOfRecovery(t *testing.T) {
	r := newRecovery(t)
	token := r.inviteRecovery(r.alice())
	r.freeze(aliceID)
	got, err := r.InviteInfo(t.Context(), invited(token), &protocol.InviteInfoRequest{})
	r.ok(got, err)
	want := &protocol.InviteInfoReply{
		Type: parsec.InvitationShamirRecovery, CreatedBy: protocol.InvitationOfUser(aliceID, human(aliceID)),
		ClaimerUserID: &bobID, ClaimerHumanHandle: new(human(bobID)),
		ShamirRecoveryCreatedOn: &r.setup.brief.Timestamp, Threshold: new(uint8(2)),
		Recipients: []protocol.InviteRecipient{
			{UserID: aliceID, HumanHandle: human(aliceID), Shares: 1, OnlineStatus: protocol.Offline},
			{UserID: carolID, HumanHandle: human(carolID), Shares: 2, OnlineStatus: protocol.OnlineUnknown},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r.revoke(carolID)
	got, err = r.InviteInfo(t.Context(), invited(token), &protocol.InviteInfoRequest{})
	r.ok(got, err)
	if len(got.Recipients) != 2 || got.Recipients[1].RevokedOn == nil {
		t.Errorf("got %+v", got.Recipients)
	}
	// They are in the order of their names, not in that of their creation.
	r.setUp(r.alice(), r.shamirSetup(r.alice(), malloryID, daveID))
	reply, err := r.InviteNewShamirRecovery(t.Context(), r.mallory(), &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: aliceID})
	r.ok(reply, err)
	got, err = r.InviteInfo(t.Context(), invited(reply.Token), &protocol.InviteInfoRequest{})
	r.ok(got, err)
	if len(got.Recipients) != 2 || got.Recipients[0].UserID != daveID {
		t.Errorf("got %+v", got.Recipients)
	}
}

// Recipients greet, whoever made the invitation, unless they are revoked.
func TestGreetersOfRecovery(t *testing.T) {
	r := newRecovery(t)
	token := r.inviteRecovery(r.alice())
	start := func(greeter parsec3.UserID) protocol.Status {
		return status(r.InviteClaimerStartGreetingAttempt(t.Context(), invited(token), &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: greeter}))
	}
	for greeter, want := range map[parsec3.UserID]protocol.Status{
		aliceID: protocol.StatusOK, carolID: protocol.StatusOK, daveID: protocol.StatusGreeterNotAllowed,
		bobID: protocol.StatusGreeterNotAllowed, nobodyID: protocol.StatusGreeterNotFound,
	} {
		if got := start(greeter); got != want {
			t.Errorf("%s: got %s, want %s", nameOf(parsec.UUID(greeter)), got, want)
		}
	}
	for device, want := range map[parsec3.DeviceID]protocol.Status{carolDesk: protocol.StatusOK, daveDesk: protocol.StatusAuthorNotAllowed, bobLaptop: protocol.StatusAuthorNotAllowed} {
		if got := status(r.InviteGreeterStartGreetingAttempt(t.Context(), r.device(device), &protocol.InviteGreeterStartGreetingAttemptRequest{Token: token})); got != want {
			t.Errorf("%s: got %s, want %s", nameOf(parsec.UUID(device)), got, want)
		}
	}
	r.revoke(carolID)
	if got := start(carolID); got != protocol.StatusGreeterRevoked {
		t.Errorf("a recipient that is revoked: got %s", got)
	}
}

// reveal has bob, who is invited to recover, ask for what its setup keeps.
type reveal struct {
	byInvitation
	recovery *recovery
	token    parsec3.AccessToken
}

func newReveal(t *testing.T) *reveal {
	r := newRecovery(t)
	return &reveal{byInvitation{command{r.fixture, r.alice()}, invited(r.inviteRecovery(r.alice()))}, &r, r.setup.token}
}

func (s *reveal) ask() (*protocol.InviteShamirRecoveryRevealReply, error) {
	return s.InviteShamirRecoveryReveal(s.t.Context(), s.invited, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: s.token})
}

func (s *reveal) run() error { return failure(s.ask()) }

func TestInviteShamirRecoveryRevealTable(t *testing.T) {
	for i := range invitationRows[*reveal]("A3") {
		rows := append(invitedRows[*reveal](), invitationRows[*reveal]("A3")[i])
		checkTable(t, "invite_shamir_recovery_reveal", newReveal, append(rows,
			row[*reveal]{"1", "another type", func(s *reveal) { s.invited.Token = s.inviteUser(s.alice(), zackEmail) }, protocol.StatusBadInvitationType},
			row[*reveal]{"2", "another token", func(s *reveal) { s.token = randomToken() }, protocol.StatusBadRevealToken},
		), append([][2]string{
			{"organization expired", "invitation unknown"}, {"invitation unknown", "another type"},
			{"invitation cancelled", "another type"}, {"invitation finished", "another type"},
		}, invitedApart...)...)
	}
}

// What is revealed is that of the invitation's setup, as often as it is asked for.
func TestInviteShamirRecoveryReveal(t *testing.T) {
	s := newReveal(t)
	other := s.shamirSetup(s.fixture.author(daveDesk), aliceID)
	other.brief.Threshold = 1
	s.setUp(s.fixture.author(daveDesk), other)
	for range 30 {
		reply, err := s.ask()
		s.ok(nil, err)
		if string(reply.CipheredData) != "data of bob" {
			t.Fatalf("got %q", reply.CipheredData)
		}
	}
	s.token = other.token
	if got := status(s.ask()); got != protocol.StatusBadRevealToken {
		t.Errorf("the token of another setup: got %s", got)
	}
}

// After ten wrong tokens the right one is not looked at, until some time has passed;
// those that come at once are counted, too.
func TestInviteShamirRecoveryRevealIsBounded(t *testing.T) {
	s := newReveal(t)
	right := s.token
	r := s.recovery
	dave := r.shamirSetup(r.fixture.author(daveDesk), aliceID)
	dave.brief.Threshold = 1
	r.setUp(r.fixture.author(daveDesk), dave)
	recovered, err := r.InviteNewShamirRecovery(t.Context(), r.alice(), &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: daveID})
	r.ok(recovered, err)
	again := &reveal{byInvitation{command{r.fixture, r.alice()}, invited(recovered.Token)}, r, dave.token}
	guess := func() error {
		_, err := s.InviteShamirRecoveryReveal(t.Context(), s.invited, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: randomToken()})
		return err
	}
	if got := parallel(slices.Repeat([]func() error{guess}, 10)...); got[protocol.StatusBadRevealToken] != 10 {
		t.Fatalf("got %v", got)
	}
	if got := status(s.ask()); got != protocol.StatusBadRevealToken {
		t.Errorf("the right token after ten wrong ones: got %s", got)
	}
	if got := status(again.ask()); got != protocol.StatusOK {
		t.Errorf("the right token of another invitation: got %s", got)
	}
	s.clock.advance(time.Hour)
	s.token = right
	s.ok(s.ask())
}
