package rules_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// inviteNewUser has alice invite zack.
type inviteNewUser struct {
	command
	email string
}

func newInviteNewUser(t *testing.T) *inviteNewUser {
	t.Helper()
	f := newFixture(t)
	return &inviteNewUser{command{f, f.alice()}, zackEmail}
}

func (s *inviteNewUser) run() error {
	_, err := s.InviteNewUser(s.t.Context(), s.author, &protocol.InviteNewUserRequest{ClaimerEmail: s.email})
	return err
}

func TestInviteNewUserTable(t *testing.T) {
	checkTable(t, "invite_new_user", newInviteNewUser, append(standingRows[*inviteNewUser](),
		row[*inviteNewUser]{"1", "author no ADMIN", func(s *inviteNewUser) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
		row[*inviteNewUser]{"2", "enrolled", func(s *inviteNewUser) { s.email = "MALLORY@example.com" }, protocol.StatusClaimerEmailAlreadyEnrolled},
	), standingApart...)
}

// inviteNewDevice has bob invite a device.
type inviteNewDevice struct{ command }

func (s *inviteNewDevice) run() error {
	_, err := s.InviteNewDevice(s.t.Context(), s.author, &protocol.InviteNewDeviceRequest{})
	return err
}

func TestInviteNewDeviceTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *inviteNewDevice {
		f := newFixture(t)
		return &inviteNewDevice{command{f, f.bob()}}
	}, standingRows[*inviteNewDevice](), standingApart...)
}

// inviteList has bob list.
type inviteList struct{ command }

func (s *inviteList) run() error {
	_, err := s.InviteList(s.t.Context(), s.author, &protocol.InviteListRequest{})
	return err
}

func TestInviteListTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *inviteList {
		f := newFixture(t)
		return &inviteList{command{f, f.bob()}}
	}, standingRows[*inviteList](), standingApart...)
}

// inviteEnd has bob, who is ADMIN, end the invitation of zack.
type inviteEnd struct {
	command
	token     parsec3.AccessToken
	completes bool
}

func (s *inviteEnd) run() (err error) {
	if s.completes {
		_, err = s.InviteComplete(s.t.Context(), s.author, &protocol.InviteCompleteRequest{Token: s.token})
	} else {
		_, err = s.InviteCancel(s.t.Context(), s.author, &protocol.InviteCancelRequest{Token: s.token})
	}
	return err
}

// newInviteEnd returns how a test begins.
func newInviteEnd(completes bool) func(t *testing.T) *inviteEnd {
	return func(t *testing.T) *inviteEnd {
		f := newFixture(t)
		f.setProfile(bobID, parsec.ProfileAdmin)
		return &inviteEnd{command{f, f.bob()}, f.inviteUser(f.alice(), zackEmail), completes}
	}
}

// inviteEndRows are those after the standing, with the statuses for an invitation that
// is over.
func inviteEndRows(finished, cancelled protocol.Status) []row[*inviteEnd] {
	return append(standingRows[*inviteEnd](), []row[*inviteEnd]{
		{"1", "invitation unknown", func(s *inviteEnd) { s.token = parsec3.NewAccessToken() }, protocol.StatusInvitationNotFound},
		{"2", "invitation finished", func(s *inviteEnd) { s.complete(s.token) }, finished},
		{"3", "invitation cancelled", func(s *inviteEnd) { s.cancel(s.token) }, cancelled},
		{"4", "author no ADMIN", func(s *inviteEnd) { s.author = s.mallory() }, protocol.StatusAuthorNotAllowed},
	}...)
}

var inviteEndApart = append([][2]string{
	{"invitation finished", "invitation cancelled"},
}, standingApart...)

func TestInviteCancelTable(t *testing.T) {
	checkTable(t, "invite_cancel", newInviteEnd(false),
		inviteEndRows(protocol.StatusInvitationCompleted, protocol.StatusInvitationAlreadyCancelled), inviteEndApart...)
}

func TestInviteCompleteTable(t *testing.T) {
	checkTable(t, "invite_complete", newInviteEnd(true),
		inviteEndRows(protocol.StatusInvitationAlreadyCompleted, protocol.StatusInvitationCancelled), inviteEndApart...)
}

