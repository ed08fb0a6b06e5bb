package storetest

import (
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

var inviteChecks = []check{
	{"creation", invitationCreation},
	{"claimers", invitationClaimers},
	{"ends", invitationEnds},
	{"list", invitationList},
	{"greeters", invitationGreeters},
	{"enrolled", invitationEnrolled},
	{"attempts", greetingAttempts},
	{"sessions", greetingSessions},
	{"speeches", greetingSpeeches},
	{"speeches that hold no more", greetingSpeechesLate},
}

// The claimers of the checks.
var (
	zack       = rules.Claimer{Type: parsec.InvitationUser, Email: "zack@example.com"}
	bobsDevice = rules.Claimer{Type: parsec.InvitationDevice, User: bob}
)

func onInvitations() rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Shared, Invitations: rules.Exclusive}
}

func onInvitation(token parsec3.AccessToken) rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Shared, Invitation: &token}
}

// invite has alice invite a claimer.
func (f *fixture) invite(claimer rules.Claimer) rules.Invitation {
	f.Helper()
	created := rules.Invitation{
		Token: parsec3.NewAccessToken(), CreatedBy: rules.Person{User: alice, HumanHandle: newUser(alice, "", 0).HumanHandle},
		CreatedOn: f.next(), Claimer: claimer,
	}
	f.queue(onInvitations(), func(tx rules.Tx) { tx.CreateInvitation(created) })
	return created
}

// end ends an invitation now.
func (f *fixture) end(token parsec3.AccessToken, status protocol.InvitationStatus) rules.InvitationEnd {
	f.Helper()
	end := rules.InvitationEnd{On: f.next(), Status: status}
	f.queue(onInvitation(token), func(tx rules.Tx) { tx.EndInvitation(token, end) })
	return end
}

// invited reads an invitation both ways.
func (f *fixture) invited(token parsec3.AccessToken) *rules.Invitation {
	f.Helper()
	standing, err := f.store.Invited(f.Context(), f.organization, token)
	f.no(err)
	f.queue(onInvitation(token), func(tx rules.Tx) {
		equal(f, "invitation in a transaction", tx.Greeting().Invitation, standing.Invitation)
	})
	return standing.Invitation
}

func invitationCreation(f *fixture) {
	standing, err := f.store.Invited(f.Context(), f.organization, parsec3.AccessToken{})
	f.no(err)
	equal(f, "without organization", standing, rules.InvitedStanding{})
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	for _, claimer := range []rules.Claimer{zack, bobsDevice} {
		want := f.invite(claimer)
		if claimer.Type == parsec.InvitationDevice {
			want.ClaimerUser = new(newUser(bob, parsec.ProfileStandard, at(2)))
		}
		equal(f, "invitation", f.invited(want.Token), &want)
		standing, err := f.store.Invited(f.Context(), f.organization, want.Token)
		f.no(err)
		equal(f, "organization", standing.Organization.ID, f.organization)
		other := f.another()
		other.bootstrap()
		if other.invited(want.Token) != nil {
			f.Error("another organization has it, too")
		}
	}
	if f.invited(parsec3.AccessToken{}) != nil {
		f.Error("an invitation that there is not")
	}
}

func (f *fixture) wantPending(claimer rules.Claimer, want ...parsec3.AccessToken) {
	f.Helper()
	f.update(onInvitations(), func(tx rules.Tx) error {
		pending, err := tx.PendingInvitations(f.Context(), claimer)
		equalList(f, "pending", tokensOf(pending), want)
		return err
	})
}

func tokensOf(invitations []rules.Invitation) (tokens []parsec3.AccessToken) {
	for i := range invitations {
		tokens = append(tokens, invitations[i].Token)
	}
	return tokens
}

