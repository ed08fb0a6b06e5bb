package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var shamirChecks = []check{
	{"setup", shamirSetup},
	{"active among", activeAmong},
	{"reveal tokens of other organizations", revealTokensApart},
	{"invitation", recoveryInvitation},
	{"conduits", recoveryConduits},
	{"another setup", recoveryOfAnotherSetup},
}

// newShamirSetup returns a setup with one share for each recipient; they are in
// order.
func newShamirSetup(owner parsec.UserID, name string, recipients ...parsec.UserID) rules.ShamirSetup {
	setup := rules.ShamirSetup{
		Owner: owner, RevealToken: parsec.NewUUID(), CipheredData: []byte("data " + name),
		BriefCertificate: []byte("brief " + name), Threshold: 1, CreatedOn: at(1),
	}
	for i, recipient := range recipients {
		setup.Shares = append(setup.Shares, rules.ShamirShare{
			Recipient: recipient, Shares: uint64(i) + 1, Certificate: []byte("share " + name + recipient.String()),
		})
	}
	return setup
}

func (f *fixture) wantShamirSetup(owner parsec.UserID, want *rules.ShamirSetup) {
	f.Helper()
	got, found, err := f.store.ShamirSetup(f.Context(), f.organization, owner)
	f.no(err)
	equal(f, "setup found", found, want != nil)
	equal(f, "setup", got, want)
	if found {
		got.Shares[0].Shares++ // Facts are the caller's.
	}
}

func (f *fixture) wantShamirHeld(recipient parsec.UserID, names ...string) {
	f.Helper()
	got, err := f.store.ShamirSetupsHeld(f.Context(), f.organization, recipient)
	f.no(err)
	var want []rules.ShamirHeld
	for _, name := range names {
		want = append(want, rules.ShamirHeld{
			BriefCertificate: []byte("brief " + name), ShareCertificate: []byte("share " + name + recipient.String()),
		})
	}
	equalList(f, "held by "+recipient.String(), got, want)
}

func (f *fixture) wantRevealTokenUsed(token parsec.UUID, want bool) {
	f.Helper()
	f.update(onOrganization(), func(tx rules.Tx) error {
		used, err := tx.ShamirRevealTokenUsed(f.Context(), token)
		equal(f, "reveal token used", used, want)
		return err
	})
}

func shamirSetup(f *fixture) {
	f.wantShamirSetup(alice, nil)
	f.wantShamirHeld(alice)
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	f.wantShamirSetup(alice, nil)

	first := newShamirSetup(alice, "first", bob, carol)
	ofBob := newShamirSetup(bob, "bob", alice, carol)
	second := newShamirSetup(alice, "second", carol)
	put := func(setup rules.ShamirSetup) {
		f.Helper()
		f.queue(onOrganization(), func(tx rules.Tx) {
			tx.EndShamirSetup(setup.Owner)
			tx.CreateShamirSetup(setup)
		})
	}
	f.wantRevealTokenUsed(first.RevealToken, false)
	put(first)
	put(ofBob)
	f.wantShamirSetup(alice, &first)
	f.wantShamirSetup(alice, &first)
	f.wantShamirHeld(bob, "first")
	f.wantShamirHeld(carol, "first", "bob")

	put(second)
	f.wantShamirSetup(alice, &second)
	f.wantShamirSetup(bob, &ofBob)
	f.wantShamirHeld(bob)
	f.wantShamirHeld(carol, "bob", "second")
	f.wantRevealTokenUsed(first.RevealToken, true)
	f.wantRevealTokenUsed(second.RevealToken, true)

	f.queue(onOrganization(), func(tx rules.Tx) { tx.EndShamirSetup(alice) })
	f.wantShamirSetup(alice, nil)
	f.wantShamirHeld(carol, "bob")
}

