package storetest

import (
	"slices"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var inviteChecks = []check{
	{"put", putInvitation},
	{"list", listInvitations},
	{"presences", presences},
}

func (f *fixture) wantInvitation(token parsec.InvitationToken, want rules.InvitationFacts) {
	f.Helper()
	var err error
	want.Organization, _, err = f.store.Organization(f.Context(), f.organization)
	f.no(err)
	got, err := f.store.Invitation(f.Context(), f.organization, token)
	f.no(err)
	equal(f, "organization", got.Organization, want.Organization)
	equal(f, "invitation", got.Invitation, want.Invitation)
	equal(f, "greeter", got.Greeter, want.Greeter)
	equal(f, "recovery", got.Recovery, want.Recovery)
	f.update(rules.Scope{Invitation: token}, func(tx rules.Tx) error {
		invitation, found := tx.Invitation()
		equal(f, "invitation found by a transaction", found, want.Invitation != nil)
		if found {
			equal(f, "invitation of a transaction", invitation, want.Invitation)
			invitation.Greeters[0].Revoked = true // Facts are the caller's.
		}
		return nil
	})
	if got.Invitation != nil && got.Invitation.DeletedOn != nil {
		*got.Invitation.DeletedOn++ // Facts are the caller's.
	}
}

func putInvitation(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	token := parsec.InvitationToken(parsec.NewUUID())
	f.wantInvitation(token, rules.InvitationFacts{})
	invitation := rules.Invitation{
		Token: token, Type: parsec.InvitationUser, Greeter: alice, Greeters: greeters(alice), ClaimerEmail: "zack@example.com", CreatedOn: at(1),
	}
	device := rules.Invitation{
		Token: parsec.InvitationToken(parsec.NewUUID()), Type: parsec.InvitationDevice, Greeter: bob, Greeters: greeters(bob), CreatedOn: at(2),
	}
	put := func(invitation rules.Invitation) {
		f.Helper()
		if invitation.DeletedOn != nil {
			invitation.DeletedOn = new(*invitation.DeletedOn)
			defer func() { *invitation.DeletedOn++ }()
		}
		f.queue(rules.Scope{Author: aliceOne}, func(tx rules.Tx) { tx.PutInvitation(invitation) })
	}
	put(invitation)
	put(device)
	greeter := newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{})
	f.wantInvitation(token, rules.InvitationFacts{Invitation: &invitation, Greeter: &greeter})
	invitation.DeletedOn, invitation.DeletedReason = new(at(9)), protocol.InvitationRotten
	put(invitation)
	f.wantInvitation(token, rules.InvitationFacts{Invitation: &invitation, Greeter: &greeter})
	f.wantInvitation(token, rules.InvitationFacts{Invitation: &invitation, Greeter: &greeter})
	bobFacts := newUser(bob, parsec.ProfileStandard, aliceOne)
	f.wantInvitation(device.Token, rules.InvitationFacts{Invitation: &device, Greeter: &bobFacts})
}

func greeters(users ...parsec.UserID) []rules.InvitationGreeter {
	list := make([]rules.InvitationGreeter, 0, len(users))
	for _, user := range users {
		list = append(list, rules.InvitationGreeter{User: user})
	}
	return list
}

// invite creates an invitation of alice.
func (f *fixture) invite(kind parsec.InvitationType, claimerEmail string, seconds int) rules.Invitation {
	f.Helper()
	invitation := rules.Invitation{
		Token: parsec.InvitationToken(parsec.NewUUID()), Type: kind, Greeter: alice, Greeters: greeters(alice),
		ClaimerEmail: claimerEmail, CreatedOn: at(seconds),
	}
	f.queue(rules.Scope{Author: aliceOne}, func(tx rules.Tx) { tx.PutInvitation(invitation) })
	return invitation
}

func listInvitations(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob)
	later := f.invite(parsec.InvitationUser, "zack@example.com", 3)
	first := f.invite(parsec.InvitationDevice, "", 1)
	deleted := f.invite(parsec.InvitationUser, "yves@example.com", 2)
	deleted.DeletedOn, deleted.DeletedReason = new(at(4)), protocol.InvitationFinished
	f.queue(rules.Scope{Author: aliceOne}, func(tx rules.Tx) { tx.PutInvitation(deleted) })
	f.queue(rules.Scope{Invitation: later.Token}, func(tx rules.Tx) { tx.AddPresence(parsec.NewUUID(), at(10)) })

	want := func(now parsec.DateTime, ready bool) {
		f.Helper()
		list, err := f.store.Invitations(f.Context(), f.organization, alice, now)
		f.no(err)
		equalList(f, "invitations", list, []rules.PendingInvitation{{Invitation: first}, {Invitation: later, Ready: ready}})
	}
	want(at(9), true)
	want(at(10), false)
	list, err := f.store.Invitations(f.Context(), f.organization, bob, at(0))
	f.no(err)
	equalList(f, "invitations of bob", list, nil)

	pending := func(kind parsec.InvitationType, greeter parsec.UserID, email string, want *rules.Invitation) {
		f.Helper()
		f.update(onOrganization(), func(tx rules.Tx) error {
			got, found, err := tx.PendingInvitation(f.Context(), kind, greeter, email)
			equal(f, "pending "+email, got, want)
			equal(f, "found", found, want != nil)
			return err
		})
	}
	pending(parsec.InvitationUser, alice, "zack@example.com", &later)
	pending(parsec.InvitationUser, alice, "Zack@example.com", nil)
	pending(parsec.InvitationUser, alice, "yves@example.com", nil)
	pending(parsec.InvitationUser, bob, "zack@example.com", nil)
	pending(parsec.InvitationDevice, alice, "zack@example.com", nil)
	pending(parsec.InvitationUser, alice, "", nil)
	pending(parsec.InvitationDevice, alice, "", &first)
	again := f.invite(parsec.InvitationDevice, "", 0)
	pending(parsec.InvitationDevice, alice, "", &again)

	f.revoke(alice, rules.Revocation{Certificate: []byte("revoked"), Certifier: bobOne, On: at(5)})
	f.update(rules.Scope{Invitation: first.Token}, func(tx rules.Tx) error {
		invitation, _ := tx.Invitation()
		equal(f, "greeters, one revoked", invitation.Greeters, []rules.InvitationGreeter{{User: alice, Revoked: true}})
		return nil
	})
}