func invitationClaimers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	first, device := f.invite(zack).Token, f.invite(bobsDevice).Token
	second := f.invite(rules.Claimer{Type: parsec.InvitationUser, Email: "Zack@Example.COM"}).Token
	f.wantPending(zack, first, second)
	f.wantPending(rules.Claimer{Type: parsec.InvitationUser, Email: "ZACK@example.com"}, first, second)
	f.wantPending(rules.Claimer{Type: parsec.InvitationUser, Email: "zac@example.com"})
	f.wantPending(bobsDevice, device)
	f.wantPending(rules.Claimer{Type: parsec.InvitationDevice, User: carol})
	created := f.setUp(bob, alice, carol)
	setup := rules.Claimer{Type: parsec.InvitationShamirRecovery, User: bob, Setup: created.CreatedOn}
	f.wantPending(setup)
	recovery := f.invite(setup)
	f.wantPending(setup, recovery.Token)
	recovery.ClaimerUser = new(newUser(bob, parsec.ProfileStandard, at(2)))
	created.RevealToken, created.CipheredData = parsec3.AccessToken{}, nil
	recovery.Setup = &created
	equal(f, "invitation", f.invited(recovery.Token), &recovery)
	f.wantPending(rules.Claimer{Type: parsec.InvitationShamirRecovery, User: bob, Setup: created.CreatedOn + 1})
	f.wantPending(bobsDevice, device)
	f.end(first, protocol.InvitationCancelled)
	f.wantPending(zack, second)
	f.update(rules.Scope{Author: aliceOne, Common: rules.Exclusive}, func(tx rules.Tx) error {
		pending, err := tx.PendingInvitations(f.Context(), zack)
		for i := range pending {
			tx.EndInvitation(pending[i].Token, rules.InvitationEnd{On: f.next(), Status: protocol.InvitationCancelled})
		}
		return err
	})
	f.wantPending(zack)
}

func invitationEnds(f *fixture) {
	f.bootstrap()
	for _, status := range []protocol.InvitationStatus{protocol.InvitationFinished, protocol.InvitationCancelled} {
		want := f.invite(zack)
		want.End = new(f.end(want.Token, status))
		equal(f, "invitation", f.invited(want.Token), &want)
	}
}

func invitationList(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	late := f.invite(zack)
	early := late
	early.Token, early.CreatedOn = parsec3.NewAccessToken(), at(0)
	f.queue(onInvitations(), func(tx rules.Tx) { tx.CreateInvitation(early) })
	same := late
	same.Token = parsec3.NewAccessToken()
	f.queue(onInvitations(), func(tx rules.Tx) { tx.CreateInvitation(same) })
	device := f.invite(bobsDevice).Token
	f.invite(rules.Claimer{Type: parsec.InvitationDevice, User: carol})
	f.end(f.invite(bobsDevice).Token, protocol.InvitationFinished)
	ended := f.end(late.Token, protocol.InvitationFinished)
	for _, test := range []struct {
		author parsec3.DeviceID
		since  parsec.DateTime
		want   []parsec3.AccessToken
	}{
		{aliceOne, ended.On, []parsec3.AccessToken{early.Token, late.Token, same.Token}},
		{aliceOne, ended.On + 1, []parsec3.AccessToken{early.Token, same.Token}},
		{bobOne, ended.On + 1, []parsec3.AccessToken{early.Token, same.Token, device}},
	} {
		standing, listed, err := f.store.Invitations(f.Context(), f.organization, test.author, test.since)
		f.no(err)
		equal(f, "device", standing.Device.ID, test.author)
		equalList(f, "invitations", tokensOf(listed), test.want)
	}
}

func invitationGreeters(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob, carol)
	f.revoke(carol)
	token, device := f.invite(zack).Token, f.invite(bobsDevice).Token
	standing, greeters, err := f.store.InvitationGreeters(f.Context(), f.organization, token)
	f.no(err)
	equal(f, "invitation", standing.Invitation.Token, token)
	users := map[parsec3.UserID]*parsec.DateTime{}
	for i := range greeters {
		users[greeters[i].ID] = greeters[i].LastJoined
	}
	equal(f, "greeters", users, map[parsec3.UserID]*parsec.DateTime{alice: nil, bob: nil})
	_, greeters, err = f.store.InvitationGreeters(f.Context(), f.organization, device)
	f.no(err)
	equalList(f, "greeters of a device", greeters, nil)
}