func activeAmong(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	f.revoke(carol, rules.Revocation{Certificate: []byte("revoked"), Certifier: aliceOne, On: at(1)})
	f.update(onOrganization(), func(tx rules.Tx) error {
		for _, item := range []struct {
			users []parsec.UserID
			want  int
		}{
			{nil, 0},
			{[]parsec.UserID{alice, bob, bob}, 2},
			{[]parsec.UserID{alice, carol, userID("zack")}, 1},
		} {
			active, err := tx.ActiveAmong(f.Context(), item.users)
			if err != nil {
				return err
			}
			equal(f, "active users", active, item.want)
		}
		return nil
	})
}

// inviteToRecover has alice share with bob and carol, and bob invite her.
func (f *fixture) inviteToRecover() (rules.ShamirSetup, rules.Invitation) {
	f.Helper()
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	setup := newShamirSetup(alice, "first", bob, carol)
	setup.Threshold = 2
	invitation := rules.Invitation{
		Token: parsec.InvitationToken(parsec.NewUUID()), Type: parsec.InvitationShamirRecovery,
		Greeter: bob, Greeters: greeters(bob, carol), Claimer: alice, CreatedOn: at(2),
	}
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.CreateShamirSetup(setup)
		tx.PutInvitation(invitation)
	})
	return setup, invitation
}

func (f *fixture) wantRecovery(claimer parsec.UserID, want rules.RecoveryFacts) {
	f.Helper()
	for range 2 {
		f.update(onOrganization(), func(tx rules.Tx) error {
			got, err := tx.Recovery(f.Context(), claimer)
			if err != nil {
				return err
			}
			equal(f, "claimer", got.Claimer, want.Claimer)
			equal(f, "setup", got.Setup, want.Setup)
			equal(f, "invitation", got.Invitation, want.Invitation)
			if got.Setup != nil {
				got.Setup.Shares[0].Shares++ // Facts are the caller's.
			}
			return nil
		})
	}
}

// wantListed checks the tokens that invite_list reads for a greeter.
func (f *fixture) wantListed(greeter parsec.UserID, want ...rules.Invitation) {
	f.Helper()
	got, err := f.store.Invitations(f.Context(), f.organization, greeter, at(0))
	f.no(err)
	var pending []rules.PendingInvitation
	for _, invitation := range want {
		pending = append(pending, rules.PendingInvitation{Invitation: invitation})
	}
	equalList(f, "invitations of "+greeter.String(), got, pending)
}

func recoveryInvitation(f *fixture) {
	setup, invitation := f.inviteToRecover()
	claimer := newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{})
	greeter := newUser(bob, parsec.ProfileStandard, aliceOne)
	facts := rules.InvitationFacts{Invitation: &invitation, Greeter: &greeter, Recovery: &rules.Recovery{
		Threshold: 2, Recipients: []rules.RecoveryRecipient{
			{User: bob, HumanHandle: greeter.HumanHandle, Shares: 1},
			{User: carol, HumanHandle: newUser(carol, parsec.ProfileStandard, aliceOne).HumanHandle, Shares: 2},
		},
	}}
	f.wantInvitation(invitation.Token, facts)
	f.wantRecovery(alice, rules.RecoveryFacts{Claimer: &claimer, Setup: &setup, Invitation: &invitation})
	f.wantRecovery(bob, rules.RecoveryFacts{Claimer: &greeter})
	f.wantRecovery(userID("zack"), rules.RecoveryFacts{})
	f.wantListed(alice)
	f.wantListed(bob, invitation)
	f.wantListed(carol, invitation)

	f.revoke(carol, rules.Revocation{Certificate: []byte("revoked"), Certifier: aliceOne, On: at(3)})
	facts.Recovery.Recipients[1].Revoked, invitation.Greeters[1].Revoked = true, true
	f.wantInvitation(invitation.Token, facts)
	f.wantRecovery(alice, rules.RecoveryFacts{Claimer: &claimer, Setup: &setup, Invitation: &invitation})

	invitation.DeletedOn, invitation.DeletedReason = new(at(4)), protocol.InvitationCancelled
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.PutInvitation(invitation)
		tx.EndShamirSetup(alice)
	})
	facts.Recovery = nil
	f.wantInvitation(invitation.Token, facts)
	f.wantRecovery(alice, rules.RecoveryFacts{Claimer: &claimer})
	f.wantListed(bob)

	// Another may follow.
	again := invitation
	again.Token, again.DeletedOn, again.DeletedReason = parsec.InvitationToken(parsec.NewUUID()), nil, ""
	f.queue(onOrganization(), func(tx rules.Tx) { tx.PutInvitation(again) })
	f.wantRecovery(alice, rules.RecoveryFacts{Claimer: &claimer, Invitation: &again})
	f.wantListed(bob, again)
}