// inviteInfo has zack ask.
type inviteInfo struct{ byInvitation }

func (s *inviteInfo) run() error {
	_, err := s.InviteInfo(s.t.Context(), s.invited, &protocol.InviteInfoRequest{})
	return err
}

func TestInviteInfoTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *inviteInfo { return &inviteInfo{newByInvitation(newFixture(t))} },
		append(invitedRows[*inviteInfo](), invitationRows[*inviteInfo]("")...), invitedApart...)
}

// admitInvited has zack let in, which an attempt that there is not has no part in.
type admitInvited struct{ byInvitation }

func (s *admitInvited) run() error {
	_, want := s.AdmitInvited(s.t.Context(), s.invited.Organization, s.invited.Token, latest)
	_, err := s.AdmitClaimer(s.t.Context(), s.invited.Organization, s.invited.Token, latest, parsec3.GreetingAttemptID{})
	if status(nil, err) != status(nil, want) {
		s.t.Errorf("with an attempt %v, want %v", err, want)
	}
	return err
}

func TestAdmitInvitedTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *admitInvited { return &admitInvited{newByInvitation(newFixture(t))} },
		append(invitedRows[*admitInvited](), invitationRows[*admitInvited]("")...), invitedApart...)
}

// Whoever is invited already has one invitation, and everybody hears of it again.
func TestInvitedAgain(t *testing.T) {
	f := newFixture(t)
	f.setProfile(bobID, parsec.ProfileAdmin)
	created := f.clock.now()
	first := f.inviteUser(f.alice(), zackEmail)
	f.events.take()
	if again := f.inviteUser(f.bob(), "ZACK@example.com"); again != first {
		t.Error("invited twice")
	}
	want := []event.Body{notice.Invitation{Token: first, Status: protocol.InvitationPending, Administrators: true}}
	if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	pending := []protocol.InviteListItem{userInvitation(first, created, protocol.InvitationPending)}
	if got := f.listed(f.bob()); !reflect.DeepEqual(got, pending) {
		t.Errorf("listed %+v, want %+v", got, pending)
	}
	f.cancel(first)
	if f.inviteUser(f.bob(), zackEmail) == first {
		t.Error("what was cancelled is used again")
	}
	device := f.inviteDevice(f.alice())
	if f.inviteDevice(f.author(alicePhone)) != device || f.inviteDevice(f.bob()) == device {
		t.Error("devices of one user have one invitation, and another user's another")
	}
}

// Each sees the invitations whose claimers it may greet: what is over for 90 days.
func TestInviteList(t *testing.T) {
	f := newFixture(t)
	statuses := func(author *rules.Author) (list []protocol.InvitationStatus) {
		for _, item := range f.listed(author) {
			list = append(list, item.Status)
		}
		return list
	}
	f.complete(f.inviteUser(f.alice(), zackEmail))
	f.cancel(f.inviteUser(f.alice(), zackEmail))
	f.inviteUser(f.alice(), zackEmail)
	token := f.inviteDevice(f.bob())
	all := []protocol.InvitationStatus{protocol.InvitationFinished, protocol.InvitationCancelled, protocol.InvitationPending}
	if got := statuses(f.alice()); !slices.Equal(got, all) {
		t.Errorf("alice sees %v, want %v", got, all)
	}
	want := []protocol.InviteListItem{{
		Type: parsec.InvitationDevice, Token: token, CreatedOn: f.clock.now().Add(-time.Second),
		CreatedBy: protocol.InvitationOfUser(bobID, human(bobID)), Status: protocol.InvitationPending,
	}}
	if got := f.listed(f.bob()); !reflect.DeepEqual(got, want) {
		t.Errorf("bob sees %+v, want %+v", got, want)
	}
	if got := f.listed(f.mallory()); len(got) > 0 {
		t.Errorf("mallory sees %+v", got)
	}
	f.clock.advance(91 * 24 * time.Hour)
	if got := statuses(f.alice()); !slices.Equal(got, all[2:]) {
		t.Errorf("alice sees %v, want %v", got, all[2:])
	}
}

