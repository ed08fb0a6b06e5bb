//go:build !without_postgresql

package invariants3_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

// TestRaces sends two commands of which exactly one must be accepted, through either
// process, as they come.
func TestRaces(t *testing.T) {
	rounds := 40
	if testkit.Long() {
		rounds = 200
	}
	for name, prepare := range map[string]func(w *world) func(round int) (first, second call){
		"administrators revoke each other":               administratorsRevokeEachOther,
		"bootstraps with one token":                      bootstrapsWithOneToken,
		"bootstraps of both generations":                 bootstrapsOfBothGenerations,
		"unshare, and a later write of who is removed":   unshareAndLaterWrite,
		"revocation of an OWNER, and its later rotation": revocationAndLaterRotation,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, processes())
			next := prepare(w)
			wins := [2]int{}
			for round := range rounds {
				first, second := next(round)
				var got []protocol.Status
				if round%2 == 0 {
					got = w.race(first, second)
				} else {
					got = w.race(second, first)
					got[0], got[1] = got[1], got[0]
				}
				w.neverBoth(name)(got[0], got[1])
				if got[0] == protocol.StatusOK {
					wins[0]++
				} else {
					wins[1]++
				}
			}
			t.Logf("of %d rounds the one wins %d, the other %d", rounds, wins[0], wins[1])
		})
	}
}

func administratorsRevokeEachOther(w *world) func(int) (first, second call) {
	return func(round int) (first, second call) {
		bob, carol := w.addUser("bob", parsec.ProfileAdmin), w.addUser("carol", parsec.ProfileAdmin)
		return bob.revokes(round/2%2, carol, anytime), carol.revokes(1-round/2%2, bob, anytime)
	}
}

func bootstrapsWithOneToken(w *world) func(int) (first, second call) {
	return func(int) (first, second call) {
		w := w.unfounded()
		token := w.create()
		_, first = w.bootstraps(0, token)
		_, second = w.bootstraps(1, token)
		return first, second
	}
}

func bootstrapsOfBothGenerations(w *world) func(int) (first, second call) {
	return func(round int) (first, second call) {
		calls := w.unfounded().bootstrapsOfBoth(round / 2 % 2)
		return calls[0], calls[1]
	}
}

func unshareAndLaterWrite(w *world) func(int) (first, second call) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	return func(round int) (first, second call) {
		realm := w.alice.addRealmWith(parsec.RoleContributor, bob)
		date := now()
		return w.alice.unshares(round/2%2, realm, bob, date), bob.createsVlob(1-round/2%2, realm, newVlobID(), 1, date+1)
	}
}

func revocationAndLaterRotation(w *world) func(int) (first, second call) {
	return func(round int) (first, second call) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		realm := bob.addRealm()
		date := now()
		return w.alice.revokes(round/2%2, bob, date), bob.rotates(1-round/2%2, realm, 2, []*member{bob}, nil, date+1)
	}
}
