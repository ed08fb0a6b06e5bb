package rules_test

import (
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// zack is invited, and no user yet.
const zackEmail = "zack@example.com"

// inviteUser has an author invite whoever has an e-mail address.
func (f *fixture) inviteUser(author *rules.Author, email string) parsec3.AccessToken {
	f.t.Helper()
	reply, err := f.InviteNewUser(f.t.Context(), author, &protocol.InviteNewUserRequest{ClaimerEmail: email})
	f.ok(reply, err)
	f.clock.advance(time.Second)
	return reply.Token
}

// inviteDevice has an author invite another device of its own.
func (f *fixture) inviteDevice(author *rules.Author) parsec3.AccessToken {
	f.t.Helper()
	reply, err := f.InviteNewDevice(f.t.Context(), author, &protocol.InviteNewDeviceRequest{})
	f.ok(reply, err)
	f.clock.advance(time.Second)
	return reply.Token
}

// cancel and complete have alice end an invitation.
func (f *fixture) cancel(token parsec3.AccessToken) {
	f.t.Helper()
	f.ok(f.InviteCancel(f.t.Context(), f.alice(), &protocol.InviteCancelRequest{Token: token}))
}

func (f *fixture) complete(token parsec3.AccessToken) {
	f.t.Helper()
	f.ok(f.InviteComplete(f.t.Context(), f.alice(), &protocol.InviteCompleteRequest{Token: token}))
}

// listed returns the invitations of an author.
func (f *fixture) listed(author *rules.Author) []protocol.InviteListItem {
	f.t.Helper()
	reply, err := f.InviteList(f.t.Context(), author, &protocol.InviteListRequest{})
	f.ok(reply, err)
	return reply.Invitations
}

// invited is who comes by a token.
func invited(token parsec3.AccessToken) *rules.Invited {
	return &rules.Invited{Organization: acme, Token: token, API: latest}
}

// byInvitation is a command of a claimer.
type byInvitation struct {
	command
	invited *rules.Invited
}

// newByInvitation has alice invite zack.
func newByInvitation(f *fixture) byInvitation {
	return byInvitation{command{f, f.alice()}, invited(f.inviteUser(f.alice(), zackEmail))}
}

func (s *byInvitation) base2() *byInvitation { return s }

// invitedScenario is a scenario of a claimer.
type invitedScenario interface {
	scenario
	base2() *byInvitation
}

// invitedRows are those of the invited route from the seventh on
// (docs/protocol/v5/transport.md §5), in rows of a table.
func invitedRows[S invitedScenario]() []row[S] {
	return []row[S]{
		{"A1", "organization unknown", func(s S) { s.base2().invited.Organization = other }, aborted(rules.OrganizationNotFound)},
		{"A2", "organization expired", func(s S) { s.base().expire() }, aborted(rules.OrganizationExpired)},
	}
}

func invitationRows[S invitedScenario](number string) []row[S] {
	return []row[S]{
		{number, "invitation unknown", func(s S) { s.base2().invited.Token = parsec3.NewAccessToken() }, aborted(rules.InvitationUnknown)},
		{number, "invitation cancelled", func(s S) { s.base().cancel(s.base2().invited.Token) }, aborted(rules.InvitationOver)},
		{number, "invitation finished", func(s S) { s.base().complete(s.base2().invited.Token) }, aborted(rules.InvitationOver)},
	}
}

// invitedApart are pairs that nothing violates at once.
var invitedApart = [][2]string{
	{"organization unknown", "organization expired"},
	{"invitation cancelled", "invitation finished"},
}

// userInvitation is what invite_list shows of an invitation of alice.
func userInvitation(token parsec3.AccessToken, on parsec.DateTime, status protocol.InvitationStatus) protocol.InviteListItem {
	email := zackEmail
	return protocol.InviteListItem{
		Type: parsec.InvitationUser, Token: token, CreatedOn: on,
		CreatedBy: protocol.InvitationOfUser(aliceID, human(aliceID)), Status: status, ClaimerEmail: &email,
	}
}
