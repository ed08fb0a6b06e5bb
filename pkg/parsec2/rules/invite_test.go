package rules_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// mailer answers what a test says, and keeps what it was given.
type mailer struct {
	outcome protocol.EmailSent
	mails   []rules.InvitationMail
	limited bool
}

func (m *mailer) SendInvitation(ctx context.Context, mail rules.InvitationMail) protocol.EmailSent {
	_, m.limited = ctx.Deadline()
	m.mails = append(m.mails, mail)
	return m.outcome
}

const zack = "zack@example.com"

func forUser(email string) *protocol.InviteNewRequest {
	return &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: email}
}

func forDevice() *protocol.InviteNewRequest {
	return &protocol.InviteNewRequest{Type: parsec.InvitationDevice}
}

func (f *fixture) inviteNew(author *rules.Author, request *protocol.InviteNewRequest) parsec.InvitationToken {
	f.t.Helper()
	reply, err := f.InviteNew(f.t.Context(), author, request)
	f.ok(reply, err)
	return reply.Token
}

func (f *fixture) inviteDelete(author *rules.Author, token parsec.InvitationToken) error {
	_, err := f.InviteDelete(f.t.Context(), author, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationCancelled})
	return err
}

// statusEvent returns what greeters and claimers are told.
func statusEvent(greeter parsec.DeviceID, token parsec.InvitationToken, status parsec.InvitationStatus) event.Body {
	return notice.InviteStatusChanged{Greeters: []parsec.UserID{greeter.User()}, Token: token, Status: status}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func (f *fixture) wantEvents(want ...event.Body) {
	f.t.Helper()
	equal(f.t, "events", f.events.bodies(), want)
}

// TestInviteNew has every row of docs/protocol/invite.md §2.
func TestInviteNew(t *testing.T) {
	f := newFixture(t)
	f.createUser(f.alice(), deviceID("gone@laptop"), parsec.ProfileStandard)
	f.revoke(userID("gone"))
	f.events.take()
	handle := func(author *rules.Author) string { return human(author.User()).Email() }
	for _, row := range []struct {
		name    string
		author  *rules.Author
		request *protocol.InviteNewRequest
		want    protocol.Status
	}{
		{"a user by a STANDARD", f.bob(), forUser(zack), protocol.StatusNotAllowed},
		{"a member by a STANDARD", f.bob(), forUser(handle(f.alice())), protocol.StatusNotAllowed},
		{"a member", f.alice(), forUser(handle(f.bob())), protocol.StatusAlreadyMember},
		{"the address of a member in capitals", f.alice(), forUser("BOB@example.com"), protocol.StatusOK},
		{"who was revoked", f.alice(), forUser("gone@example.com"), protocol.StatusOK},
		{"a user", f.alice(), forUser(zack), protocol.StatusOK},
		{"a device of an OUTSIDER", f.mallory(), forDevice(), protocol.StatusOK},
		{"Shamir recovery without setup", f.alice(), &protocol.InviteNewRequest{Type: parsec.InvitationShamirRecovery, ClaimerUserID: bobID.User()}, protocol.StatusShamirNotSetup},
		{"Shamir recovery of nobody", f.alice(), &protocol.InviteNewRequest{Type: parsec.InvitationShamirRecovery, ClaimerUserID: userID("nobody")}, protocol.StatusShamirNotSetup},
	} {
		reply, err := f.InviteNew(t.Context(), row.author, row.request)
		if got := status(reply, err); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
			continue
		}
		if row.want != protocol.StatusOK {
			f.wantEvents()
			continue
		}
		if reply.EmailSent != protocol.EmailSuccess {
			t.Errorf("%s: e-mail %s", row.name, reply.EmailSent)
		}
		f.wantEvents(statusEvent(row.author.Device, reply.Token, parsec.InvitationIdle))
	}
}

func TestInviteNewWithoutHandle(t *testing.T) {
	f := newFixture(t)
	creation := f.userCreation(f.alice(), deviceID("nameless@laptop"), parsec.ProfileStandard)
	creation.user.HumanHandle = parsec.HumanHandle{}
	creation.redactedUser = creation.user.Redacted()
	f.ok(f.UserCreate(t.Context(), f.alice(), creation.request()))
	nameless := f.author(acme, deviceID("nameless@laptop"), parsec.ProfileStandard)
	if got := status(f.InviteNew(t.Context(), nameless, &protocol.InviteNewRequest{Type: parsec.InvitationDevice, SendEmail: true})); got != protocol.StatusNotAvailable {
		t.Errorf("with e-mail: %s", got)
	}
	if got := status(f.InviteNew(t.Context(), nameless, forDevice())); got != protocol.StatusOK {
		t.Errorf("without e-mail: %s", got)
	}
}

