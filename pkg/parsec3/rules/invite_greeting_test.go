package rules_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// hasty steps wait for nobody.
var hasty = withOptions(func(o *rules.Options) { o.GreetingPatience = time.Nanosecond })

// greeting is a command of bob, who is ADMIN, or of zack, whom it greets.
type greeting struct {
	byInvitation
	side protocol.Side
	// greeter is whom zack asks for.
	greeter parsec3.UserID
	attempt parsec3.GreetingAttemptID
	step    int
	said    []byte
	// do is the command.
	do func(s *greeting) error
}

// newGreeting returns how a test begins: with a side that has joined an attempt.
func newGreeting(side protocol.Side, do func(s *greeting) error) func(t *testing.T) *greeting {
	return func(t *testing.T) *greeting {
		t.Helper()
		f := newFixture(t, hasty)
		f.setProfile(bobID, parsec.ProfileAdmin)
		s := &greeting{byInvitation: newByInvitation(f), side: side, greeter: bobID, said: make([]byte, 32), do: do}
		s.author = f.bob()
		s.attempt = s.start(side)
		return s
	}
}

func (s *greeting) run() error { return s.do(s) }

// start has a side join, which must succeed.
func (s *greeting) start(side protocol.Side) parsec3.GreetingAttemptID {
	s.t.Helper()
	id, err := s.tryStart(side)
	s.ok(nil, err)
	return id
}

func (s *greeting) tryStart(side protocol.Side) (parsec3.GreetingAttemptID, error) {
	if side == protocol.Greeter {
		reply, err := s.InviteGreeterStartGreetingAttempt(s.t.Context(), s.author, &protocol.InviteGreeterStartGreetingAttemptRequest{Token: s.invited.Token})
		if err != nil {
			return parsec3.GreetingAttemptID{}, err
		}
		return reply.GreetingAttempt, nil
	}
	reply, err := s.InviteClaimerStartGreetingAttempt(s.t.Context(), s.invited, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: s.greeter})
	if err != nil {
		return parsec3.GreetingAttemptID{}, err
	}
	return reply.GreetingAttempt, nil
}

// cancelAttempt has a side cancel the attempt.
func (s *greeting) cancelAttempt(side protocol.Side, reason protocol.CancelledAttemptReason) error {
	cancellation := protocol.AttemptCancellation{GreetingAttempt: s.attempt, Reason: reason}
	if side == protocol.Greeter {
		return failure(s.InviteGreeterCancelGreetingAttempt(s.t.Context(), s.author, &protocol.InviteGreeterCancelGreetingAttemptRequest{AttemptCancellation: cancellation}))
	}
	return failure(s.InviteClaimerCancelGreetingAttempt(s.t.Context(), s.invited, &protocol.InviteClaimerCancelGreetingAttemptRequest{AttemptCancellation: cancellation}))
}

// say has a side say something in a step, and returns what the other one has said.
func (s *greeting) say(side protocol.Side, step int, said []byte) ([]byte, error) {
	if side == protocol.Greeter {
		request := &protocol.InviteGreeterStepRequest{GreetingAttempt: s.attempt, GreeterStep: protocol.GreeterStepOf(step, said)}
		s.ok(nil, request.Validate())
		reply, err := s.InviteGreeterStep(s.t.Context(), s.author, request)
		if err != nil {
			return nil, err
		}
		return reply.ClaimerStep.Said(), nil
	}
	request := &protocol.InviteClaimerStepRequest{GreetingAttempt: s.attempt, ClaimerStep: protocol.ClaimerStepOf(step, said)}
	s.ok(nil, request.Validate())
	reply, err := s.InviteClaimerStep(s.t.Context(), s.invited, request)
	if err != nil {
		return nil, err
	}
	return reply.GreeterStep.Said(), nil
}

// both has both sides say something in a step.
func (s *greeting) both(step int) {
	s.t.Helper()
	if _, err := s.say(protocol.Greeter, step, s.said); status(nil, err) != protocol.StatusNotReady {
		s.t.Fatalf("step %d of the greeter: %v", step, err)
	}
	_, err := s.say(protocol.Claimer, step, s.said)
	s.ok(nil, err)
}

// The commands.
func doStart(s *greeting) error { return failure(s.tryStart(s.side)) }

func doCancel(s *greeting) error { return s.cancelAttempt(s.side, protocol.ManuallyCancelled) }

