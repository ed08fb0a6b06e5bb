package differential

import (
	"fmt"
	"slices"
	"strings"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// side returns the number of a side.
func (w *twins) side(of *twin) int { return slices.Index(w.sides[:], of) }

// madeUp is what the sides have made up, each for itself: the same number stands for the
// same thing on both.
type madeUp[T comparable] struct {
	kind string
	of   [2][]T
}

// add takes note of what a side has answered, and has it shown alike.
func (m *madeUp[T]) add(w *twins, side *twin, thing T) {
	i := w.side(side)
	if slices.Contains(m.of[i], thing) {
		return
	}
	w.names[i] = append(w.names[i], show(thing), fmt.Sprint(m.kind, " ", len(m.of[i])))
	m.of[i] = append(m.of[i], thing)
}

// at returns the thing of a side with a number, and none if there is no such.
func (m *madeUp[T]) at(w *twins, side *twin, number int) (thing T) {
	if of := m.of[w.side(side)]; number < len(of) {
		thing = of[number]
	}
	return thing
}

// latest draws the number of one of the last things, seldom one that there is not.
func (m *madeUp[T]) latest(w *twins) int {
	const last = 4
	n := len(m.of[0])
	if n == 0 || w.chance(20) {
		return n
	}
	return w.number(max(0, n-last), n-1)
}

// alike writes what a side has answered in the words of both.
func (w *twins) alike(side int, text string) string {
	return strings.NewReplacer(w.names[side]...).Replace(text)
}

// playAttempt is a greeting attempt as the play knows it.
type playAttempt struct {
	token   int
	greeter parsec3.UserID
	// step is the one that both are at.
	step int
}

func (w *twins) inviteNewUser() question {
	author := w.administrator()
	request := &protocol.InviteNewUserRequest{ClaimerEmail: fmt.Sprintf("%s%d@example.com", pick(w, "user", "USER", "guest"), w.number(0, playUsers))}
	return func(side *twin) (any, error) {
		reply, err := side.InviteNewUser(w.ctx, author, request)
		if err == nil {
			w.tokens.add(w, side, reply.Token)
		}
		return reply, err
	}
}

func (w *twins) inviteNewDevice() question {
	author := w.anyAuthor()
	return func(side *twin) (any, error) {
		reply, err := side.InviteNewDevice(w.ctx, author, &protocol.InviteNewDeviceRequest{})
		if err == nil {
			w.tokens.add(w, side, reply.Token)
		}
		return reply, err
	}
}

func (w *twins) inviteNewShamirRecovery() question {
	author, claimer := w.anyAuthor(), w.user()
	if len(w.setups) > 0 && !w.chance(5) {
		setup := w.setups[len(w.setups)-1]
		author, claimer = w.author(playDevice(int(setup.recipient[1]), 0)), setup.user
	}
	request := &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: claimer}
	return func(side *twin) (any, error) {
		reply, err := side.InviteNewShamirRecovery(w.ctx, author, request)
		if err == nil {
			w.tokens.add(w, side, reply.Token)
		}
		return reply, err
	}
}

func (w *twins) inviteList() question {
	author := w.anyAuthor()
	return func(side *twin) (any, error) { return side.InviteList(w.ctx, author, &protocol.InviteListRequest{}) }
}

// greeterOf is most often one who may greet.
func (w *twins) greeterOf() *rules.Author {
	if w.chance(4) {
		return w.anyAuthor()
	}
	return w.administrator()
}

func (w *twins) inviteCancel() question {
	author, token := w.greeterOf(), w.tokens.latest(w)
	return func(side *twin) (any, error) {
		return side.InviteCancel(w.ctx, author, &protocol.InviteCancelRequest{Token: w.tokens.at(w, side, token)})
	}
}

func (w *twins) inviteComplete() question {
	author, token := w.greeterOf(), w.tokens.latest(w)
	return func(side *twin) (any, error) {
		return side.InviteComplete(w.ctx, author, &protocol.InviteCompleteRequest{Token: w.tokens.at(w, side, token)})
	}
}

// invited has the claimer with a token ask, once it is let in.
func (w *twins) invited(token int, ask func(side *twin, invited *rules.Invited) (any, error)) question {
	return func(side *twin) (any, error) {
		invited, err := side.AdmitInvited(w.ctx, w.organization, w.tokens.at(w, side, token), parsec.APIVersion{Major: 5, Minor: 6})
		if err != nil {
			return nil, err
		}
		return ask(side, invited)
	}
}

// inviteInfo does not care for the order.
func (w *twins) inviteInfo() question {
	return w.invited(w.tokens.latest(w), func(side *twin, invited *rules.Invited) (any, error) {
		reply, err := side.InviteInfo(w.ctx, invited, &protocol.InviteInfoRequest{})
		if err == nil {
			slices.SortFunc(reply.Administrators, func(a, b protocol.InviteAdministrator) int { return slices.Compare(a.UserID[:], b.UserID[:]) })
			slices.SortFunc(reply.Recipients, func(a, b protocol.InviteRecipient) int { return slices.Compare(a.UserID[:], b.UserID[:]) })
		}
		return reply, err
	})
}

// joined takes note of an attempt.
func (w *twins) joined(side *twin, id parsec3.GreetingAttemptID, token int, greeter parsec3.UserID) {
	w.attempts.add(w, side, id)
	if n := len(w.attempts.of[0]); n > len(w.greetings) {
		w.greetings = append(w.greetings, playAttempt{token: token, greeter: greeter})
	}
}

func (w *twins) greeterStart() question { return w.greeterStarts(w.greeterOf(), w.tokens.latest(w)) }

