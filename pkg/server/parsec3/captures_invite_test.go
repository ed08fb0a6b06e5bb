package parsec3_test

import (
	"net/http"
	"strings"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// What the official server has made, tokens and ids, is put into the store before: ours
// then answers with it.

// invitation is one that is put into the store.
type invitation struct {
	token   parsec3.AccessToken
	by      parsec3.UserID
	on      parsec.DateTime
	claimer rules.Claimer
}

func (s *state) invite(of invitation) {
	s.t.Helper()
	s.update(rules.Scope{Common: rules.Shared, Invitations: rules.Exclusive}, func(tx rules.Tx) {
		handle, _, err := tx.User(s.ctx, of.by)
		s.ok(err)
		tx.CreateInvitation(rules.Invitation{
			Token: of.token, CreatedBy: rules.Person{User: of.by, HumanHandle: handle.HumanHandle}, CreatedOn: of.on, Claimer: of.claimer,
		})
	})
}

func (s *state) endInvitation(token parsec3.AccessToken, status protocol.InvitationStatus, on parsec.DateTime) {
	s.t.Helper()
	s.update(rules.Scope{Common: rules.Shared, Invitation: &token}, func(tx rules.Tx) {
		tx.EndInvitation(token, rules.InvitationEnd{On: on, Status: status})
	})
}

// attempt puts an attempt of the author, that some sides have joined.
func (s *state) attempt(token parsec3.AccessToken, id parsec3.GreetingAttemptID, greeter, claimer bool) {
	s.t.Helper()
	on := s.clock.Now()
	attempt := rules.Attempt{ID: id, Invitation: token, Greeter: s.author.User, Version: 1}
	if greeter {
		attempt.GreeterJoined = &on
	}
	if claimer {
		attempt.ClaimerJoined = &on
	}
	s.update(rules.Scope{Common: rules.Shared, Invitation: &token}, func(tx rules.Tx) { tx.CreateAttempt(attempt) })
}

// tokenIn reads a token of recorded fields.
func (r *replay) tokenIn(fields map[any]any) (token parsec3.AccessToken) {
	r.t.Helper()
	r.ok(token.UnmarshalBinary(fields["token"].([]byte)))
	return token
}

// bearerOf reads the token by which a claimer comes.
func (r *replay) bearerOf(e *capturedExchange) parsec3.AccessToken {
	r.t.Helper()
	token, err := parsec3.ParseAccessToken(strings.TrimPrefix(e.Request.Headers["authorization"], "Bearer "))
	r.ok(err)
	return token
}

func (r *replay) attemptIn(fields map[any]any) parsec3.GreetingAttemptID {
	r.t.Helper()
	return parsec3.GreetingAttemptID(fields["greeting_attempt"].(parsec.UUID))
}

// personIn returns who is shown as a user.
func (r *replay) personIn(shown map[any]any) (user parsec3.UserID, email, label string) {
	r.t.Helper()
	handle := shown["human_handle"].([]any)
	return parsec3.UserID(shown["user_id"].(parsec.UUID)), handle[0].(string), handle[1].(string)
}

// newUser is the claimer of an invitation of a user.
func newUser(email string) rules.Claimer {
	return rules.Claimer{Type: parsec.InvitationUser, Email: email}
}

// cancelInvitation replays what alice does with invitations in Captured446272c.
func (r *replay) cancelInvitation(alice *rules.Author) {
	r.t.Helper()
	s := &state{replay: r, author: alice}
	e := r.exchange("invite_cancel")
	s.invite(invitation{r.tokenIn(e.Request.Decoded.fields(r.t)), alice.User, r.clock.Now(), newUser("zack@example.com")})
	r.play(e)
}

// inviteToRecover puts the invitation to the setup of Captured446272c.
func (r *replay) inviteToRecover(alice *rules.Author) {
	r.t.Helper()
	s := &state{replay: r, author: alice}
	e := r.exchange("invite_new_shamir_recovery")
	brief := r.exchange("shamir_recovery_setup").Request.Certificates[0].Content.fields(r.t)
	s.invite(invitation{r.tokenIn(e.Reply.Decoded.fields(r.t)), alice.User, r.clock.Now(), rules.Claimer{
		Type: parsec.InvitationShamirRecovery, User: parsec3.UserID(e.Request.Decoded.fields(r.t)["claimer_user_id"].(parsec.UUID)),
		Setup: brief["timestamp"].(parsec.DateTime),
	}})
}

// hearOfInvitation replays the stream that tells alice of one.
func (r *replay) hearOfInvitation(alice *rules.Author) {
	r.t.Helper()
	s := &state{replay: r, author: alice}
	const email = "yves@example.com"
	listening := r.listen("alice: invitation")
	s.invite(invitation{r.tokenIn(listening.recorded.Messages[1].Decoded.fields(r.t)), alice.User, r.clock.Now(), newUser(email)})
	_, err := r.rules.InviteNewUser(r.ctx, alice, &protocol.InviteNewUserRequest{ClaimerEmail: email})
	r.ok(err)
	listening.expect()
}

// replayGreeting replays the greeting of a device.
func (s *state) replayGreeting() {
	s.t.Helper()
	const prefix = "greeting: "
	begun := s.exchange(prefix + "invite_new_device")
	s.setClock(&begun.Request)
	token := s.tokenIn(begun.Reply.Decoded.fields(s.t))
	s.invite(invitation{token, s.author.User, s.clock.Now(), rules.Claimer{Type: parsec.InvitationDevice, User: s.author.User}})
	said := map[string]bool{}
	for i, e := range s.captured.Exchanges {
		if !strings.HasPrefix(e.Name, prefix) {
			continue
		}
		if e.Name == prefix+"invite_greeter_start_greeting_attempt" {
			s.attempt(token, s.attemptIn(e.Reply.Decoded.fields(s.t)), false, false)
		}
		if number := stepNumber(e); number != "" && !strings.Contains(e.Name, "not_ready") && !said[peer(e)+number] {
			s.sayBefore(s.captured.Exchanges[i+1:], peer(e), number)
		}
		said[e.Request.command()+stepNumber(e)] = true
		s.play(e)
	}
}

// stepNumber returns that of the step that a request says, "" for none.
func stepNumber(e *capturedExchange) string {
	_, name, _ := strings.Cut(e.Name, "_step ")
	return strings.TrimPrefix(name, "NUMBER_")[:min(1, len(name))]
}

// peer returns the command of the other side.
func peer(e *capturedExchange) string {
	if e.Request.command() == "invite_greeter_step" {
		return "invite_claimer_step"
	}
	return "invite_greeter_step"
}

// sayBefore has a side say its part of a step, which is recorded when the other one has
// said its own, too.
func (s *state) sayBefore(later []*capturedExchange, command, number string) {
	s.t.Helper()
	for _, e := range later {
		if e.Request.command() == command && stepNumber(e) == number {
			if response := s.send(s.ctx, &e.Request); response.StatusCode != http.StatusOK {
				s.t.Errorf("%s: HTTP %d", e.Name, response.StatusCode)
			}
			return
		}
	}
}

// replayInvitations replays exchanges each of which is of an organization of its own.
func replayInvitations(r *replay) {
	replayInviteNewUser(r)
	replayInviteList(r)
	replayInviteInfo(r)
	replayCancelled(r)
	for _, name := range []string{"invite_greeter_cancel_greeting_attempt", "invite_claimer_cancel_greeting_attempt"} {
		e := r.exchange(name)
		s, token := r.invitedBy(e)
		s.attempt(token, r.attemptIn(e.Request.Decoded.fields(r.t)), true, true)
		r.play(e)
	}
}

// invitedBy has an organization whose founder has invited somebody.
func (r *replay) invitedBy(e *capturedExchange) (*state, parsec3.AccessToken) {
	r.t.Helper()
	organization := organizationOf(&e.Request)
	device, token := pingDevice, parsec3.NewAccessToken()
	if strings.HasPrefix(e.Request.Path, "/invited/") {
		token = r.bearerOf(e)
	} else {
		device = r.deviceIn(e)
	}
	s := r.foundBy(founder{organization: organization, device: device, on: r.date("22:04:00")})
	s.invite(invitation{token, s.author.User, r.clock.Now(), newUser("claimer@example.com")})
	return s, token
}

// deviceIn returns the name of the device that sends a request.
func (r *replay) deviceIn(e *capturedExchange) string {
	r.t.Helper()
	id := strings.Split(e.Request.Headers["authorization"], ".")[1]
	for name, key := range r.captured.Keys {
		if key.ID == id {
			return name
		}
	}
	r.t.Fatalf("%s: no device is called %s", e.Name, id)
	return ""
}

func replayInviteNewUser(r *replay) {
	e := r.exchange("invite_new_user")
	s := r.foundBy(founder{organization: organizationOf(&e.Request), device: r.deviceIn(e), on: r.date("22:04:00")})
	s.invite(invitation{
		r.tokenIn(e.Reply.Decoded.fields(r.t)), s.author.User, r.clock.Now(), newUser(e.Request.Decoded.fields(r.t)["claimer_email"].(string)),
	})
	r.play(e)
}

func replayInviteList(r *replay) {
	e := r.exchange("invite_list")
	items := e.Reply.Decoded.fields(r.t)["invitations"].([]any)
	on := r.date("22:04:00")
	var s *state
	known := map[parsec3.UserID]bool{}
	for _, item := range items {
		fields := item.(map[any]any)
		user, email, label := r.personIn(fields["created_by"].(map[any]any))
		switch {
		case s == nil:
			s = r.foundBy(founder{organization: organizationOf(&e.Request), device: r.deviceIn(e), on: on, user: user, email: email, label: label})
		case !known[user]:
			s.addUser(&rules.Author{User: user, Device: parsec3.DeviceID(parsec.NewUUID())}, email, label, on.Add(time.Second))
		}
		known[user] = true
		claimer := rules.Claimer{Type: parsec.InvitationDevice, User: user}
		if email, isUser := fields["claimer_email"].(string); isUser {
			claimer = newUser(email)
		}
		token := r.tokenIn(fields)
		s.invite(invitation{token, user, fields["created_on"].(parsec.DateTime), claimer})
		if status := protocol.InvitationStatus(fields["status"].(string)); status != protocol.InvitationPending {
			s.endInvitation(token, status, r.date("22:04:22.3"))
		}
	}
	r.play(e)
}

func replayInviteInfo(r *replay) {
	e := r.exchange("invite_info_user")
	reply := e.Reply.Decoded.fields(r.t)
	on := r.date("22:04:00")
	var s *state
	for _, shown := range reply["administrators"].([]any) {
		user, email, label := r.personIn(shown.(map[any]any))
		if s == nil {
			s = r.foundBy(founder{organization: organizationOf(&e.Request), device: pingDevice, on: on, user: user, email: email, label: label})
			continue
		}
		on = on.Add(time.Second)
		s.addUser(&rules.Author{User: user, Device: parsec3.DeviceID(parsec.NewUUID())}, email, label, on)
	}
	s.invite(invitation{r.bearerOf(e), s.author.User, on, newUser(reply["claimer_email"].(string))})
	r.play(e)
}

func replayCancelled(r *replay) {
	e := r.exchange("invite_claimer_step_cancelled")
	s, token := r.invitedBy(e)
	id := r.attemptIn(e.Request.Decoded.fields(r.t))
	s.attempt(token, id, true, true)
	r.at(e.Reply.Decoded.fields(r.t)["timestamp"].(parsec.DateTime))
	_, err := r.rules.InviteGreeterStartGreetingAttempt(r.ctx, s.author, &protocol.InviteGreeterStartGreetingAttemptRequest{Token: token})
	r.ok(err)
	r.play(e)
}