func doStep(s *greeting) error { return failure(s.say(s.side, s.step, s.said)) }

// another has another attempt, which neither bob nor zack is of.
func (s *greeting) another() {
	s.t.Helper()
	token := s.inviteUser(s.alice(), "yves@example.com")
	reply, err := s.InviteGreeterStartGreetingAttempt(s.t.Context(), s.alice(), &protocol.InviteGreeterStartGreetingAttemptRequest{Token: token})
	s.ok(reply, err)
	s.attempt = reply.GreetingAttempt
}

// endRows are those of an invitation that is over, for a greeter.
func endRows(number string, finished, cancelled protocol.Status) []row[*greeting] {
	return []row[*greeting]{
		{number, "invitation finished", func(s *greeting) { s.complete(s.invited.Token) }, finished},
		{number, "invitation cancelled", func(s *greeting) { s.cancel(s.invited.Token) }, cancelled},
	}
}

func TestInviteGreeterStartTable(t *testing.T) {
	rows := append(standingRows[*greeting](),
		row[*greeting]{"1", "invitation unknown", func(s *greeting) { s.invited.Token = parsec3.NewAccessToken() }, protocol.StatusInvitationNotFound})
	rows = append(rows, row[*greeting]{"2", "invitation finished", func(s *greeting) { s.complete(s.invited.Token) }, protocol.StatusInvitationCompleted},
		row[*greeting]{"3", "invitation cancelled", func(s *greeting) { s.cancel(s.invited.Token) }, protocol.StatusInvitationCancelled},
		row[*greeting]{"4", "no ADMIN", func(s *greeting) { s.setProfile(bobID, parsec.ProfileStandard) }, protocol.StatusAuthorNotAllowed})
	checkTable(t, "invite_greeter_start_greeting_attempt", newGreeting(protocol.Greeter, doStart), rows, append(standingApart,
		[2]string{"invitation finished", "invitation cancelled"})...)
}

func TestInviteClaimerStartTable(t *testing.T) {
	rows := append(invitedRows[*greeting](),
		row[*greeting]{"1", "greeter unknown", func(s *greeting) { s.greeter = userID("nobody") }, protocol.StatusGreeterNotFound},
		row[*greeting]{"2", "greeter revoked", func(s *greeting) { s.revoke(bobID) }, protocol.StatusGreeterRevoked})
	rows = append(rows, invitationRows[*greeting]("3")...)
	rows = append(rows, row[*greeting]{"4", "no ADMIN", func(s *greeting) { s.greeter = malloryID }, protocol.StatusGreeterNotAllowed})
	checkTable(t, "invite_claimer_start_greeting_attempt", newGreeting(protocol.Claimer, doStart), rows, invitedApart...)
}

// attemptRows are the checks 1 to 6 of the commands of a side on an attempt.
func attemptRows(side protocol.Side, cancelled protocol.Status) []row[*greeting] {
	var rows []row[*greeting]
	if side == protocol.Greeter {
		rows = append(standingRows[*greeting](),
			row[*greeting]{"1", "attempt unknown", func(s *greeting) { s.attempt = parsec3.GreetingAttemptID{1} }, protocol.StatusGreetingAttemptNotFound},
			row[*greeting]{"1", "of another greeter", func(s *greeting) { s.another() }, protocol.StatusGreetingAttemptNotFound})
		rows = append(rows, endRows("2", protocol.StatusInvitationCompleted, protocol.StatusInvitationCancelled)...)
		rows = append(rows, row[*greeting]{"4", "no ADMIN", func(s *greeting) { s.setProfile(bobID, parsec.ProfileStandard) }, protocol.StatusAuthorNotAllowed})
	} else {
		rows = append(invitedRows[*greeting](), invitationRows[*greeting]("1")...)
		rows = append(rows,
			row[*greeting]{"2", "attempt unknown", func(s *greeting) { s.attempt = parsec3.GreetingAttemptID{1} }, protocol.StatusGreetingAttemptNotFound},
			row[*greeting]{"2", "of another invitation", func(s *greeting) { s.another() }, protocol.StatusGreetingAttemptNotFound},
			row[*greeting]{"3", "greeter revoked", func(s *greeting) { s.revoke(bobID) }, protocol.StatusGreeterRevoked},
			row[*greeting]{"4", "no ADMIN", func(s *greeting) { s.setProfile(bobID, parsec.ProfileStandard) }, protocol.StatusGreeterNotAllowed})
	}
	return append(rows,
		row[*greeting]{"5", "attempt cancelled", func(s *greeting) { s.cancelled() }, cancelled},
		row[*greeting]{"6", "not joined", func(s *greeting) { s.unjoin() }, protocol.StatusGreetingAttemptNotJoined})
}

