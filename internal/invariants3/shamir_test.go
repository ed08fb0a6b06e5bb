//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

func TestInvariant43OneSetup(t *testing.T)              { everywhere(t, oneSetup) }
func TestInvariant44ShamirDatesIncrease(t *testing.T)   { everywhere(t, shamirDatesIncrease) }
func TestInvariant45SharesAreSecret(t *testing.T)       { everywhere(t, sharesAreSecret) }
func TestInvariant46NobodyRevokedRecovers(t *testing.T) { everywhere(t, nobodyRevokedRecovers) }
func TestInvitationsOfDeletedSetups(t *testing.T)       { everywhere(t, invitationsOfDeletedSetups) }

// setsUp has each recipient hold a share; all of them recover.
func (m *member) setsUp(instance int, date parsec.DateTime, recipients ...*member) call {
	setUp, _ := m.setsUpWith(instance, date, recipients...)
	return setUp
}

// setsUpWith is setsUp, and returns what the shares recover.
func (m *member) setsUpWith(instance int, date parsec.DateTime, recipients ...*member) (call, vocabulary.AccessToken) {
	setup := &testclient3.ShamirSetup{
		Threshold: uint8(len(recipients)), Shares: map[vocabulary.UserID]uint8{}, Ciphered: map[vocabulary.UserID][]byte{},
		RevealToken: must(vocabulary.ParseAccessToken(parsec.NewUUID().Hex())), Data: []byte("data of " + m.User.String()),
	}
	for _, recipient := range recipients {
		setup.Shares[recipient.User] = 1
		setup.Ciphered[recipient.User] = []byte("share of " + recipient.User.String())
	}
	return dated(m.on[instance], protocol.ShamirRecoverySetup, date, func(on parsec.DateTime) (*protocol.ShamirRecoverySetupRequest, error) {
		return setup.Request(m.Device, on)
	}), setup.RevealToken
}

// deletesSetup deletes the last setup that the member knows of.
func (m *member) deletesSetup(instance int, date parsec.DateTime) call {
	m.w.Helper()
	setup := m.knowledge(instance).Setup(m.User)
	return dated(m.on[instance], protocol.ShamirRecoveryDelete, date, func(on parsec.DateTime) (*protocol.ShamirRecoveryDeleteRequest, error) {
		return testclient3.DeleteShamirSetup(m.Device, setup, on)
	})
}

// oneSetup has a user set up several recoveries at once, and delete one several times.
func oneSetup(w *world) {
	bob, carol := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileOutsider)
	for range rounds / 2 {
		got := w.collide(each(4, func(_, instance int) call { return bob.setsUp(instance, anytime, w.alice, carol) })...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusShamirRecoveryAlreadyExists: 3})
		deletions := each(4, func(_, instance int) call { return bob.deletesSetup(instance, anytime) })
		w.wantOutcomes(w.collide(deletions...), outcomes{protocol.StatusOK: 1, protocol.StatusShamirRecoveryAlreadyDeleted: 3})
		w.coherent(bob, carol)
	}
}

// shamirDatesIncrease has users set up recoveries at once: whoever is a recipient of all
// of them hears of them in the order of their dates.
func shamirDatesIncrease(w *world) {
	var members []*member
	for _, name := range []string{"bob", "carol", "dave", "eve"} {
		members = append(members, w.addUser(name, parsec.ProfileStandard))
	}
	heard := w.alice.listen(1)
	for range rounds {
		w.inBothOrders(2, func() (call, call, func(first, second protocol.Status)) {
			bob, carol := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileStandard)
			date := now()
			return bob.setsUp(0, date, w.alice), carol.setsUp(1, date+1, w.alice), func(_, second protocol.Status) {
				w.Helper()
				if second != protocol.StatusOK {
					w.Fatalf("the later setup ends with %s", second)
				}
			}
		})
	}
	w.collide(members[0].setsUp(0, anytime, members[1], w.alice), members[1].setsUp(1, anytime, members[0], w.alice),
		members[2].setsUp(1, anytime, members[3], w.alice), members[3].setsUp(0, anytime, members[2], w.alice))
	w.collide(members[0].deletesSetup(1, anytime), members[1].deletesSetup(0, anytime))
	last := parsec.DateTime(0)
	for _, event := range heard.all() {
		told, is := event.(*protocol.ShamirRecoveryCertificateEvent)
		if !is {
			continue
		}
		if told.Timestamp <= last {
			w.Fatalf("a certificate of Shamir recovery of %s is committed after one of %s", told.Timestamp, last)
		}
		last = told.Timestamp
	}
	if last == 0 {
		w.Fatalf("nothing is told")
	}
	w.coherent(members...)
}