func (w *twins) greeterStarts(author *rules.Author, token int) question {
	return func(side *twin) (any, error) {
		reply, err := side.InviteGreeterStartGreetingAttempt(w.ctx, author, &protocol.InviteGreeterStartGreetingAttemptRequest{
			Token: w.tokens.at(w, side, token),
		})
		if err == nil {
			w.joined(side, reply.GreetingAttempt, token, author.User)
		}
		return reply, err
	}
}

func (w *twins) claimerStart() question {
	return w.claimerStarts(w.greeterOf().User, w.tokens.latest(w))
}

func (w *twins) claimerStarts(greeter parsec3.UserID, token int) question {
	return w.invited(token, func(side *twin, invited *rules.Invited) (any, error) {
		reply, err := side.InviteClaimerStartGreetingAttempt(w.ctx, invited, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: greeter})
		if err == nil {
			w.joined(side, reply.GreetingAttempt, token, greeter)
		}
		return reply, err
	})
}

// attempt draws one, and the step of it that is due, most often.
func (w *twins) attempt() (number, step int, known playAttempt) {
	number = w.attempts.latest(w)
	if number < len(w.greetings) {
		known = w.greetings[number]
	}
	step = known.step
	if w.chance(6) {
		step = w.number(0, protocol.Steps-1)
	}
	return number, step, known
}

// said is what is said in a step, most often the same.
func (w *twins) said(step int) []byte {
	said := make([]byte, 32)
	said[0] = byte(step)
	if w.chance(20) {
		said[1] = 1
	}
	return said
}

func (w *twins) greeterStep() question {
	number, step, known := w.attempt()
	author := w.author(playDevice(int(known.greeter[1]), 0))
	if w.chance(15) {
		author = w.anyAuthor()
	}
	return w.greeterSays(author, number, step)
}

func (w *twins) greeterSays(author *rules.Author, number, step int) question {
	said := w.said(step)
	return func(side *twin) (any, error) {
		reply, err := side.InviteGreeterStep(w.ctx, author, &protocol.InviteGreeterStepRequest{
			GreetingAttempt: w.attempts.at(w, side, number), GreeterStep: protocol.GreeterStepOf(step, said),
		})
		w.met(side, number, step, err)
		return reply, err
	}
}

func (w *twins) claimerStep() question {
	number, step, known := w.attempt()
	return w.claimerSays(known.token, number, step)
}

func (w *twins) claimerSays(token, number, step int) question {
	said := w.said(step)
	return w.invited(token, func(side *twin, invited *rules.Invited) (any, error) {
		reply, err := side.InviteClaimerStep(w.ctx, invited, &protocol.InviteClaimerStepRequest{
			GreetingAttempt: w.attempts.at(w, side, number), ClaimerStep: protocol.ClaimerStepOf(step, said),
		})
		w.met(side, number, step, err)
		return reply, err
	})
}

// met takes note that both have said their part of a step.
func (w *twins) met(side *twin, number, step int, err error) {
	if w.side(side) == 0 && err == nil && number < len(w.greetings) {
		w.greetings[number].step = min(max(w.greetings[number].step, step+1), protocol.Steps-1)
	}
}

// greeting has two people meet and go through some steps, and somebody act between them.
func (w *twins) greeting() question {
	token, author := w.tokens.latest(w), w.administrator()
	w.ask("invite_claimer_start_greeting_attempt", w.claimerStarts(author.User, token))
	w.ask("invite_greeter_start_greeting_attempt", w.greeterStarts(author, token))
	number := max(0, len(w.attempts.of[0])-1)
	for step := range w.number(1, protocol.Steps) {
		first, second := "invite_greeter_step", "invite_claimer_step"
		questions := map[string]question{first: w.greeterSays(author, number, step), second: w.claimerSays(token, number, step)}
		if w.chance(2) {
			first, second = second, first
		}
		w.ask(first, questions[first])
		w.ask(second, questions[second])
		w.ask(first, questions[first])
	}
	return w.greeterSays(author, number, 0)
}

var everyReason = []protocol.CancelledAttemptReason{
	protocol.ManuallyCancelled, protocol.InvalidNonceHash, protocol.InvalidSASCode, protocol.InconsistentPayload, protocol.AutomaticallyCancelled,
}

func (w *twins) greeterCancel() question {
	number, _, known := w.attempt()
	author, reason := w.author(playDevice(int(known.greeter[1]), 0)), pick(w, everyReason...)
	return func(side *twin) (any, error) {
		return side.InviteGreeterCancelGreetingAttempt(w.ctx, author, &protocol.InviteGreeterCancelGreetingAttemptRequest{
			AttemptCancellation: protocol.AttemptCancellation{GreetingAttempt: w.attempts.at(w, side, number), Reason: reason},
		})
	}
}

func (w *twins) claimerCancel() question {
	number, _, known := w.attempt()
	reason := pick(w, everyReason...)
	return w.invited(known.token, func(side *twin, invited *rules.Invited) (any, error) {
		return side.InviteClaimerCancelGreetingAttempt(w.ctx, invited, &protocol.InviteClaimerCancelGreetingAttemptRequest{
			AttemptCancellation: protocol.AttemptCancellation{GreetingAttempt: w.attempts.at(w, side, number), Reason: reason},
		})
	})
}

// settle waits until a side has heard of all that was published: what is kept of a
// greeting may not be older than that.
func (w *twins) settle(side *twin) error {
	end, heard := event.Event{Organization: w.organization, Body: notice.Pinged{ID: notice.NewID()}}, make(chan struct{})
	subscription := side.bus.Subscribe(func(e event.Event) {
		if e.Body == end.Body {
			close(heard)
		}
	}, event.OrganizationTopic(w.organization))
	defer subscription.Close()
	if err := side.store.Publish(w.ctx, end); err != nil {
		return err
	}
	select {
	case <-heard:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}