// cancelled has the attempt cancelled by a side that has joined it.
func (s *greeting) cancelled() {
	s.t.Helper()
	err := s.cancelAttempt(s.side, protocol.InvalidSASCode)
	if status(nil, err) == protocol.StatusGreetingAttemptNotJoined {
		err = s.cancelAttempt(s.side.Peer(), protocol.InvalidSASCode)
	}
	s.ok(nil, err)
}

// unjoin has an attempt that the peer alone has joined.
func (s *greeting) unjoin() {
	s.t.Helper()
	s.start(s.side.Peer())
	s.attempt = s.start(s.side.Peer())
}

// attemptApart are pairs that nothing violates at once.
var attemptApart = append(append([][2]string{
	{"invitation finished", "invitation cancelled"}, {"too advanced", "mismatch"},
}, invitedApart...), standingApart...)

func TestInviteGreeterCancelTable(t *testing.T) {
	checkTable(t, "invite_greeter_cancel_greeting_attempt", newGreeting(protocol.Greeter, doCancel),
		attemptRows(protocol.Greeter, protocol.StatusGreetingAttemptAlreadyCancelled), attemptApart...)
}

func TestInviteClaimerCancelTable(t *testing.T) {
	checkTable(t, "invite_claimer_cancel_greeting_attempt", newGreeting(protocol.Claimer, doCancel),
		attemptRows(protocol.Claimer, protocol.StatusGreetingAttemptAlreadyCancelled), attemptApart...)
}

// stepRows are all checks of a step.
func stepRows(side protocol.Side) []row[*greeting] {
	return append(attemptRows(side, protocol.StatusGreetingAttemptCancelled),
		row[*greeting]{"7", "too advanced", func(s *greeting) { s.step = 1 }, protocol.StatusStepTooAdvanced},
		row[*greeting]{"8", "mismatch", func(s *greeting) {
			_, err := s.say(side, 0, bytes.Repeat([]byte{1}, 32))
			if got := status(nil, err); got != protocol.StatusOK && got != protocol.StatusNotReady {
				s.t.Fatal(err)
			}
		}, protocol.StatusStepMismatch})
}

// readyStep begins when the other side has said its part.
func readyStep(side protocol.Side) func(t *testing.T) *greeting {
	begin := newGreeting(side, doStep)
	return func(t *testing.T) *greeting {
		s := begin(t)
		s.start(side.Peer())
		if _, err := s.say(side.Peer(), 0, s.said); status(nil, err) != protocol.StatusNotReady {
			t.Fatal(err)
		}
		return s
	}
}

func TestInviteGreeterStepTable(t *testing.T) {
	checkTable(t, "invite_greeter_step", readyStep(protocol.Greeter), append(stepRows(protocol.Greeter),
		row[*greeting]{"9", "not ready", func(s *greeting) { s.notReady() }, protocol.StatusNotReady}), append(attemptApart, [2]string{"mismatch", "not ready"})...)
}

func TestInviteClaimerStepTable(t *testing.T) {
	checkTable(t, "invite_claimer_step", readyStep(protocol.Claimer), append(stepRows(protocol.Claimer),
		row[*greeting]{"9", "not ready", func(s *greeting) { s.notReady() }, protocol.StatusNotReady}), append(attemptApart, [2]string{"mismatch", "not ready"})...)
}

// notReady has said the part already, and the peer has not.
func (s *greeting) notReady() {
	s.t.Helper()
	s.start(s.side)
	s.attempt = s.start(s.side.Peer())
	if s.side == protocol.Greeter { // begun again: joined by both, nothing said
		s.attempt = s.start(s.side)
		s.start(s.side.Peer())
	}
	if _, err := s.say(s.side, 0, s.said); status(nil, err) != protocol.StatusNotReady {
		s.t.Fatal(err)
	}
}

