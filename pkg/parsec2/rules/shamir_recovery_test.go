package rules_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// toRecover invites bob, whose recovery alice and mallory have shares of.
func toRecover() *protocol.InviteNewRequest {
	return &protocol.InviteNewRequest{Type: parsec.InvitationShamirRecovery, ClaimerUserID: bobID.User()}
}

// setUpRecovery is bob's: 3 shares of alice's one and mallory's two.
func (f *fixture) setUpRecovery() *shamirCreation {
	f.t.Helper()
	creation := f.shamirCreation()
	f.ok(f.ShamirRecoverySetup(f.t.Context(), f.bob(), creation.request()))
	f.events.take()
	return creation
}

// recoveryEvent returns what both recipients are told.
func recoveryEvent(token parsec.InvitationToken, status parsec.InvitationStatus) event.Body {
	return notice.InviteStatusChanged{
		Greeters: []parsec.UserID{aliceID.User(), malloryID.User()}, Token: token, Status: status,
	}
}

func (f *fixture) recoveryInvitee(token parsec.InvitationToken) *rules.Invitee {
	f.t.Helper()
	facts, err := f.Invitation(f.t.Context(), acme, token)
	f.ok(facts, err)
	invitee := facts.Invitee(latest)
	return &invitee
}

// TestInviteNewToRecover has the rows of SHAMIR_RECOVERY in
// docs/protocol/invite.md §2.
func TestInviteNewToRecover(t *testing.T) {
	f := newFixture(t)
	carol := f.createUser(f.alice(), carolID, parsec.ProfileStandard)
	creation := f.setUpRecovery()
	for _, row := range []struct {
		name    string
		author  *rules.Author
		claimer parsec.UserID
		want    protocol.Status
	}{
		{"nobody", f.alice(), userID("nobody"), protocol.StatusShamirNotSetup},
		{"without setup", f.alice(), malloryID.User(), protocol.StatusShamirNotSetup},
		{"by no recipient", carol, bobID.User(), protocol.StatusNotAllowed},
		{"by the claimer", f.bob(), bobID.User(), protocol.StatusNotAllowed},
		{"by a recipient", f.mallory(), bobID.User(), protocol.StatusOK},
		{"by no recipient, again", carol, bobID.User(), protocol.StatusNotAllowed},
		{"by another recipient", f.alice(), bobID.User(), protocol.StatusOK},
	} {
		request := toRecover()
		request.ClaimerUserID = row.claimer
		reply, err := f.InviteNew(t.Context(), row.author, request)
		if got := status(reply, err); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		} else if row.want == protocol.StatusOK {
			f.wantEvents(recoveryEvent(reply.Token, parsec.InvitationIdle))
		} else {
			f.wantEvents()
		}
	}
	f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), &protocol.ShamirRecoverySetupRequest{}))
	if got := status(f.InviteNew(t.Context(), f.alice(), toRecover())); got != protocol.StatusShamirNotSetup {
		t.Errorf("after the removal: %s", got)
	}
	creation.token = parsec.NewUUID()
	f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), creation.request()))
	f.revoke(bobID.User())
	if got := status(f.InviteNew(t.Context(), f.alice(), toRecover())); got != protocol.StatusShamirNotSetup {
		t.Errorf("of a revoked user: %s", got)
	}
}

// TestInviteNewToRecoverAgain gives the token of before to every recipient.
func TestInviteNewToRecoverAgain(t *testing.T) {
	f := newFixture(t)
	f.setUpRecovery()
	var tokens [10]parsec.InvitationToken
	var wait sync.WaitGroup
	for i := range tokens {
		author := []*rules.Author{f.alice(), f.mallory()}[i%2]
		wait.Go(func() {
			reply, err := f.InviteNew(t.Context(), author, toRecover())
			if err != nil {
				t.Error(err)
				return
			}
			tokens[i] = reply.Token
		})
	}
	wait.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatalf("tokens %v", tokens)
		}
	}
	f.ok(nil, f.inviteDelete(f.alice(), tokens[0]))
	if f.inviteNew(f.mallory(), toRecover()) == tokens[0] {
		t.Error("the token of a deleted invitation")
	}
}

