package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var recoveryChecks = []check{
	{"invitation", recoveryInvitation},
	{"conduits", recoveryConduits},
	{"another setup", recoveryOfAnotherSetup},
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
