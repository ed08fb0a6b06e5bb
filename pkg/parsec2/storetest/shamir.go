package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var shamirChecks = []check{
	{"setup", shamirSetup},
	{"active among", activeAmong},
}

// newShamirSetup gives one share to each recipient, which are in order.
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
