package storetest

import (
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

var shamirChecks = []check{
	{"setups", shamirSetups},
	{"facts of a setup", shamirFacts},
	{"certificates", shamirCertificates},
	{"traces", shamirTraces},
	{"invitations", shamirInvitations},
	{"bytes are copies", shamirCopies},
	{"other organizations", shamirApart},
}

func onShamir() rules.Scope {
	return rules.Scope{Author: aliceOne, Common: rules.Shared, Shamir: rules.Exclusive}
}

// newSetup gives each recipient as many shares as its place says, from 1 on.
func newSetup(user parsec3.UserID, date parsec.DateTime, recipients ...parsec3.UserID) rules.ShamirSetup {
	setup := rules.ShamirSetup{
		User: user, CreatedOn: date, Threshold: 1, Shares: map[parsec3.UserID]uint8{},
		RevealToken: newToken(), CipheredData: []byte("data of " + names[user]),
	}
	for i, recipient := range recipients {
		setup.Shares[recipient] = uint8(i + 1)
	}
	return setup
}

func newToken() parsec3.AccessToken { return must(parsec3.ParseAccessToken(parsec.NewUUID().Hex())) }

// setUp adds a setup for recipients.
func (f *fixture) setUp(user parsec3.UserID, recipients ...parsec3.UserID) rules.ShamirSetup {
	f.Helper()
	setup := newSetup(user, f.next(), recipients...)
	f.queue(by(ones[user], onShamir()), func(tx rules.Tx) { createSetupIn(tx, setup, recipients...) })
	return setup
}

func createSetupIn(tx rules.Tx, setup rules.ShamirSetup, recipients ...parsec3.UserID) {
	var shares []rules.ShamirShare
	for _, recipient := range recipients {
		shares = append(shares, rules.ShamirShare{Recipient: recipient, Certificate: fmt.Append(nil, "share of ", names[recipient], " of ", names[setup.User])})
	}
	tx.CreateShamirSetup(setup, certificate(ones[setup.User], setup.CreatedOn, "brief of "+names[setup.User]), shares)
}

// unset deletes a setup, and returns it as it is then.
func (f *fixture) unset(setup rules.ShamirSetup) rules.ShamirSetup {
	f.Helper()
	date := f.next()
	f.queue(by(ones[setup.User], onShamir()), func(tx rules.Tx) {
		tx.DeleteShamirSetup(&setup, certificate(ones[setup.User], date, "deletion of "+names[setup.User]))
	})
	setup.DeletedOn, setup.CipheredData = &date, nil
	return setup
}

func (f *fixture) wantSetup(want rules.ShamirSetup) {
	f.Helper()
	f.update(onShamir(), func(tx rules.Tx) error {
		got, found, err := tx.ShamirSetup(f.Context(), want.User, want.CreatedOn)
		equal(f, "found", found, true)
		equal(f, "setup", got, &want)
		if found {
			clear(got.Shares)
		}
		return err
	})
}

func shamirSetups(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	first := f.setUp(bob, alice, carol)
	second := f.setUp(carol, bob)
	for range 2 { // they are copies
		f.wantSetup(first)
		f.wantSetup(second)
	}
	for _, test := range []struct {
		user parsec3.UserID
		date parsec.DateTime
	}{{bob, first.CreatedOn + 1}, {bob, second.CreatedOn}, {alice, first.CreatedOn}, {newUserID(), first.CreatedOn}} {
		f.update(onShamir(), func(tx rules.Tx) error {
			_, found, err := tx.ShamirSetup(f.Context(), test.user, test.date)
			equal(f, "found", found, false)
			return err
		})
	}
	equal(f, "last date", f.topics().Shamir, f.last())
	first = f.unset(first)
	equal(f, "last date of a deletion", f.topics().Shamir, f.last())
	again := f.setUp(bob, carol)
	f.wantSetup(first)
	f.wantSetup(second)
	f.wantSetup(again)
}

func shamirFacts(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	setup := f.setUp(bob, alice)
	f.revoke(carol)
	facts := func(user parsec3.UserID, token parsec3.AccessToken, recipients ...parsec3.UserID) (facts rules.ShamirFacts) {
		f.Helper()
		f.update(onShamir(), func(tx rules.Tx) (err error) {
			facts, err = tx.ShamirFacts(f.Context(), user, recipients, token)
			return err
		})
		return facts
	}
	revoked := newUser(carol, parsec.ProfileStandard, at(3))
	revoked.RevokedOn = new(f.last())
	equal(f, "of a new setup", facts(alice, newToken(), bob, newUserID(), carol), rules.ShamirFacts{
		Recipients: map[parsec3.UserID]rules.User{bob: newUser(bob, parsec.ProfileStandard, at(2)), carol: revoked},
	})
	none := map[parsec3.UserID]rules.User{}
	equal(f, "of a second setup", facts(bob, newToken()), rules.ShamirFacts{Recipients: none, Exists: true})
	equal(f, "of a token again", facts(alice, setup.RevealToken), rules.ShamirFacts{Recipients: none, TokenTaken: true})
	f.unset(setup)
	equal(f, "of a setup that is deleted", facts(bob, setup.RevealToken), rules.ShamirFacts{Recipients: none, TokenTaken: true})
}

// shamirCertificates has each user see what concerns it, and in pages.
func shamirCertificates(f *fixture) {
	f.bootstrap() // at 1
	f.enrol(parsec.ProfileStandard, bob, carol)
	after := rules.CertificatesAfter{Common: new(f.last())} // at 3
	first := f.setUp(bob, alice, carol)                     // at 4
	f.setUp(carol, alice)                                   // at 5
	f.unset(first)                                          // at 6
	f.setUp(bob, carol)                                     // at 7
	ofAlice := []string{"brief of bob", "share of alice of bob", "brief of carol", "share of alice of carol", "deletion of bob"}
	for _, test := range []struct {
		after *parsec.DateTime
		want  []string
	}{
		{nil, ofAlice}, {new(at(3)), ofAlice}, {new(at(4) - 1), ofAlice}, {new(at(4)), ofAlice[2:]}, {new(at(5)), ofAlice[4:]},
		{new(at(6)), nil}, {new(at(1000)), nil},
	} {
		after.Shamir = test.after
		f.wantCertificates(aliceOne, after, certificates{shamir: test.want})
	}
	after.Shamir = nil
	f.wantCertificates(bobOne, after, certificates{shamir: []string{"brief of bob", "deletion of bob", "brief of bob"}})
	f.wantCertificates(carolOne, after, certificates{shamir: []string{
		"brief of bob", "share of carol of bob", "brief of carol", "deletion of bob", "brief of bob", "share of carol of bob",
	}})
	for user, want := range map[parsec3.UserID]parsec.DateTime{alice: at(6), bob: at(7), carol: at(7), newUserID(): 0} {
		f.update(onShamir(), func(tx rules.Tx) error {
			last, err := tx.LastShamirSeen(f.Context(), user)
			equal(f, "last date of "+names[user], last, want)
			return err
		})
	}
}

// shamirInvitations are seen by recipients, until long after the setup is deleted, and
// reveal what it keeps until then.
func shamirInvitations(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	setup := f.setUp(bob, alice, carol)
	token := f.invite(rules.Claimer{Type: parsec.InvitationShamirRecovery, User: bob, Setup: setup.CreatedOn}).Token
	listed := func(device parsec3.DeviceID, ended parsec.DateTime, want ...parsec3.AccessToken) {
		f.Helper()
		_, list, err := f.store.Invitations(f.Context(), f.organization, device, ended)
		f.no(err)
		equalList(f, "listed", tokensOf(list), want)
	}
	revealed := func(token parsec3.AccessToken, want *rules.ShamirSetup) {
		f.Helper()
		f.update(onInvitation(token), func(tx rules.Tx) error {
			got, wrong, err := tx.RevealedSetup(f.Context())
			equal(f, "revealed", got, want)
			equalList(f, "wrong tokens", wrong, nil)
			return err
		})
		standing, err := f.store.Invited(f.Context(), f.organization, token)
		f.no(err)
		if standing.Invitation != nil && standing.Invitation.Setup != nil {
			equal(f, "what the invitation tells", standing.Invitation.Setup.CipheredData, nil)
			equal(f, "the token that it tells", standing.Invitation.Setup.RevealToken, parsec3.AccessToken{})
		}
	}
	for device, want := range map[parsec3.DeviceID][]parsec3.AccessToken{aliceOne: {token}, carolOne: {token}, bobOne: nil} {
		listed(device, at(0), want...)
	}
	revealed(token, &setup)
	revealed(f.invite(bobsDevice).Token, nil)
	other := f.invite(rules.Claimer{Type: parsec.InvitationShamirRecovery, User: bob, Setup: setup.CreatedOn}).Token
	for _, want := range [][]parsec.DateTime{{at(1), at(2)}, {at(3)}, nil} {
		f.queue(onInvitation(other), func(tx rules.Tx) { tx.PutWrongReveals(other, want) })
		f.update(onInvitation(other), func(tx rules.Tx) error {
			_, wrong, err := tx.RevealedSetup(f.Context())
			equalList(f, "wrong tokens", wrong, want)
			return err
		})
	}
	f.end(other, protocol.InvitationCancelled)
	revealed(parsec3.NewAccessToken(), nil)
	_, greeters, err := f.store.InvitationGreeters(f.Context(), f.organization, token)
	f.no(err)
	users := map[parsec3.UserID]bool{}
	for i := range greeters {
		users[greeters[i].ID] = true
	}
	equal(f, "greeters", users, map[parsec3.UserID]bool{alice: true, carol: true})
	f.revoke(carol)
	_, greeters, err = f.store.InvitationGreeters(f.Context(), f.organization, token)
	f.no(err)
	equal(f, "greeters, one of whom is revoked", len(greeters), 2)
	setup = f.unset(setup)
	revealed(token, &setup)
	listed(carolOne, *setup.DeletedOn, token)
	listed(carolOne, *setup.DeletedOn+1)
	f.update(onShamir(), func(tx rules.Tx) error {
		_, found, err := tx.CurrentShamirSetup(f.Context(), bob)
		equal(f, "current setup", found, false)
		return err
	})
	setup = f.setUp(bob, alice)
	f.update(onShamir(), func(tx rules.Tx) error {
		current, _, err := tx.CurrentShamirSetup(f.Context(), bob)
		equal(f, "current setup", current, &setup)
		return err
	})
}

// shamirTraces are of owners and of recipients.
func shamirTraces(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	setup := f.setUp(bob, alice)
	want := f.last()
	equal(f, "owner", f.traces(bob), rules.Traces{Signed: want, Shamir: want})
	equal(f, "recipient", f.traces(alice).Shamir, want)
	equal(f, "neither", f.traces(carol), rules.Traces{})
	f.setUp(carol, bob)
	equal(f, "owner that is a recipient", f.traces(bob), rules.Traces{Signed: want, Shamir: f.last()})
	f.unset(setup)
	equal(f, "owner of what is deleted", f.traces(bob), rules.Traces{Signed: f.last(), Shamir: f.last()})
	equal(f, "recipient of what is deleted", f.traces(alice).Shamir, f.last())
}

func shamirCopies(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	setup := newSetup(bob, f.next(), alice)
	brief, share := certificate(bobOne, setup.CreatedOn, "brief"), []byte("share")
	f.queue(onShamir(), func(tx rules.Tx) {
		tx.CreateShamirSetup(setup, brief, []rules.ShamirShare{{Recipient: alice, Certificate: share}})
	})
	clear(brief.Bytes)
	clear(share)
	clear(setup.CipheredData)
	clear(setup.Shares)
	f.wantCertificates(aliceOne, rules.CertificatesAfter{Common: new(at(2))}, certificates{shamir: []string{"brief", "share"}})
	setup.CipheredData, setup.Shares = []byte("data of bob"), map[parsec3.UserID]uint8{alice: 1}
	f.wantSetup(setup)
}

// shamirApart has the same setup in two organizations.
func shamirApart(f *fixture) {
	other := f.another()
	for _, on := range []*fixture{f, other} {
		on.bootstrap()
		on.enrol(parsec.ProfileStandard, bob)
	}
	setup := f.setUp(bob, alice)
	other.seconds.Store(f.seconds.Load())
	other.queue(onShamir(), func(tx rules.Tx) { createSetupIn(tx, setup, alice) })
	f.unset(setup)
	other.wantSetup(setup)
	other.wantCertificates(bobOne, rules.CertificatesAfter{Common: new(at(2))}, certificates{shamir: []string{"brief of bob"}})
	f.wantCertificates(bobOne, rules.CertificatesAfter{Common: new(at(2))}, certificates{shamir: []string{"brief of bob", "deletion of bob"}})
}
