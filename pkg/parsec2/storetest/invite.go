package storetest

import (
	"fmt"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var inviteChecks = []check{
	{"put", putInvitation},
	{"list", listInvitations},
	{"conduit", putConduit},
	{"take what is heard", takeHeard},
	{"what a claimer is owed", owed},
	{"mark what a claimer received", markReceived},
	{"forget conduits", forgetConduits},
	{"conduits of other invitations", conduitsApart},
	{"presences", presences},
	{"API 1", invitationsV1},
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

func (f *fixture) wantInvitationV1(invitee rules.InviteeV1, want rules.InvitationV1Facts) {
	f.Helper()
	got, err := f.store.InvitationV1(f.Context(), f.organization, invitee)
	f.no(err)
	equal(f, "invitation", got.Invitation, want.Invitation)
	equal(f, "invitee exists", got.InviteeExists, want.InviteeExists)
	f.update(rules.Scope{}, func(tx rules.Tx) error {
		invitation, found, err := tx.InvitationV1(f.Context(), invitee)
		if err != nil {
			return err
		}
		equal(f, "invitation found by a transaction", found, want.Invitation != nil)
		if found {
			equal(f, "invitation of a transaction", invitation, want.Invitation)
		}
		return nil
	})
}

func invitationsV1(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.wantInvitationV1(rules.InviteeV1{User: bob}, rules.InvitationV1Facts{InviteeExists: true})
	f.wantInvitationV1(rules.InviteeV1{Device: bobOne}, rules.InvitationV1Facts{InviteeExists: true})

	user, device := rules.InviteeV1{User: carol}, rules.InviteeV1{Device: deviceID("bob@two")}
	anyone := rules.Scope{Author: aliceOne}
	for _, invitee := range []rules.InviteeV1{user, device} {
		f.wantInvitationV1(invitee, rules.InvitationV1Facts{})
		for i, creator := range []parsec.DeviceID{aliceOne, bobOne} {
			invitation := rules.InvitationV1{Creator: creator, CreatedOn: at(i)}
			f.queue(anyone, func(tx rules.Tx) { tx.PutInvitationV1(invitee, invitation) })
			f.wantInvitationV1(invitee, rules.InvitationV1Facts{Invitation: &invitation})
		}
	}
	f.queue(anyone, func(tx rules.Tx) { tx.DeleteInvitationV1(user) })
	f.wantInvitationV1(user, rules.InvitationV1Facts{})
	kept := rules.InvitationV1{Creator: bobOne, CreatedOn: at(1)}
	f.wantInvitationV1(device, rules.InvitationV1Facts{Invitation: &kept})
	f.queue(anyone, func(tx rules.Tx) { tx.DeleteInvitationV1(user) })
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateDevice(newDevice(device.Device, bobOne)) })
	f.wantInvitationV1(device, rules.InvitationV1Facts{Invitation: &kept, InviteeExists: true})
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

// wantConduit reads the conduit of alice's invitation in a transaction.
func (f *fixture) wantConduit(token parsec.InvitationToken, want rules.Conduit) {
	f.Helper()
	f.update(rules.Scope{Invitation: token, Greeter: alice}, func(tx rules.Tx) error {
		got, found := tx.Conduit()
		if !found {
			f.Fatal("no conduit")
		}
		equal(f, "conduit", *got, want)
		return nil
	})
}

func putConduit(f *fixture) {
	f.bootstrap()
	token := f.invite(parsec.InvitationDevice, "", 1).Token
	f.wantConduit(token, rules.NewConduit())
	for _, scope := range []rules.Scope{
		{Invitation: token, Greeter: bob}, {Invitation: token}, {Invitation: parsec.InvitationToken{1}, Greeter: alice}, {Greeter: alice},
	} {
		f.update(scope, func(tx rules.Tx) error {
			_, found := tx.Conduit()
			equal(f, "conduit of others", found, false)
			return nil
		})
	}
	said := []byte("said")
	conduit := rules.Conduit{
		State: rules.ConduitCommunicate, Exchange: 7, Last: rules.LastExchange{State: rules.ConduitGreeterTrust, Number: 6}, Received: true,
		Halves: [2]rules.Half{
			{Said: []byte{}, Heard: nil, Taken: said, Speaker: parsec.UUID{1}}, {Said: nil, Heard: said, Speaker: parsec.UUID{2}},
		},
	}
	scope := rules.Scope{Invitation: token, Greeter: alice}
	f.queue(scope, func(tx rules.Tx) { tx.PutConduit(conduit) })
	said[0] = 'x'
	conduit.Halves[0].Taken, conduit.Halves[1].Heard = []byte("said"), []byte("said")
	f.wantConduit(token, conduit)
	conduit.Last, conduit.Received = rules.LastExchange{}, false
	conduit.Halves = [2]rules.Half{{Heard: []byte{}}, {Said: []byte("other"), Taken: []byte{}}}
	f.queue(scope, func(tx rules.Tx) { tx.PutConduit(conduit) })
	f.wantConduit(token, conduit)
	failure := protocol.Refuse(protocol.StatusInvalidState, "")
	equal(f, "refusal", f.try(scope, func(tx rules.Tx) error {
		tx.PutConduit(rules.NewConduit())
		return failure
	}), error(failure))
	f.wantConduit(token, conduit)
}

func takeHeard(f *fixture) {
	f.bootstrap()
	invitation := f.invite(parsec.InvitationDevice, "", 1)
	invitation.Greeters = greeters(alice)
	key := rules.ConduitKey{Token: invitation.Token, Greeter: alice}
	conduit := rules.Conduit{State: rules.ConduitGreeterNonce, Exchange: 3, Halves: [2]rules.Half{
		{Heard: []byte("for the greeter")}, {Heard: []byte{}},
	}}
	f.queue(rules.Scope{Invitation: key.Token, Greeter: alice}, func(tx rules.Tx) { tx.PutConduit(conduit) })
	take := func(key rules.ConduitKey, side rules.Side, exchange uint64) rules.ConduitFacts {
		f.Helper()
		facts, err := f.store.TakeHeard(f.Context(), f.organization, key, side, exchange)
		f.no(err)
		return facts
	}
	for _, exchange := range []uint64{1, 3, 4} {
		equal(f, "conduit of another exchange", *take(key, rules.GreeterSide, exchange).Conduit, conduit)
	}
	facts := take(key, rules.GreeterSide, 2)
	invitation.Greeters[0].Owes = true // to the claimer
	equal(f, "invitation", *facts.Invitation, invitation)
	equal(f, "organization", facts.Organization.ID, f.organization)
	equal(f, "conduit taken", *facts.Conduit, conduit)
	conduit.Halves[rules.GreeterSide] = rules.Half{Taken: []byte("for the greeter")}
	f.wantConduit(key.Token, conduit)
	equal(f, "conduit taken again", *take(key, rules.GreeterSide, 2).Conduit, conduit)
	facts = take(key, rules.ClaimerSide, 2)
	equal(f, "invitation that owes", *facts.Invitation, invitation)
	equal(f, "claimer's", *facts.Conduit, conduit)
	conduit.Halves[rules.ClaimerSide] = rules.Half{Taken: []byte{}}
	f.wantConduit(key.Token, conduit)

	if facts := take(rules.ConduitKey{Token: key.Token, Greeter: bob}, rules.GreeterSide, 2); facts.Conduit != nil || facts.Invitation == nil {
		f.Errorf("of another greeter: %+v", facts)
	}
	if facts := take(rules.ConduitKey{Token: parsec.InvitationToken{1}, Greeter: alice}, rules.GreeterSide, 2); facts.Conduit != nil || facts.Invitation != nil {
		f.Errorf("without invitation: %+v", facts)
	}
	none, err := f.store.TakeHeard(f.Context(), newOrganizationID(), key, rules.GreeterSide, 2)
	f.no(err)
	equal(f, "without organization", none, rules.ConduitFacts{})
}

// putConduitOf replaces the conduit of a greeter.
func (f *fixture) putConduitOf(token parsec.InvitationToken, greeter parsec.UserID, conduit rules.Conduit) {
	f.Helper()
	f.queue(rules.Scope{Invitation: token, Greeter: greeter}, func(tx rules.Tx) { tx.PutConduit(conduit) })
}

func owed(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	invitation := f.invite(parsec.InvitationDevice, "", 1)
	shared := rules.Invitation{
		Token: parsec.InvitationToken(parsec.NewUUID()), Type: parsec.InvitationShamirRecovery, Greeter: alice,
		Greeters: greeters(alice, bob), Claimer: bob, CreatedOn: at(1),
	}
	f.queue(rules.Scope{Author: aliceOne}, func(tx rules.Tx) { tx.PutInvitation(shared) })
	words := []byte("words")
	for _, row := range []struct {
		name    string
		conduit rules.Conduit
		want    bool
	}{
		{"nothing", rules.NewConduit(), false},
		{"said", rules.Conduit{Exchange: 3, Halves: [2]rules.Half{{Said: words}, {Said: words}}}, false},
		{"to the greeter", rules.Conduit{Exchange: 3, Last: rules.LastExchange{Number: 2}, Halves: [2]rules.Half{{Heard: words, Taken: words}, {}}}, false},
		{"not taken", rules.Conduit{Exchange: 3, Halves: [2]rules.Half{{}, {Heard: []byte{}}}}, true},
		{"taken", rules.Conduit{Exchange: 3, Last: rules.LastExchange{Number: 2}, Halves: [2]rules.Half{{}, {Taken: []byte{}}}}, true},
		{"taken and received", rules.Conduit{Exchange: 3, Last: rules.LastExchange{Number: 2}, Received: true, Halves: [2]rules.Half{{}, {Taken: words}}}, false},
		{"not taken, after what was received", rules.Conduit{Exchange: 3, Received: true, Halves: [2]rules.Half{{}, {Heard: words}}}, true},
		{"taken before", rules.Conduit{Exchange: 3, Last: rules.LastExchange{Number: 1}, Halves: [2]rules.Half{{}, {Taken: words}}}, false},
	} {
		row.conduit.State = rules.ConduitCommunicate
		f.putConduitOf(invitation.Token, alice, row.conduit)
		f.putConduitOf(shared.Token, bob, row.conduit)
		for _, i := range []struct {
			invitation rules.Invitation
			greeter    int
		}{{invitation, 0}, {shared, 1}} {
			facts, err := f.store.Invitation(f.Context(), f.organization, i.invitation.Token)
			f.no(err)
			want := greeters(alice, bob)[:len(i.invitation.Greeters)]
			want[i.greeter].Owes = row.want
			equal(f, row.name, facts.Invitation.Greeters, want)
		}
	}
}

func markReceived(f *fixture) {
	f.bootstrap()
	invitation, other := f.invite(parsec.InvitationDevice, "", 1), f.invite(parsec.InvitationUser, "zack@example.com", 1)
	one, two := parsec.NewUUID(), parsec.NewUUID()
	conduit := rules.Conduit{State: rules.ConduitCommunicate, Exchange: 3, Halves: [2]rules.Half{
		{Taken: []byte("of the greeter"), Speaker: two}, {Said: []byte("said"), Heard: []byte("heard"), Taken: []byte("of the claimer"), Speaker: one},
	}}
	f.putConduitOf(invitation.Token, alice, conduit)
	f.putConduitOf(other.Token, alice, conduit)
	mark := func(connection parsec.UUID) {
		f.queue(rules.Scope{Invitation: invitation.Token}, func(tx rules.Tx) { tx.MarkReceived(connection) })
	}
	mark(two)
	f.wantConduit(invitation.Token, conduit)
	mark(one)
	f.wantConduit(other.Token, conduit)
	conduit.Received = true
	f.wantConduit(invitation.Token, conduit)
}

func forgetConduits(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	// The other checks have invitations too: these are of an epoch of their own.
	const epoch = -2_000_000
	words := []byte("words")
	half := rules.Half{Said: words, Heard: words, Taken: words, Speaker: parsec.UUID{1}}
	conduit := rules.Conduit{
		State: rules.ConduitCommunicate, Exchange: 3, Last: rules.LastExchange{State: rules.ConduitCommunicate, Number: 2},
		Halves: [2]rules.Half{half, half},
	}
	forgotten := conduit
	forgotten.Halves = [2]rules.Half{}
	pending := f.invite(parsec.InvitationDevice, "", epoch)
	var deleted []rules.Invitation
	for i := range 2 {
		invitation := f.invite(parsec.InvitationUser, "zack@example.com", epoch)
		f.putConduitOf(invitation.Token, alice, conduit)
		invitation.DeletedOn, invitation.DeletedReason = new(at(epoch+i)), protocol.InvitationFinished
		f.queue(rules.Scope{Author: aliceOne}, func(tx rules.Tx) { tx.PutInvitation(invitation) })
		deleted = append(deleted, invitation)
	}
	f.putConduitOf(pending.Token, alice, conduit)
	f.no(f.store.ForgetConduits(f.Context(), at(epoch)))
	f.wantConduit(pending.Token, conduit)
	f.wantConduit(deleted[0].Token, forgotten)
	f.wantConduit(deleted[1].Token, conduit)
	f.no(f.store.ForgetConduits(f.Context(), at(epoch+1)))
	f.wantConduit(pending.Token, conduit)
	f.wantConduit(deleted[1].Token, forgotten)
}

// conduitsApart changes one conduit, and no other of its invitation or greeter.
func conduitsApart(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	shared := rules.Invitation{
		Token: parsec.InvitationToken(parsec.NewUUID()), Type: parsec.InvitationShamirRecovery, Greeter: alice,
		Greeters: greeters(alice, bob), Claimer: bob, CreatedOn: at(1),
	}
	f.queue(rules.Scope{Author: aliceOne}, func(tx rules.Tx) { tx.PutInvitation(shared) })
	of := []rules.ConduitKey{
		{Token: shared.Token, Greeter: alice}, {Token: shared.Token, Greeter: bob},
		{Token: f.invite(parsec.InvitationDevice, "", 1).Token, Greeter: alice},
	}
	want := make([]rules.Conduit, len(of))
	check := func(what string) {
		f.Helper()
		for i, key := range of {
			f.update(rules.Scope{Invitation: key.Token, Greeter: key.Greeter}, func(tx rules.Tx) error {
				got, _ := tx.Conduit()
				equal(f, fmt.Sprintf("conduit %d after %s", i, what), *got, want[i])
				return nil
			})
		}
	}
	for i, key := range of {
		want[i] = rules.Conduit{State: rules.ConduitCommunicate, Exchange: 3, Halves: [2]rules.Half{
			{Heard: []byte{byte(i), 1}}, {Heard: []byte{byte(i), 2}},
		}}
		f.putConduitOf(key.Token, key.Greeter, want[i])
	}
	check("putting each")
	for i, key := range of {
		_, err := f.store.TakeHeard(f.Context(), f.organization, key, rules.ClaimerSide, 2)
		f.no(err)
		half := &want[i].Halves[rules.ClaimerSide]
		half.Heard, half.Taken = nil, half.Heard
		check("taking")
	}
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