// reveals asks for what a setup keeps.
func (w *world) reveals(instance int, token, secret vocabulary.AccessToken) call {
	return send(w.clients[instance].Invited(w.organization, token), protocol.InviteShamirRecoveryReveal,
		&protocol.InviteShamirRecoveryRevealRequest{RevealToken: secret})
}

// sharesAreSecret has each recipient be given its own share, and nobody else any; what
// they recover is there until the setup is deleted.
func sharesAreSecret(w *world) {
	bob, carol, dave := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileOutsider), w.addUser("dave", parsec.ProfileAdmin)
	setUp, secret := bob.setsUpWith(0, anytime, w.alice, carol)
	w.ok(setUp)
	token := ask(w.alice, 1, protocol.InviteNewShamirRecovery, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: bob.User}).Token
	w.ok(w.reveals(0, token, secret), w.reveals(1, token, secret))
	w.want(protocol.StatusBadRevealToken, w.reveals(1, token, token))
	w.want(protocol.StatusAuthorNotAllowed, send(dave.on[0], protocol.InviteNewShamirRecovery, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: bob.User}))
	for who, want := range map[*member]int{bob: 1, w.alice: 2, carol: 2, dave: 0} {
		for instance := range who.on {
			reply := ask(who, instance, protocol.CertificateGet, testclient3.NewKnowledge(who.Device).After())
			if got := len(reply.ShamirRecoveryCertificates); got != want {
				w.Errorf("%s is given %d certificates, want %d", who.HumanHandle, got, want)
			}
		}
	}
	for _, recipient := range []*member{w.alice, carol} {
		if got := string(recipient.knowledge(1).Setup(bob.User).Ciphered); !strings.HasSuffix(got, recipient.User.String()) {
			w.Errorf("%s is given the %s", recipient.HumanHandle, got)
		}
	}
	w.ok(bob.deletesSetup(1, anytime))
	for instance := range w.clients {
		w.want(onHTTP(http.StatusGone), w.reveals(instance, token, secret))
	}
	for who, want := range map[*member]int{bob: 2, w.alice: 3, carol: 3, dave: 0} {
		reply := ask(who, 0, protocol.CertificateGet, testclient3.NewKnowledge(who.Device).After())
		if got := len(reply.ShamirRecoveryCertificates); got != want {
			w.Errorf("%s is given %d certificates after the deletion, want %d", who.HumanHandle, got, want)
		}
	}
	w.coherent(bob, carol, dave)
}

// nobodyRevokedRecovers has a setup meet the revocation of its owner, and of a recipient.
func nobodyRevokedRecovers(w *world) {
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		date := now()
		return w.alice.revokes(0, bob, date), bob.setsUp(1, date+1, w.alice), w.neverBoth("a revocation and a later setup of its target")
	})
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob, carol := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileStandard)
		date := now()
		return w.alice.revokes(0, bob, date), carol.setsUp(1, date+1, bob, w.alice), w.neverBoth("a revocation and a later setup for its target")
	})
	bob, carol := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileStandard)
	w.ok(w.alice.revokes(0, bob, anytime))
	w.want(protocol.StatusRevokedRecipient, carol.setsUp(1, anytime, w.alice, bob))
	w.want(revoked, bob.setsUp(0, anytime, w.alice))
	w.coherent(carol)
}

// invitationsOfDeletedSetups has a setup be deleted while somebody is invited to recover
// by it: the invitation is refused, or over.
func invitationsOfDeletedSetups(w *world) {
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		setUp, secret := bob.setsUpWith(0, anytime, w.alice)
		w.ok(setUp)
		var token vocabulary.AccessToken
		invites := func(ctx context.Context) error {
			reply, err := parsec3.Call(ctx, w.alice.on[1], protocol.InviteNewShamirRecovery, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: bob.User})
			if err == nil {
				token = reply.Token
			}
			return err
		}
		return bob.deletesSetup(0, anytime), invites, func(deleted, invited protocol.Status) {
			w.Helper()
			switch {
			case deleted != protocol.StatusOK:
				w.Fatalf("the deletion ends with %s", deleted)
			case invited == protocol.StatusOK:
				w.want(onHTTP(http.StatusGone), w.reveals(1, token, secret))
				w.want(protocol.StatusInvitationAlreadyCancelled, w.alice.cancels(0, token))
			case invited != protocol.StatusAuthorNotAllowed:
				w.Fatalf("the invitation ends with %s", invited)
			}
		}
	})
}