// TestInviteNewAgain gives the token of before.
func TestInviteNewAgain(t *testing.T) {
	f := newFixture(t)
	users, devices := f.inviteNew(f.alice(), forUser(zack)), f.inviteNew(f.alice(), forDevice())
	f.clock.advance(time.Second)
	f.events.take()
	if got := f.inviteNew(f.alice2(), forUser(zack)); got != users {
		t.Error("another token for the same user")
	}
	f.wantEvents(statusEvent(aliceID, users, parsec.InvitationIdle))
	if got := f.inviteNew(f.alice2(), forDevice()); got != devices {
		t.Error("another token for the same device")
	}
	for name, other := range map[string]parsec.InvitationToken{
		"another case":    f.inviteNew(f.alice(), forUser("Zack@example.com")),
		"another greeter": f.inviteNew(f.bob(), forDevice()),
	} {
		if other == users || other == devices {
			t.Errorf("%s: the same token", name)
		}
	}
	f.ok(nil, f.inviteDelete(f.alice(), users))
	if f.inviteNew(f.alice(), forUser(zack)) == users {
		t.Error("the token of a deleted invitation")
	}
	counts := parallel(func() error { f.inviteNew(f.bob(), forDevice()); return nil }, func() error { f.inviteNew(f.bob(), forDevice()); return nil })
	list, err := f.InviteList(t.Context(), f.bob(), nil)
	f.ok(list, err)
	if len(list.Invitations) != 1 {
		t.Errorf("%d invitations after %v", len(list.Invitations), counts)
	}
}

func TestInviteNewMails(t *testing.T) {
	m := &mailer{outcome: protocol.EmailBadRecipient}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = m }))
	reply, err := f.InviteNew(t.Context(), f.alice(), &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: zack, SendEmail: true})
	f.ok(reply, err)
	if reply.EmailSent != protocol.EmailBadRecipient || !m.limited {
		t.Errorf("e-mail %s, limited %t", reply.EmailSent, m.limited)
	}
	device, err := f.InviteNew(t.Context(), f.bob(), &protocol.InviteNewRequest{Type: parsec.InvitationDevice, SendEmail: true})
	f.ok(device, err)
	f.inviteNew(f.alice(), forUser(zack))
	alice, bob := human(aliceID.User()), human(bobID.User())
	equal(t, "mails", m.mails, []rules.InvitationMail{
		{Organization: acme, Type: parsec.InvitationUser, Token: reply.Token, To: zack, GreeterName: alice.Label(), ReplyTo: alice},
		{Organization: acme, Type: parsec.InvitationDevice, Token: device.Token, To: bob.Email(), GreeterName: bob.Label()},
	})
}

func TestInviteNewWithoutMailer(t *testing.T) {
	f := newFixture(t)
	reply, err := f.InviteNew(t.Context(), f.alice(), &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: zack, SendEmail: true})
	f.ok(reply, err)
	if reply.EmailSent != protocol.EmailNotAvailable {
		t.Errorf("e-mail %s", reply.EmailSent)
	}
}

// TestInviteDelete has every row of docs/protocol/invite.md §2.
func TestInviteDelete(t *testing.T) {
	f := newFixture(t)
	token := f.inviteNew(f.alice(), forUser(zack))
	f.events.take()
	for _, step := range []struct {
		name   string
		author *rules.Author
		token  parsec.InvitationToken
		want   protocol.Status
	}{
		{"unknown", f.alice(), parsec.InvitationToken{1}, protocol.StatusNotFound},
		{"of another greeter", f.bob(), token, protocol.StatusNotFound},
		{"by another device", f.alice2(), token, protocol.StatusOK},
		{"again", f.alice(), token, protocol.StatusAlreadyDeleted},
		{"again by another", f.bob(), token, protocol.StatusNotFound},
	} {
		if got := status(nil, f.inviteDelete(step.author, step.token)); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if step.want == protocol.StatusOK {
			f.wantEvents(statusEvent(aliceID, token, parsec.InvitationDeleted))
		} else {
			f.wantEvents()
		}
	}
}

// claimant opens the session of a claimer.
func (f *fixture) claimant(b *rules.Rules, kind parsec.InvitationType, token parsec.InvitationToken) *rules.Session {
	f.t.Helper()
	session, err := b.ConnectInvited(f.t.Context(), rules.Invitee{Organization: acme, Token: token, Type: kind, API: latest}, func() {}, func() {})
	f.ok(session, err)
	return session
}