func invitationEnrolled(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, carol)
	f.revoke(carol)
	capital := newUser(bob, parsec.ProfileStandard, f.next())
	capital.HumanHandle = must(parsec.ParseHumanHandle("Bob@example.com", "Bob"))
	f.createUser(capital, bobOne)
	for email, want := range map[string]bool{"bob@example.com": true, "BOB@Example.com": true, "bo@example.com": false, "carol@example.com": false} {
		f.update(onCommon(), func(tx rules.Tx) error {
			enrolled, err := tx.IsEnrolled(f.Context(), email)
			equal(f, email+" is enrolled", enrolled, want)
			return err
		})
	}
}

// attempt has bob and zack in an attempt of an invitation.
func (f *fixture) attempt(token parsec3.AccessToken) rules.Attempt {
	f.Helper()
	joined := f.next()
	created := rules.Attempt{
		ID: parsec3.GreetingAttemptID(parsec.NewUUID()), Invitation: token, Greeter: bob, GreeterJoined: &joined, Version: 1,
	}
	f.queue(onInvitation(token), func(tx rules.Tx) { tx.CreateAttempt(created) })
	return created
}

// greeting reads an attempt in every way.
func (f *fixture) greeting(id parsec3.GreetingAttemptID) rules.Greeting {
	f.Helper()
	standing, greeting, err := f.store.Greeting(f.Context(), f.organization, bobOne, nil, id)
	f.no(err)
	equal(f, "device", standing.Device.ID, bobOne)
	if greeting.Invitation != nil {
		standing, ofClaimer, err := f.store.Greeting(f.Context(), f.organization, parsec3.DeviceID{}, &greeting.Invitation.Token, id)
		f.no(err)
		equal(f, "device of the claimer", standing.Device, nil)
		equal(f, "what the claimer finds", ofClaimer, greeting)
	}
	f.queue(rules.Scope{Author: aliceOne, Common: rules.Shared, Attempt: &id}, func(tx rules.Tx) {
		equal(f, "what a transaction finds", tx.Greeting(), &greeting)
	})
	return greeting
}

func greetingAttempts(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob)
	unknown := f.greeting(parsec3.GreetingAttemptID{1})
	if unknown.Attempt != nil || unknown.Invitation != nil || unknown.Greeter != nil {
		f.Errorf("got %+v", unknown)
	}
	invitation := f.invite(zack)
	want := f.attempt(invitation.Token)
	check := func(active ...rules.Attempt) {
		f.Helper()
		greeting := f.greeting(want.ID)
		equal(f, "attempt", greeting.Attempt, &want)
		equal(f, "greeter", greeting.Greeter.ID, bob)
		equal(f, "invitation", greeting.Invitation, &invitation)
		f.update(onInvitation(invitation.Token), func(tx rules.Tx) error {
			got, err := tx.ActiveAttempts(f.Context(), invitation.Token)
			equalList(f, "active", got, active)
			return err
		})
	}
	check(want)
	_, other, err := f.store.Greeting(f.Context(), f.organization, root, new(f.invite(zack).Token), want.ID)
	f.no(err)
	equal(f, "attempt of another invitation", other.Attempt, &want)
	on := f.next()
	f.queue(onInvitation(invitation.Token), func(tx rules.Tx) { tx.JoinAttempt(want.ID, protocol.Claimer, on) })
	want.ClaimerJoined, want.Version = &on, 2
	check(want)
	_, greeters, err := f.store.InvitationGreeters(f.Context(), f.organization, invitation.Token)
	f.no(err)
	for i := range greeters {
		if greeters[i].ID == bob {
			equal(f, "last joined", greeters[i].LastJoined, want.GreeterJoined)
		} else if greeters[i].LastJoined != nil {
			f.Error("another greeter has joined")
		}
	}
	end := rules.AttemptEnd{Origin: protocol.Claimer, On: f.next(), Reason: protocol.InvalidSASCode}
	f.queue(rules.Scope{Author: aliceOne, Common: rules.Shared, Attempt: &want.ID}, func(tx rules.Tx) { tx.CancelAttempt(want.ID, end) })
	want.Cancelled, want.Version = &end, 3
	check()
	again := f.attempt(invitation.Token)
	check(again)
}