// Clients before API 5.2 compute other codes: they may start and cancel.
func TestOldClients(t *testing.T) {
	for _, side := range []protocol.Side{protocol.Greeter, protocol.Claimer} {
		for minor := range uint32(4) {
			s := newGreeting(side, doStep)(t)
			old := parsec.APIVersion{Major: 5, Minor: minor}
			s.spoilAuthor(func(a *rules.Author) { a.API = old })
			s.invited.API = old
			if got := errors.Is(doStep(s), rules.ErrOldClient); got != (minor < 2) {
				t.Errorf("5.%d, %s: refused: %t", minor, side, got)
			}
			s.attempt = parsec3.GreetingAttemptID{1} // which is looked for afterwards
			if got := errors.Is(doStep(s), rules.ErrOldClient); got != (minor < 2) {
				t.Errorf("5.%d, %s, of no attempt: refused: %t", minor, side, got)
			}
			s.attempt = s.start(side)
			s.ok(nil, doCancel(s))
		}
	}
}

// A whole greeting, in both orders of each step.
func TestGreeting(t *testing.T) {
	for _, first := range []protocol.Side{protocol.Greeter, protocol.Claimer} {
		t.Run(string(first), func(t *testing.T) {
			s := newGreeting(first, doStep)(t)
			if s.start(first.Peer()) != s.attempt {
				t.Fatal("the sides are in two attempts")
			}
			s.events.take()
			for step := range protocol.Steps {
				parts := map[protocol.Side][]byte{protocol.Greeter: partOf(protocol.Greeter, step), protocol.Claimer: partOf(protocol.Claimer, step)}
				if _, err := s.say(first, step, parts[first]); status(nil, err) != protocol.StatusNotReady {
					t.Fatalf("step %d: %v", step, err)
				}
				got, err := s.say(first.Peer(), step, parts[first.Peer()])
				if err != nil || !bytes.Equal(got, parts[first]) {
					t.Fatalf("step %d: %x, %v", step, got, err)
				}
				for earlier := range step + 1 {
					got, err := s.say(first, earlier, partOf(first, earlier))
					if err != nil || !bytes.Equal(got, partOf(first.Peer(), earlier)) {
						t.Fatalf("step %d again: %x, %v", earlier, got, err)
					}
				}
			}
			want := []event.Body{notice.GreetingAttemptJoined{Token: s.invited.Token, Greeter: bobID, Attempt: s.attempt}}
			if first == protocol.Claimer {
				want = append([]event.Body{notice.GreetingAttemptReady{Token: s.invited.Token, Greeter: bobID, Attempt: s.attempt}}, want...)
			}
			if got := s.events.bodies(); !reflect.DeepEqual(got, want) {
				t.Errorf("told %v, want %v", got, want)
			}
		})
	}
}

// partOf is what a side says in a step: nothing, in those without field.
func partOf(side protocol.Side, step int) []byte {
	part := bytes.Repeat([]byte{byte(step + 1)}, 32)
	if side == protocol.Greeter {
		s := protocol.GreeterStepOf(step, part)
		return s.Said()
	}
	s := protocol.ClaimerStepOf(step, part)
	return s.Said()
}

// A side that begins again has a new attempt, and the other one finds the old one
// cancelled.
func TestGreetingBegunAgain(t *testing.T) {
	for _, side := range []protocol.Side{protocol.Greeter, protocol.Claimer} {
		t.Run(string(side), func(t *testing.T) {
			s := newGreeting(side, doStep)(t)
			s.start(side.Peer())
			s.events.take()
			on := s.clock.now()
			again := s.start(side)
			if again == s.attempt {
				t.Error("the same attempt")
			}
			s.clock.advance(time.Second)
			for _, other := range []protocol.Side{side, side.Peer()} {
				_, err := s.say(other, 0, s.said)
				want := protocol.AttemptCancelledDetails{Origin: side, Timestamp: on, Reason: protocol.AutomaticallyCancelled}
				if got := detailsOf[protocol.AttemptCancelledDetails](err); got != want || status(nil, err) != protocol.StatusGreetingAttemptCancelled {
					t.Errorf("%s: got %v, want %v", other, err, want)
				}
			}
			if s.start(side.Peer()) != again {
				t.Error("the peer has not followed")
			}
			var want []event.Body
			if side == protocol.Claimer {
				want = []event.Body{notice.GreetingAttemptCancelled{Token: s.invited.Token, Greeter: bobID, Attempt: s.attempt}}
			}
			if got := s.events.bodies(); !reflect.DeepEqual(got, want) {
				t.Errorf("told %v, want %v", got, want)
			}
		})
	}
}