func TestInviteNewToRecoverMails(t *testing.T) {
	m := &mailer{outcome: protocol.EmailSuccess}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = m }))
	f.setUpRecovery()
	request := toRecover()
	request.SendEmail = true
	reply, err := f.InviteNew(t.Context(), f.mallory(), request)
	f.ok(reply, err)
	again, err := f.InviteNew(t.Context(), f.alice(), request)
	f.ok(again, err)
	mail := func(greeter parsec.HumanHandle) rules.InvitationMail {
		return rules.InvitationMail{
			Organization: acme, Type: parsec.InvitationShamirRecovery, Token: reply.Token, To: human(bobID.User()).Email(),
			GreeterName: greeter.Label(), ReplyTo: greeter,
		}
	}
	equal(t, "mails", m.mails, []rules.InvitationMail{mail(human(malloryID.User())), mail(human(aliceID.User()))})
}

// TestInviteNewToRecoverWithoutAddress sends nothing.
func TestInviteNewToRecoverWithoutAddress(t *testing.T) {
	m := &mailer{outcome: protocol.EmailSuccess}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = m }))
	nameless := f.userCreation(f.alice(), carolID, parsec.ProfileStandard)
	nameless.user.HumanHandle = parsec.HumanHandle{}
	nameless.redactedUser = nameless.user.Redacted()
	f.ok(f.UserCreate(t.Context(), f.alice(), nameless.request()))
	creation := f.shamirCreation()
	creation.by(carolID)
	f.ok(f.ShamirRecoverySetup(t.Context(), f.author(acme, carolID, parsec.ProfileStandard), creation.request()))
	reply, err := f.InviteNew(t.Context(), f.alice(), &protocol.InviteNewRequest{
		Type: parsec.InvitationShamirRecovery, ClaimerUserID: carolID.User(), SendEmail: true,
	})
	f.ok(reply, err)
	if reply.EmailSent != protocol.EmailBadRecipient || len(m.mails) > 0 {
		t.Errorf("e-mail %s, sent %v", reply.EmailSent, m.mails)
	}
}

// TestInviteDeleteToRecover is for recipients and the claimer.
func TestInviteDeleteToRecover(t *testing.T) {
	f := newFixture(t)
	carol := f.createUser(f.alice(), carolID, parsec.ProfileStandard)
	f.setUpRecovery()
	for _, author := range []*rules.Author{f.alice2(), f.mallory(), f.bob()} {
		token := f.inviteNew(f.alice(), toRecover())
		f.events.take()
		if got := status(nil, f.inviteDelete(carol, token)); got != protocol.StatusNotFound {
			t.Errorf("by a stranger: %s", got)
		}
		f.ok(nil, f.inviteDelete(author, token))
		f.wantEvents(recoveryEvent(token, parsec.InvitationDeleted))
		for _, again := range []*rules.Author{f.alice(), f.mallory(), f.bob()} {
			if got := status(nil, f.inviteDelete(again, token)); got != protocol.StatusAlreadyDeleted {
				t.Errorf("again: %s", got)
			}
		}
	}
}

// TestRecoveryInvitationEndsWithItsSetup has what cancels it: another setup,
// none, and the revocation of the claimer.
func TestRecoveryInvitationEndsWithItsSetup(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"another setup": func(f *fixture) {
			f.ok(f.ShamirRecoverySetup(f.t.Context(), f.bob(), f.shamirCreation().request()))
		},
		"no setup": func(f *fixture) {
			f.ok(f.ShamirRecoverySetup(f.t.Context(), f.bob(), &protocol.ShamirRecoverySetupRequest{}))
		},
		"revocation": func(f *fixture) { f.revoke(bobID.User()) },
	} {
		f := newFixture(t)
		f.setUpRecovery()
		token := f.inviteNew(f.alice(), toRecover())
		spoiled := f.shamirCreation()
		spoiled.brief.Threshold = 9
		if _, err := f.ShamirRecoverySetup(t.Context(), f.bob(), spoiled.request()); err == nil {
			t.Fatal("the spoiled setup passes")
		}
		over := make(chan struct{})
		session, err := f.ConnectInvited(t.Context(), rules.Invitee{
			Organization: acme, Token: token, Type: parsec.InvitationShamirRecovery, API: latest,
		}, func() { close(over) }, func() {})
		f.ok(session, err)
		f.events.take()
		end(f)
		<-over
		session.Close()
		if got := f.events.bodies(); len(got) == 0 {
			t.Errorf("%s: no event", name)
		} else {
			equal(t, name, got[0], recoveryEvent(token, parsec.InvitationDeleted))
		}
		facts, err := f.store.Invitation(t.Context(), acme, token)
		f.ok(facts, err)
		if facts.Invitation.DeletedReason != protocol.InvitationCancelled {
			t.Errorf("%s: deleted for %q", name, facts.Invitation.DeletedReason)
		}
	}
}