// recoveryConduits of one invitation do not meet.
func recoveryConduits(f *fixture) {
	_, invitation := f.inviteToRecover()
	token := invitation.Token
	conduit := rules.Conduit{State: rules.ConduitCommunicate, Exchange: 7, Halves: [2]rules.Half{
		{Heard: []byte("for bob")}, {Said: []byte("for a recipient")},
	}}
	want := func(greeter parsec.UserID, want rules.Conduit) {
		f.Helper()
		f.update(rules.Scope{Invitation: token, Greeter: greeter}, func(tx rules.Tx) error {
			got, found := tx.Conduit()
			if !found {
				f.Fatal("no conduit")
			}
			equal(f, "conduit of "+greeter.String(), *got, want)
			return nil
		})
	}
	f.queue(rules.Scope{Invitation: token, Greeter: bob}, func(tx rules.Tx) { tx.PutConduit(conduit) })
	want(bob, conduit)
	want(carol, rules.NewConduit())
	f.update(rules.Scope{Invitation: token, Greeter: alice}, func(tx rules.Tx) error {
		_, found := tx.Conduit()
		equal(f, "conduit of the claimer", found, false)
		return nil
	})

	f.queue(rules.Scope{Invitation: token, Greeter: carol}, func(tx rules.Tx) { tx.PutConduit(conduit) })
	facts, err := f.store.TakeHeard(f.Context(), f.organization, rules.ConduitKey{Token: token, Greeter: carol}, rules.GreeterSide, 6)
	f.no(err)
	equal(f, "conduit taken", *facts.Conduit, conduit)
	want(bob, conduit)
	conduit.Halves[rules.GreeterSide] = rules.Half{Taken: []byte("for bob")}
	want(carol, conduit)

	// Neither does the end of the invitation change them.
	invitation.DeletedOn, invitation.DeletedReason = new(at(4)), protocol.InvitationFinished
	f.queue(rules.Scope{Invitation: token}, func(tx rules.Tx) { tx.PutInvitation(invitation) })
	want(carol, conduit)
}

// recoveryOfAnotherSetup has the recipients of the current setup only, while an
// invitation of before is pending.
func recoveryOfAnotherSetup(f *fixture) {
	_, invitation := f.inviteToRecover()
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.EndShamirSetup(alice)
		tx.CreateShamirSetup(newShamirSetup(alice, "second", carol))
	})
	facts, err := f.store.Invitation(f.Context(), f.organization, invitation.Token)
	f.no(err)
	equal(f, "recovery", facts.Recovery, &rules.Recovery{Threshold: 1, Recipients: []rules.RecoveryRecipient{
		{User: carol, HumanHandle: newUser(carol, parsec.ProfileStandard, aliceOne).HumanHandle, Shares: 1},
	}})
}

func revealTokensApart(f *fixture) {
	f.bootstrap()
	other := f.another()
	other.bootstrap()
	setup := newShamirSetup(alice, "other", alice)
	other.queue(onOrganization(), func(tx rules.Tx) { tx.CreateShamirSetup(setup) })
	other.wantRevealTokenUsed(setup.RevealToken, true)
	f.wantRevealTokenUsed(setup.RevealToken, false)
}