// The claimer may end an invitation, too.
func TestInvitationsEndedByClaimers(t *testing.T) {
	f := newFixture(t)
	token := f.inviteUser(f.alice(), "Zack@Example.com")
	zack := f.createUser(f.alice(), deviceID("zack@laptop"), parsec.ProfileOutsider)
	f.events.take()
	f.ok(f.InviteComplete(t.Context(), zack, &protocol.InviteCompleteRequest{Token: token}))
	want := []event.Body{notice.Invitation{Token: token, Status: protocol.InvitationFinished, Administrators: true}}
	if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	device := f.inviteDevice(f.bob())
	f.events.take()
	if got := status(f.InviteCancel(t.Context(), f.alice(), &protocol.InviteCancelRequest{Token: device})); got != protocol.StatusAuthorNotAllowed {
		t.Errorf("an ADMIN cancels the invitation of another's device: %s", got)
	}
	f.ok(f.InviteCancel(t.Context(), f.bob(), &protocol.InviteCancelRequest{Token: device}))
	want = []event.Body{notice.Invitation{Token: device, Status: protocol.InvitationCancelled, Greeters: []parsec3.UserID{bobID}}}
	if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// Everybody who may greet now is shown, in the order of their names.
func TestInviteInfo(t *testing.T) {
	f := newFixture(t)
	token := f.inviteUser(f.alice(), zackEmail)
	for _, user := range []parsec3.UserID{bobID, malloryID} {
		f.setProfile(user, parsec.ProfileAdmin)
	}
	f.freeze(malloryID)
	aaron := f.createUser(f.alice(), deviceID("aaron@laptop"), parsec.ProfileAdmin).User // the last one
	email := zackEmail
	administrator := func(user parsec3.UserID) protocol.InviteAdministrator {
		return protocol.InviteAdministrator{UserID: user, HumanHandle: human(user), OnlineStatus: protocol.OnlineUnknown}
	}
	for _, test := range []struct {
		token parsec3.AccessToken
		want  *protocol.InviteInfoReply
	}{
		{token, &protocol.InviteInfoReply{
			Type: parsec.InvitationUser, CreatedBy: protocol.InvitationOfUser(aliceID, human(aliceID)), ClaimerEmail: &email,
			Administrators: []protocol.InviteAdministrator{administrator(aaron), administrator(aliceID), administrator(bobID)},
		}},
		{f.inviteDevice(f.bob()), &protocol.InviteInfoReply{
			Type: parsec.InvitationDevice, CreatedBy: protocol.InvitationOfUser(bobID, human(bobID)),
			ClaimerUserID: &bobID, ClaimerHumanHandle: new(human(bobID)),
		}},
	} {
		got, err := f.InviteInfo(t.Context(), invited(test.token), &protocol.InviteInfoRequest{})
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("got %+v, %v, want %+v", got, err, test.want)
		}
	}
}

// Who may be met is told, but for whom a setting hides it; who is frozen may not.
func TestInviteInfoTellsWhoIsOnline(t *testing.T) {
	f := newFixture(t, withOptions(func(o *rules.Options) { o.OnlineStatus = true }))
	t.Cleanup(func() { _ = f.Close(context.Background()) })
	f.setProfile(bobID, parsec.ProfileAdmin)
	token := f.inviteUser(f.alice(), zackEmail)
	statuses := func(of *rules.Rules) map[parsec3.UserID]protocol.OnlineStatus {
		info, err := of.InviteInfo(t.Context(), invited(token), &protocol.InviteInfoRequest{})
		f.ok(info, err)
		found := map[parsec3.UserID]protocol.OnlineStatus{}
		for _, of := range info.Administrators {
			found[of.UserID] = of.OnlineStatus
		}
		return found
	}
	await := func(alice, bob protocol.OnlineStatus) {
		t.Helper()
		want := map[parsec3.UserID]protocol.OnlineStatus{aliceID: alice, bobID: bob}
		testkit.Await(t, "who is online", func() bool { return maps.Equal(statuses(f.Rules), want) })
	}
	await(protocol.Offline, protocol.Offline)
	var sessions []*rules.Session
	for range 2 {
		session, err := f.OpenSession(t.Context(), f.alice(), "", nil)
		f.ok(session, err)
		sessions = append(sessions, session)
	}
	await(protocol.Online, protocol.Offline)
	hidden := rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{})
	if got := statuses(hidden); got[aliceID] != protocol.OnlineUnknown || got[bobID] != protocol.OnlineUnknown {
		t.Errorf("by the setting: %v", got)
	}
	sessions[0].Close()
	sessions[0].Close()
	bobs, err := f.OpenSession(t.Context(), f.bob(), "", nil)
	f.ok(bobs, err)
	await(protocol.Online, protocol.Online)
	sessions[1].Close()
	await(protocol.Offline, protocol.Online)
	bobs.Close()
}