// TestInviteListToRecover is of every recipient whose client knows the type.
func TestInviteListToRecover(t *testing.T) {
	f := newFixture(t)
	f.setUpRecovery()
	created := f.clock.now()
	token := f.inviteNew(f.alice(), toRecover())
	f.clock.advance(time.Second)
	device := f.inviteNew(f.mallory(), forDevice())
	claimant := f.claimant(f.Rules, parsec.InvitationShamirRecovery, token)
	defer claimant.Close()
	item := protocol.InvitationItem{
		Type: parsec.InvitationShamirRecovery, Token: token, CreatedOn: created, ClaimerUserID: new(bobID.User()), Status: parsec.InvitationReady,
	}
	older := protocol.InvitationItem{
		Type: parsec.InvitationDevice, Token: device, CreatedOn: f.clock.now(), Status: parsec.InvitationIdle,
	}
	for _, row := range []struct {
		author *rules.Author
		api    parsec.APIVersion
		want   []protocol.InvitationItem
	}{
		{f.alice(), latest, []protocol.InvitationItem{item}},
		{f.mallory(), latest, []protocol.InvitationItem{item, older}},
		{f.mallory(), parsec.APIVersion{Major: 3, Minor: 3}, []protocol.InvitationItem{item, older}},
		{f.mallory(), parsec.APIVersion{Major: 2, Minor: 9}, []protocol.InvitationItem{item, older}},
		{f.mallory(), parsec.APIVersion{Major: 3, Minor: 2}, []protocol.InvitationItem{older}},
		{f.mallory(), parsec.APIVersion{Major: 2, Minor: 8}, []protocol.InvitationItem{older}},
		{f.bob(), latest, []protocol.InvitationItem{}},
	} {
		row.author.API = row.api
		list, err := f.InviteList(t.Context(), row.author, nil)
		f.ok(list, err)
		equal(t, "list in "+row.api.String(), list.Invitations, row.want)
	}
}

// TestInviteInfoToRecover leaves out who cannot help.
func TestInviteInfoToRecover(t *testing.T) {
	f := newFixture(t)
	f.setUpRecovery()
	token := f.inviteNew(f.alice(), toRecover())
	alice := protocol.RecoveryRecipient{UserID: aliceID.User(), HumanHandle: human(aliceID.User()), Shares: 1}
	mallory := protocol.RecoveryRecipient{UserID: malloryID.User(), HumanHandle: human(malloryID.User()), Shares: 2}
	want := func(recipients ...protocol.RecoveryRecipient) {
		t.Helper()
		info, err := f.InviteInfo(t.Context(), f.recoveryInvitee(token), nil)
		f.ok(info, err)
		equal(t, "info", info, &protocol.InviteInfoReply{
			Type: parsec.InvitationShamirRecovery, Threshold: new(uint64(3)), Recipients: recipients,
		})
	}
	want(alice, mallory)
	f.revoke(malloryID.User())
	want(alice)
}

// TestRecoveryGreeters has whom the claimer may talk to.
func TestRecoveryGreeters(t *testing.T) {
	f := newFixture(t)
	f.setUpRecovery()
	token := f.inviteNew(f.alice(), toRecover())
	p := &pair{fixture: f, greeter: f.mallory(), invitee: f.recoveryInvitee(token), token: token, sides: [2]*rules.Rules{f.Rules, f.Rules}}
	p.wantStatus("nobody named", p.begin(t.Context(), step{0, rules.ClaimerSide}, ""), protocol.StatusNotFound)
	p.to = bobID.User()
	p.wantStatus("no recipient", p.begin(t.Context(), step{0, rules.ClaimerSide}, ""), protocol.StatusNotFound)
	p.greeter = f.bob()
	p.wantStatus("the claimer as greeter", p.begin(t.Context(), step{0, rules.GreeterSide}, ""), protocol.StatusNotFound)

	// Two at once: neither hears the other.
	malloryPair, alicePair := *p, *p
	malloryPair.greeter, malloryPair.to = f.mallory(), malloryID.User()
	alicePair.greeter, alicePair.to = f.alice(), aliceID.User()
	waiting := alicePair.begin(t.Context(), step{0, rules.ClaimerSide}, "to alice")
	alicePair.talked(rules.ClaimerSide)
	malloryPair.through(5, rules.GreeterSide)
	if got := p.wait(alicePair.begin(t.Context(), step{0, rules.GreeterSide}, "alice")); got.err != nil || got.heard != string(nonce("to alice")) {
		t.Errorf("alice: %+v", got)
	}
	if got := p.wait(waiting); got.err != nil || got.heard != string(nonce("alice")) {
		t.Errorf("the claimer of alice: %+v", got)
	}

	// A recipient that is revoked goes alone.
	waiting = malloryPair.begin(t.Context(), step{0, rules.ClaimerSide}, "")
	malloryPair.talked(rules.ClaimerSide)
	f.revoke(malloryID.User())
	p.wantStatus("to whom is revoked", waiting, protocol.StatusNotFound)
	p.wantStatus("to whom is revoked", malloryPair.begin(t.Context(), step{0, rules.ClaimerSide}, ""), protocol.StatusNotFound)
	if err := p.wait(malloryPair.begin(t.Context(), step{0, rules.GreeterSide}, "")).err; !errors.Is(err, rules.ErrSessionOver) {
		t.Errorf("who is revoked: %v", err)
	}
	alicePair.through(5, rules.ClaimerSide)
}