// greetingSessions has bob and zack begin again and again.
func greetingSessions(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob)
	token := f.invite(zack).Token
	session := func(side protocol.Side, after parsec.DateTime) (found rules.GreetingSession) {
		f.update(onInvitation(token), func(tx rules.Tx) (err error) {
			found, err = tx.GreetingSession(f.Context(), token, bob, side, after)
			return err
		})
		return found
	}
	equal(f, "at first", session(protocol.Claimer, 0), rules.GreetingSession{})
	cancel := func(of rules.Attempt, by protocol.Side) parsec.DateTime {
		on := f.next()
		f.queue(onInvitation(token), func(tx rules.Tx) {
			tx.CancelAttempt(of.ID, rules.AttemptEnd{Origin: by, On: on, Reason: protocol.AutomaticallyCancelled})
		})
		return on
	}
	joined := f.attempt(token)
	cancel(joined, protocol.Greeter)
	var ids []parsec3.GreetingAttemptID
	var dates []parsec.DateTime
	for range 4 {
		of := rules.Attempt{ID: parsec3.GreetingAttemptID(parsec.NewUUID()), Invitation: token, Greeter: bob, ClaimerJoined: new(f.next()), Version: 1}
		f.queue(onInvitation(token), func(tx rules.Tx) { tx.CreateAttempt(of) })
		equal(f, "active", session(protocol.Claimer, 0).Active, &of)
		ids, dates = append(ids, of.ID), append(dates, cancel(of, protocol.Claimer))
	}
	of := f.attempt(f.invite(zack).Token)
	apart := of // with another greeter of the invitation
	apart.ID, apart.Invitation, apart.Greeter = parsec3.GreetingAttemptID(parsec.NewUUID()), token, alice
	f.queue(onInvitation(token), func(tx rules.Tx) { tx.CreateAttempt(apart) })
	cancel(apart, protocol.Claimer)
	equal(f, "by the claimer", session(protocol.Claimer, 0), rules.GreetingSession{Ended: 5, Restarts: 4})
	equal(f, "by the greeter", session(protocol.Greeter, 0), rules.GreetingSession{Ended: 5, Restarts: 1})
	equal(f, "lately", session(protocol.Claimer, dates[1]), rules.GreetingSession{Ended: 5, Restarts: 2})
	f.queue(onInvitation(token), func(tx rules.Tx) { tx.EraseAttempts(token, bob, 5) })
	equal(f, "when all are kept", session(protocol.Claimer, 0).Ended, 5)
	f.queue(onInvitation(token), func(tx rules.Tx) { tx.EraseAttempts(token, bob, 2) })
	for id, kept := range map[parsec3.GreetingAttemptID]bool{joined.ID: true, ids[0]: false, ids[1]: false, ids[2]: true, ids[3]: true, of.ID: true} {
		if got := f.greeting(id).Attempt != nil; got != kept {
			f.Errorf("an attempt is there: %t, want %t", got, kept)
		}
	}
}

// speech is what zack, or bob, says as things are.
func (f *fixture) speech(of rules.Attempt, side protocol.Side, step int, said string) rules.Speech {
	f.Helper()
	return rules.Speech{
		Organization: f.organization, Invitation: of.Invitation, Greeter: bob, Profile: parsec.ProfileAdmin,
		Attempt: of.ID, Version: f.greeting(of.ID).Attempt.Version, Side: side, Step: step, Said: []byte(said),
	}
}