// What is sent goes to the claimer, and what became of it is told: the invitation
// stands.
func TestInvitationMails(t *testing.T) {
	post := &mailer{outcome: protocol.EmailRecipientRefused}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = post }))
	byMail := &protocol.InviteNewUserRequest{ClaimerEmail: zackEmail, SendEmail: true}
	reply, err := f.InviteNewUser(t.Context(), f.alice(), byMail)
	f.ok(reply, err)
	device, err := f.InviteNewDevice(t.Context(), f.bob(), &protocol.InviteNewDeviceRequest{SendEmail: true})
	f.ok(device, err)
	want := []rules.InvitationMail{
		{To: zackEmail, Organization: acme, Type: parsec.InvitationUser, Token: reply.Token, Greeter: human(aliceID)},
		{To: "bob@example.com", Organization: acme, Type: parsec.InvitationDevice, Token: device.Token},
	}
	if got := post.take(); !reflect.DeepEqual(got, want) || reply.EmailSent != post.outcome || device.EmailSent != post.outcome {
		t.Errorf("sent %+v, want %+v", got, want)
	}
	f.inviteUser(f.alice(), zackEmail)
	if got := post.take(); len(got) > 0 {
		t.Errorf("sent %+v, which nobody asked for", got)
	}
	post.outcome = protocol.EmailSuccess
	counts := map[protocol.EmailSent]int{}
	oneMailbox := []string{zackEmail, strings.ToUpper(zackEmail), " " + zackEmail, zackEmail + " ", "zack+a@example.com", "Zack+b+c@example.com "}
	for i := range 12 {
		reply, err := f.InviteNewUser(t.Context(), f.alice(), &protocol.InviteNewUserRequest{ClaimerEmail: oneMailbox[i%len(oneMailbox)], SendEmail: true})
		f.ok(reply, err)
		counts[reply.EmailSent]++
	}
	if counts[protocol.EmailSuccess] != 9 || counts[protocol.EmailServerUnavailable] != 3 {
		t.Errorf("to one mailbox: %v", counts)
	}
	f.clock.advance(time.Hour)
	if reply, err := f.InviteNewUser(t.Context(), f.alice(), byMail); err != nil || reply.EmailSent != protocol.EmailSuccess {
		t.Errorf("an hour later: %v, %v", reply, err)
	}
}

// Of several who end an invitation one does, and two who invite make one.
func TestInvitationsAtOnce(t *testing.T) {
	f := newFixture(t)
	f.setProfile(bobID, parsec.ProfileAdmin)
	for range 10 {
		f.endAtOnce(t)
	}
}

// endAtOnce is one round of TestInvitationsAtOnce.
func (f *fixture) endAtOnce(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	invite := func(by *rules.Author) func() error {
		return func() error {
			_, err := f.InviteNewUser(ctx, by, &protocol.InviteNewUserRequest{ClaimerEmail: zackEmail})
			return err
		}
	}
	parallel(invite(f.alice()), invite(f.bob()), invite(f.alice()), invite(f.bob()))
	var pending []parsec3.AccessToken
	for _, item := range f.listed(f.alice()) {
		if item.Status == protocol.InvitationPending {
			pending = append(pending, item.Token)
		}
	}
	if len(pending) != 1 {
		t.Fatalf("%d invitations are pending", len(pending))
	}
	end := func(by *rules.Author, completes bool) func() error {
		return (&inviteEnd{command{f, by}, pending[0], completes}).run
	}
	if got := parallel(end(f.alice(), false), end(f.bob(), false), end(f.alice(), true), end(f.bob(), true)); got[protocol.StatusOK] != 1 {
		t.Errorf("ended as %v", got)
	}
}