func (f *fixture) reveal(invitee *rules.Invitee, token parsec.UUID) (*protocol.InviteShamirRecoveryRevealReply, error) {
	return f.InviteShamirRecoveryReveal(f.t.Context(), invitee, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: token})
}

// TestInviteShamirRecoveryReveal has its rows (docs/protocol/invite.md §8).
func TestInviteShamirRecoveryReveal(t *testing.T) {
	f := newFixture(t)
	creation := f.shamirCreation()
	previous := *creation
	previous.token = parsec.NewUUID()
	f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), previous.request()))
	f.ok(f.ShamirRecoverySetup(t.Context(), f.bob(), creation.request()))
	foreign := f.shamirCreation()
	foreign.by(malloryID)
	foreign.share(bobID.User(), 1)
	f.ok(f.ShamirRecoverySetup(t.Context(), f.mallory(), foreign.request()))

	token := f.inviteNew(f.alice(), toRecover())
	bob := f.recoveryInvitee(token)
	device := f.recoveryInvitee(f.inviteNew(f.bob(), forDevice()))
	elsewhere := *bob
	elsewhere.Organization = other
	f.createOrganization(other)
	for _, row := range []struct {
		name    string
		invitee *rules.Invitee
		token   parsec.UUID
		want    protocol.Status
	}{
		{"unknown token", bob, parsec.NewUUID(), protocol.StatusNotFound},
		{"token of the setup before", bob, previous.token, protocol.StatusNotFound},
		{"token of another's setup", bob, foreign.token, protocol.StatusNotFound},
		{"by another invitation", device, creation.token, protocol.StatusNotFound},
		{"its own", bob, creation.token, protocol.StatusOK},
	} {
		reply, err := f.reveal(row.invitee, row.token)
		if got := status(reply, err); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		} else if row.want == protocol.StatusOK && string(reply.CipheredData) != "data" {
			t.Errorf("%s: %q", row.name, reply.CipheredData)
		}
	}
	if _, err := f.reveal(&elsewhere, creation.token); !errors.Is(err, rules.UnknownInvitation) {
		t.Errorf("in another organization: %v", err)
	}
	f.ok(nil, f.inviteDelete(f.alice(), token))
	if _, err := f.reveal(bob, creation.token); !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("of a deleted invitation: %v", err)
	}
}

// TestRevealsAreSlowedDown counts virtual time.
func TestRevealsAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, inMemory)
		creation := f.setUpRecovery()
		bob := f.recoveryInvitee(f.inviteNew(f.alice(), toRecover()))
		start := time.Now()
		for range 5 {
			if got := status(f.reveal(bob, parsec.NewUUID())); got != protocol.StatusNotFound {
				t.Fatal(got)
			}
		}
		if spent := time.Since(start); spent != 0 {
			t.Errorf("five guesses take %s", spent)
		}
		f.ok(f.reveal(bob, creation.token))
		if spent := time.Since(start); spent != 10*time.Second {
			t.Errorf("the sixth attempt comes after %s", spent)
		}
		// Many at once are not even looked at, whatever they have.
		var refused int
		var mu sync.Mutex
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() {
				if _, err := f.reveal(bob, creation.token); err != nil {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		if refused != 94 {
			t.Errorf("%d of 100 are refused", refused)
		}
		if spent := time.Since(start); spent != 70*time.Second {
			t.Errorf("the last attempt comes after %s", spent)
		}
	})
}
