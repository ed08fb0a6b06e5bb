package storetest

import (
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var conduitChecks = []check{
	{"conduit", putConduit},
	{"take what is heard", takeHeard},
	{"what a claimer is owed", owed},
	{"mark what a claimer received", markReceived},
	{"forget conduits", forgetConduits},
	{"conduits of other invitations", conduitsApart},
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
	scope := rules.Scope{Invitation: key.Token, Greeter: alice}
	for _, heard := range [][]byte{nil, {}, []byte("words")} {
		for exchange := uint64(1); exchange < 5; exchange++ {
			for _, side := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
				want := conduit
				want.Halves = [2]rules.Half{{Heard: heard, Taken: []byte("before")}, {Heard: heard, Taken: []byte("before")}}
				f.queue(scope, func(tx rules.Tx) { tx.PutConduit(want) })
				equal(f, "conduit before", *take(key, side, exchange).Conduit, want)
				want.TakeHeard(side, exchange)
				f.wantConduit(key.Token, want)
			}
		}
	}
	f.queue(scope, func(tx rules.Tx) { tx.PutConduit(conduit) })
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
		equal(f, row.name+", by the rule", row.conduit.Owes(), row.want)
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