// TestInviteStatus connects claimers to two instances.
func TestInviteStatus(t *testing.T) {
	f := newFixture(t)
	remote := rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{})
	token := f.inviteNew(f.alice(), forUser(zack))
	f.clock.advance(time.Second)
	device := f.inviteNew(f.alice(), forDevice())
	f.events.take()
	want := func(what string, ready parsec.InvitationStatus) {
		t.Helper()
		for name, b := range map[string]*rules.Rules{"here": f.Rules, "there": remote} {
			list, err := b.InviteList(t.Context(), f.alice(), nil)
			f.ok(list, err)
			email := zack
			if len(list.Invitations) != 2 || list.Invitations[0].Token != token || list.Invitations[1].Token != device {
				t.Fatalf("%s %s: %+v", what, name, list.Invitations)
			}
			if got := list.Invitations[0]; got.Status != ready || *got.ClaimerEmail != email || got.Type != parsec.InvitationUser {
				t.Errorf("%s %s: %+v, want %s", what, name, got, ready)
			}
			if got := list.Invitations[1]; got.Status != parsec.InvitationIdle || got.ClaimerEmail != nil {
				t.Errorf("%s %s: %+v", what, name, got)
			}
		}
	}
	ready, idle := statusEvent(aliceID, token, parsec.InvitationReady), statusEvent(aliceID, token, parsec.InvitationIdle)
	want("at first", parsec.InvitationIdle)
	first := f.claimant(f.Rules, parsec.InvitationUser, token)
	second := f.claimant(remote, parsec.InvitationUser, token)
	f.wantEvents(ready, ready)
	want("with two", parsec.InvitationReady)
	first.Close()
	f.wantEvents()
	want("with one", parsec.InvitationReady)
	second.Close()
	f.wantEvents(idle)
	want("with none", parsec.InvitationIdle)

	// An instance crashes: nobody closes its session, nor renews its lease.
	f.claimant(remote, parsec.InvitationUser, token)
	f.clock.advance(40 * time.Second)
	alive := f.claimant(f.Rules, parsec.InvitationUser, token)
	f.wantEvents(ready, ready)
	f.clock.advance(25 * time.Second)
	f.ok(nil, f.RenewPresences(t.Context()))
	want("with one that lives", parsec.InvitationReady)
	f.wantEvents()
	f.clock.advance(50 * time.Second)
	want("renewed", parsec.InvitationReady)
	alive.Close()
	f.wantEvents(idle)

	f.claimant(remote, parsec.InvitationUser, token) // crashes as well
	f.wantEvents(ready)
	f.clock.advance(2 * time.Minute)
	want("after the crash", parsec.InvitationIdle)
	f.ok(nil, f.RenewPresences(t.Context()))
	f.wantEvents(idle)
	f.ok(nil, f.RenewPresences(t.Context()))
	f.wantEvents()

	last := f.claimant(f.Rules, parsec.InvitationUser, token)
	f.ok(nil, f.inviteDelete(f.alice(), token))
	f.events.take()
	last.Close()
	f.wantEvents() // no IDLE after DELETED
}

func TestInviteInfo(t *testing.T) {
	f := newFixture(t)
	email := zack
	for _, row := range []struct {
		request *protocol.InviteNewRequest
		email   *string
	}{{forUser(zack), &email}, {forDevice(), nil}} {
		token := f.inviteNew(f.alice(), row.request)
		session := f.claimant(f.Rules, row.request.Type, token)
		f.ok(nil, f.inviteDelete(f.alice(), token))
		info, err := f.InviteInfo(t.Context(), &session.Invitee, nil)
		f.ok(info, err)
		equal(t, "info", info, &protocol.InviteInfoReply{
			Type: row.request.Type, ClaimerEmail: row.email, GreeterUserID: new(aliceID.User()), GreeterHumanHandle: human(aliceID.User()),
		})
		session.Close()
	}
}

// TestRevokedGreeter ends its invitations.
func TestRevokedGreeter(t *testing.T) {
	f := newFixture(t)
	token := f.inviteNew(f.bob(), forDevice())
	over := make(chan struct{})
	invitee := rules.Invitee{Organization: acme, Token: token, Type: parsec.InvitationDevice, API: latest}
	session, err := f.ConnectInvited(t.Context(), invitee, func() { close(over) }, func() {})
	f.ok(session, err)
	defer session.Close()
	f.revoke(bobID.User())
	<-over
	if _, err := f.ConnectInvited(t.Context(), invitee, func() {}, func() {}); !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("the next claimer: %v", err)
	}
	if _, err := f.Invitation(t.Context(), acme, token); !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("the next request: %v", err)
	}
}