// What is cancelled stays so, as it was cancelled first.
func TestGreetingCancelled(t *testing.T) {
	s := newGreeting(protocol.Greeter, doCancel)(t)
	s.start(protocol.Claimer)
	s.events.take()
	want := protocol.AttemptCancelledDetails{Origin: protocol.Claimer, Timestamp: s.clock.now(), Reason: protocol.UndecipherablePayload}
	s.ok(nil, s.cancelAttempt(protocol.Claimer, want.Reason))
	s.clock.advance(time.Second)
	told := []event.Body{notice.GreetingAttemptCancelled{Token: s.invited.Token, Greeter: bobID, Attempt: s.attempt}}
	if got := s.events.bodies(); !reflect.DeepEqual(got, told) {
		t.Errorf("told %v, want %v", got, told)
	}
	if got := detailsOf[protocol.AttemptCancelledDetails](doCancel(s)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Greeters wait in an invitation that is cancelled: they hear of it.
func TestGreetersOfACancelledInvitation(t *testing.T) {
	s := newGreeting(protocol.Greeter, doStep)(t)
	s.greeter = aliceID
	s.start(protocol.Claimer) // whom alice does not greet
	s.events.take()
	s.start(protocol.Claimer)
	s.cancel(s.invited.Token)
	want := []event.Body{
		notice.Invitation{Token: s.invited.Token, Status: protocol.InvitationCancelled, Administrators: true},
		notice.GreetingAttemptCancelled{Token: s.invited.Token, Greeter: bobID, Attempt: s.attempt},
	}
	if got := s.events.bodies(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// Two administrators greet one claimer: each has an attempt of its own, and when the
// last was joined is shown.
func TestSeveralGreeters(t *testing.T) {
	s := newGreeting(protocol.Greeter, doStep)(t)
	s.start(protocol.Claimer)
	byAlice := *s
	byAlice.author, byAlice.greeter = s.alice(), aliceID
	s.clock.advance(time.Second)
	joined := s.clock.now()
	byAlice.attempt = byAlice.start(protocol.Greeter)
	byAlice.start(protocol.Claimer)
	s.both(0)
	byAlice.both(0)
	info, err := s.InviteInfo(t.Context(), s.invited, &protocol.InviteInfoRequest{})
	s.ok(info, err)
	if got := info.Administrators[0].LastGreetingAttemptJoinedOn; info.Administrators[0].UserID != aliceID || got == nil || *got != joined {
		t.Errorf("alice has joined on %v, want %v", got, joined)
	}
	s.complete(s.invited.Token)
	for name, got := range map[string]error{"greeter": failure(byAlice.say(protocol.Greeter, 1, nil)), "claimer": failure(byAlice.say(protocol.Claimer, 1, s.said))} {
		if got := status(nil, got); got != protocol.StatusInvitationCompleted && got != aborted(rules.InvitationOver) {
			t.Errorf("%s: %s", name, got)
		}
	}
	// Who is not the greeter does not learn that the invitation is over.
	byAlice.attempt = s.attempt
	for name, do := range map[string]func(*greeting) error{"step": doStep, "cancel": doCancel} {
		if got := status(nil, do(&byAlice)); got != protocol.StatusGreetingAttemptNotFound {
			t.Errorf("%s of another greeter: %s", name, got)
		}
	}
}

// A step that differs, or comes too early, leaves what is stored as it is.
func TestStepsRefused(t *testing.T) {
	s := newGreeting(protocol.Claimer, doStep)(t)
	s.start(protocol.Greeter)
	other := bytes.Repeat([]byte{9}, 32)
	_, _ = s.say(protocol.Claimer, 0, s.said)
	for step, want := range []protocol.Status{protocol.StatusStepMismatch, protocol.StatusStepTooAdvanced, protocol.StatusStepTooAdvanced} {
		if got := status(s.say(protocol.Claimer, step, other)); got != want {
			t.Errorf("step %d: %s, want %s", step, got, want)
		}
	}
	if got, err := s.say(protocol.Greeter, 0, other); err != nil || !bytes.Equal(got, s.said) {
		t.Errorf("got %x, %v", got, err)
	}
	if got := status(s.say(protocol.Greeter, 1, nil)); got != protocol.StatusNotReady {
		t.Errorf("what was refused is stored: %s", got)
	}
}

// A claimer that goes on waiting is told of again, but not all the time.
func TestGreetersHearAgain(t *testing.T) {
	s := newGreeting(protocol.Claimer, doStep)(t)
	s.events.take()
	for second := range 25 {
		if got := status(nil, doStep(s)); got != protocol.StatusNotReady {
			t.Fatal(got)
		}
		told := len(s.events.bodies())
		if (told == 1) != (second%10 == 0) {
			t.Errorf("after %d s: told %d times", second, told)
		}
		s.clock.advance(time.Second)
	}
}

// Whoever begins again at the same time meets in the end: each follows the other when
// it finds its attempt cancelled.
func TestBothBeginAgain(t *testing.T) {
	sides := [2]protocol.Side{protocol.Greeter, protocol.Claimer}
	p := newPolled(t, hasty)
	s, other := p.greeting, p.other().greeting
	for range 100 {
		s.clock.advance(time.Minute)       // in which nobody may begin again much more often
		clients := [2]greeting{*s, *other} // on two instances
		starts := func(i int) func() error {
			return func() (err error) {
				for range 2 {
					if clients[i].attempt, err = clients[i].tryStart(sides[i]); err != nil {
						break
					}
				}
				return err
			}
		}
		if got := parallel(starts(0), starts(1)); got[protocol.StatusOK] != 2 {
			t.Fatal(got)
		}
		rounds := 0
		for ; clients[0].attempt != clients[1].attempt; rounds++ {
			for i := range clients {
				if _, err := clients[i].say(sides[i], 0, s.said); status(nil, err) == protocol.StatusGreetingAttemptCancelled {
					clients[i].attempt = clients[i].start(sides[i])
				}
			}
		}
		if rounds > 8 {
			t.Errorf("they meet after %d rounds", rounds)
		}
		s.attempt = clients[0].attempt
		_, _ = s.say(protocol.Greeter, 0, s.said)
		s.ok(s.say(protocol.Claimer, 0, s.said))
	}
}

// Who begins again and again is told to wait, and the other side is not; of what was, a
// part is kept.
func TestRestartsAreBounded(t *testing.T) {
	s := newGreeting(protocol.Greeter, nil)(t)
	const restarts = 32
	first := s.attempt
	s.start(protocol.Claimer)
	for range 4 * restarts {
		s.start(protocol.Claimer)
		s.clock.advance(time.Minute / restarts)
	}
	for range 2 * restarts {
		if _, err := s.tryStart(protocol.Claimer); errors.Is(err, rules.TooMany) {
			break
		}
	}
	if _, err := s.tryStart(protocol.Claimer); !errors.Is(err, rules.TooMany) {
		t.Errorf("once more ends with %v", err)
	}
	s.start(protocol.Greeter)
	s.start(protocol.Greeter)
	byHand := protocol.AttemptCancellation{GreetingAttempt: s.start(protocol.Claimer), Reason: protocol.ManuallyCancelled}
	s.ok(s.InviteClaimerCancelGreetingAttempt(t.Context(), s.invited, &protocol.InviteClaimerCancelGreetingAttemptRequest{AttemptCancellation: byHand}))
	if _, err := s.tryStart(protocol.Claimer); !errors.Is(err, rules.TooMany) {
		t.Errorf("after a cancellation by hand: %v", err)
	}
	session := func() (found rules.GreetingSession) {
		s.ok(nil, s.store.Update(t.Context(), rules.Scope{Organization: acme, Common: rules.Shared, Invitation: &s.invited.Token}, func(tx rules.Tx) (err error) {
			found, err = tx.GreetingSession(t.Context(), s.invited.Token, bobID, protocol.Claimer, 0)
			return err
		}))
		return found
	}
	const most = 2*restarts + 4
	if got := session().Ended; got < 2*restarts || got > most {
		t.Errorf("%d are kept", got)
	}
	s.clock.advance(time.Minute + time.Second)
	s.start(protocol.Claimer)
	byHand.GreetingAttempt = first
	_, err := s.InviteGreeterCancelGreetingAttempt(t.Context(), s.author, &protocol.InviteGreeterCancelGreetingAttemptRequest{AttemptCancellation: byHand})
	if !errors.Is(err, protocol.Refuse(protocol.StatusGreetingAttemptNotFound)) {
		t.Errorf("the first attempt is found: %v", err)
	}
}