func presences(f *fixture) {
	f.bootstrap()
	invitation, other := f.invite(parsec.InvitationDevice, "", 1), f.invite(parsec.InvitationUser, "zack@example.com", 1)
	one, two := parsec.NewUUID(), parsec.NewUUID()
	// The other checks have presences too: these are of an epoch of their own.
	const epoch = -1_000_000
	on := rules.Scope{Invitation: invitation.Token}
	f.queue(on, func(tx rules.Tx) {
		tx.AddPresence(one, at(epoch+10))
		tx.AddPresence(two, at(epoch+20))
	})
	f.queue(rules.Scope{Invitation: other.Token}, func(tx rules.Tx) { tx.AddPresence(parsec.NewUUID(), at(epoch+100)) })
	count := func(seconds int, but parsec.UUID, want uint64) {
		f.Helper()
		f.update(on, func(tx rules.Tx) error {
			got, err := tx.Presences(f.Context(), at(epoch+seconds), but)
			equal(f, "presences", got, want)
			return err
		})
	}
	lapsed := func(seconds int, want bool) {
		f.Helper()
		list, err := f.store.LapsedPresences(f.Context(), at(epoch+seconds))
		f.no(err)
		this := rules.LapsedPresence{Organization: f.organization, Token: invitation.Token}
		equal(f, "lapsed", slices.Contains(list, this), want)
	}
	count(9, parsec.UUID{}, 2)
	count(9, one, 1)
	count(10, parsec.UUID{}, 1)
	count(20, parsec.UUID{}, 0)
	lapsed(9, false)
	lapsed(10, true)
	f.no(f.store.RenewPresences(f.Context(), []parsec.UUID{one, parsec.NewUUID()}, at(epoch+30)))
	lapsed(10, false)
	count(20, parsec.UUID{}, 1)
	f.queue(on, func(tx rules.Tx) { tx.DropPresences(at(epoch + 20)) })
	lapsed(20, false)
	count(0, parsec.UUID{}, 1)
	f.queue(on, func(tx rules.Tx) {
		tx.RemovePresence(one)
		tx.RemovePresence(parsec.NewUUID())
	})
	count(0, parsec.UUID{}, 0)

	f.queue(on, func(tx rules.Tx) { tx.DropPresences(at(epoch + 200)) })
	list, err := f.store.LapsedPresences(f.Context(), at(epoch+100))
	f.no(err)
	equal(f, "the other invitation has its presence", slices.Contains(list, rules.LapsedPresence{Organization: f.organization, Token: other.Token}), true)
}

// exclusionPatience is the time that what is excluded gets to not wait.
const exclusionPatience = 200 * time.Millisecond

// invitationExclusion has transactions on an invitation exclude one another,
// and what a client takes from a conduit wait for them.
func invitationExclusion(f *fixture) {
	f.bootstrap()
	invitation := f.invite(parsec.InvitationDevice, "", 1)
	scope := rules.Scope{Author: aliceOne, Invitation: invitation.Token, Greeter: alice}
	f.wantExclusion([]rules.Scope{scope, {Invitation: invitation.Token}}, nil)

	taken := make(chan *rules.Conduit, 1)
	conduit := rules.Conduit{State: rules.ConduitGreeterNonce, Exchange: 3, Halves: [2]rules.Half{{Heard: []byte("said")}, {Heard: []byte{}}}}
	f.update(scope, func(tx rules.Tx) error {
		go func() {
			facts, err := f.store.TakeHeard(f.Context(), f.organization, rules.ConduitKey{Token: invitation.Token, Greeter: alice}, rules.GreeterSide, 2)
			if err != nil {
				f.Errorf("take: %v", err)
			}
			taken <- facts.Conduit
		}()
		select {
		case early := <-taken:
			f.Errorf("taken during a transaction: %+v", early)
			taken <- early
		case <-time.After(exclusionPatience):
		}
		tx.PutConduit(conduit)
		return nil
	})
	equal(f, "what is taken", <-taken, &conduit)
}
