package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// There is one check: what is present is of the whole instance.
var presenceChecks = []check{{"users", presentUsers}}

// online returns who is online of those that may greet the claimer of an invitation.
func (f *fixture) online(token parsec3.AccessToken) map[parsec3.UserID]protocol.OnlineStatus {
	f.Helper()
	_, greeters, err := f.store.InvitationGreeters(f.Context(), f.organization, token)
	f.no(err)
	found := map[parsec3.UserID]protocol.OnlineStatus{}
	for i := range greeters {
		found[greeters[i].ID] = greeters[i].Online
	}
	return found
}

func presentUsers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob)
	f.enrol(parsec.ProfileStandard, carol)
	token := f.invite(zack).Token
	setup := f.setUp(bob, alice, carol)
	recovery := f.invite(rules.Claimer{Type: parsec.InvitationShamirRecovery, User: bob, Setup: setup.CreatedOn}).Token
	present := func(users ...parsec3.UserID) (list []rules.Present) {
		for _, user := range users {
			list = append(list, rules.Present{Organization: f.organization, User: user})
		}
		return list
	}
	elsewhere := rules.Present{Organization: newOrganizationID(), User: bob}
	for _, step := range []struct {
		what              string
		change            rules.PresenceChange
		written           bool
		alice, bob, carol protocol.OnlineStatus
	}{
		{"before all", rules.PresenceChange{Came: present(alice)}, false, protocol.Offline, protocol.Offline, protocol.Offline},
		{"all", rules.PresenceChange{All: true, Came: append(present(alice), elsewhere)}, true, protocol.Online, protocol.Offline, protocol.Offline},
		{"one comes, another goes", rules.PresenceChange{Came: present(bob, carol), Gone: present(alice)}, true, protocol.Offline, protocol.Online, protocol.Online},
		{"who is there, who is not", rules.PresenceChange{Came: present(bob), Gone: append(present(alice), elsewhere)}, true, protocol.Offline, protocol.Online, protocol.Online},
		{"nothing", rules.PresenceChange{}, true, protocol.Offline, protocol.Online, protocol.Online},
		{"all again", rules.PresenceChange{All: true, Came: present(alice)}, true, protocol.Online, protocol.Offline, protocol.Offline},
		{"nobody", rules.PresenceChange{All: true}, true, protocol.Offline, protocol.Offline, protocol.Offline},
	} {
		if f.isBlind() {
			step.written, step.alice, step.bob, step.carol = false, protocol.OnlineUnknown, protocol.OnlineUnknown, protocol.OnlineUnknown
		}
		written, err := f.store.WritePresence(f.Context(), step.change)
		f.no(err)
		equal(f, step.what+": written", written, step.written)
		equal(f, step.what, f.online(token), map[parsec3.UserID]protocol.OnlineStatus{alice: step.alice, bob: step.bob})
		equal(f, step.what+", of a setup", f.online(recovery), map[parsec3.UserID]protocol.OnlineStatus{alice: step.alice, carol: step.carol})
	}
}

// isBlind reports whether the store is behind a pooler, as by the modes of its
// statements: no server can be told alive there.
func (f *fixture) isBlind() bool {
	store, of := f.store.(interface{ Instance() (int64, uint64) })
	if !of {
		return false
	}
	_, entries := store.Instance()
	return entries == 0
}