// wantSaid has a speech stored, or not, with its event.
func (f *fixture) wantSaid(speech rules.Speech, want bool) {
	f.Helper()
	events := f.record()
	told := event.Event{Organization: f.organization, Body: notice.Pinged{ID: notice.NewID(), Ping: "said"}}
	done, err := f.store.Say(f.Context(), speech, told)
	f.no(err)
	equal(f, "said", done, want)
	if got := events.take(); (len(got) == 1) != want {
		f.Errorf("told %v", got)
	}
}

func greetingSpeeches(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob)
	of := f.attempt(f.invite(zack).Token)
	f.wantSaid(f.speech(of, protocol.Claimer, 0, "zero"), true)
	f.wantSaid(f.speech(of, protocol.Greeter, 0, ""), true)
	f.wantSaid(f.speech(of, protocol.Greeter, 2, "two"), true)
	greeting := f.greeting(of.ID)
	equal(f, "the claimer has said", greeting.ClaimerSaid, [][]byte{[]byte("zero")})
	equal(f, "the greeter has said", greeting.GreeterSaid, [][]byte{{}, nil, []byte("two")})
	equal(f, "version", greeting.Attempt.Version, 4)
	late := f.speech(of, protocol.Claimer, 1, "one")
	f.wantSaid(f.speech(of, protocol.Greeter, 1, "one"), true)
	f.wantSaid(late, false)
	f.queue(rules.Scope{Author: aliceOne, Common: rules.Shared, Attempt: &of.ID}, func(tx rules.Tx) {
		tx.CancelAttempt(of.ID, rules.AttemptEnd{Origin: protocol.Claimer, On: f.next(), Reason: protocol.InvalidSASCode})
	})
	f.wantSaid(f.speech(of, protocol.Claimer, 1, "one"), false)
	greeting = f.greeting(of.ID)
	equalList(f, "what is left of the claimer's", greeting.ClaimerSaid, nil)
	equalList(f, "what is left of the greeter's", greeting.GreeterSaid, nil)
}

// What a speech depends on, and has changed.
func greetingSpeechesLate(f *fixture) {
	for _, change := range []func(f *fixture, token parsec3.AccessToken){
		func(f *fixture, token parsec3.AccessToken) { f.end(token, protocol.InvitationFinished) },
		func(f *fixture, _ parsec3.AccessToken) { f.revoke(bob) },
		func(f *fixture, _ parsec3.AccessToken) { f.setProfile(bob, parsec.ProfileStandard) },
		func(f *fixture, _ parsec3.AccessToken) { f.freeze(bob, true) },
		func(f *fixture, _ parsec3.AccessToken) {
			f.no(f.store.ChangeOrganization(f.Context(), f.organization, func(tx organization.Tx) error {
				stored, _ := tx.Organization()
				expired := *stored
				expired.ExpirationDate = new(f.next())
				tx.PutOrganization(expired)
				return nil
			}))
		},
	} {
		f := f.another()
		f.bootstrap()
		f.enrol(parsec.ProfileAdmin, bob)
		of := f.attempt(f.invite(zack).Token)
		speech := f.speech(of, protocol.Claimer, 0, "zero")
		change(f, of.Invitation)
		f.wantSaid(speech, false)
	}
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob, carol)
	recovery := f.attempt(f.invite(rules.Claimer{Type: parsec.InvitationShamirRecovery, User: carol, Setup: f.setUp(carol, bob).CreatedOn}).Token)
	f.wantSaid(f.speech(recovery, protocol.Claimer, 0, "zero"), true)
	f.revoke(carol)
	f.wantSaid(f.speech(recovery, protocol.Greeter, 0, "zero"), false)
	of := f.attempt(f.invite(zack).Token)
	speech := f.speech(of, protocol.Claimer, 0, "zero")
	speech.Invitation = f.invite(bobsDevice).Token
	f.wantSaid(speech, false)
	speech = f.speech(of, protocol.Claimer, 0, "zero")
	speech.Attempt = parsec3.GreetingAttemptID{1}
	f.wantSaid(speech, false)
}
