package storetest

import (
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// apartChecks have two organizations in which the same names and ids stand for
// other things.
var apartChecks = []check{
	{"reveal tokens", revealTokensApart},
	{"trustchains", trustchainsApart},
}

// another is the same store with another organization.
func (f *fixture) another() *fixture {
	other := *f
	other.organization = newOrganizationID()
	return &other
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

// trustchainsApart has alice certified by carol in the other organization only.
func trustchainsApart(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	other := f.another()
	other.queue(onOrganization(), func(tx rules.Tx) {
		tx.PutOrganization(rules.Organization{ID: other.organization, CreatedOn: at(0)})
		tx.CreateUser(newUser(carol, parsec.ProfileAdmin, parsec.DeviceID{}))
		tx.CreateDevice(newDevice(carolOne, parsec.DeviceID{}))
		tx.CreateUser(newUser(alice, parsec.ProfileAdmin, carolOne))
		tx.CreateDevice(newDevice(aliceOne, carolOne))
	})
	f.wantChain(bob, []string{"bob@one"}, []string{"alice@one"}, []string{"alice"})
	other.wantChain(alice, []string{"alice@one"}, []string{"carol@one"}, []string{"carol"})
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
