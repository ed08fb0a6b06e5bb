package rules

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// greetingPatience is how long a step waits for the other side's.
	greetingPatience = 800 * time.Millisecond
	// maxHeldSteps bounds those that wait at the same time; others are told at once.
	maxHeldSteps = 4096
	// maxStepRounds bounds how often a step begins again because others were faster.
	maxStepRounds = 10
	// sasMinor is the minor of API 5 since which clients compute the SAS codes as they
	// do now.
	sasMinor = 2
)

// InviteGreeterStep says the greeter's part of a step, and returns the claimer's
// (docs/protocol/v5/invite.md §4).
func (r *Rules) InviteGreeterStep(ctx context.Context, author *Author, request *protocol.InviteGreeterStepRequest) (*protocol.InviteGreeterStepReply, error) {
	s := &speaker{
		rules: r, side: protocol.Greeter, of: attemptKey{author.Organization, request.GreetingAttempt}, device: author.Device,
		step: request.GreeterStep.Number(), said: bytes.Clone(request.GreeterStep.Said()),
		check: func(v *view, now parsec.DateTime) error {
			if err := v.standing.check(now); err != nil {
				return err
			}
			if err := checkNotFrozen(v.standing.User); err != nil { // since it was let in
				return err
			}
			return v.checkGreeter(v.standing.User)
		},
	}
	said, err := s.speak(ctx, author.API)
	if err != nil {
		return nil, err
	}
	return &protocol.InviteGreeterStepReply{ClaimerStep: protocol.ClaimerStepOf(s.step, said)}, nil
}

// InviteClaimerStep says the claimer's part of a step, and returns the greeter's
// (docs/protocol/v5/invite.md §4).
func (r *Rules) InviteClaimerStep(ctx context.Context, invited *Invited, request *protocol.InviteClaimerStepRequest) (*protocol.InviteClaimerStepReply, error) {
	s := &speaker{
		rules: r, side: protocol.Claimer, of: attemptKey{invited.Organization, request.GreetingAttempt}, token: &invited.Token,
		step: request.ClaimerStep.Number(), said: bytes.Clone(request.ClaimerStep.Said()),
		check: func(v *view, now parsec.DateTime) error {
			if v.Invitation != nil && v.Invitation.Token != invited.Token {
				return protocol.Refuse(protocol.StatusGreetingAttemptNotFound)
			}
			return v.checkClaimer(now)
		},
	}
	said, err := s.speak(ctx, invited.API)
	if err != nil {
		return nil, err
	}
	return &protocol.InviteClaimerStepReply{GreeterStep: protocol.GreeterStepOf(s.step, said)}, nil
}

// speaker is a side that says its part of a step.
type speaker struct {
	rules *Rules
	side  protocol.Side
	of    attemptKey
	// device is that of the greeter, and token that of the claimer.
	device parsec3.DeviceID
	token  *parsec3.AccessToken
	step   int
	// said is not nil, and kept.
	said []byte
	// check makes the checks before the attempt's own.
	check func(v *view, now parsec.DateTime) error
}

var errNotReady = protocol.Refuse(protocol.StatusNotReady)

// speak has the part stored, unless it is already, and waits a moment for that of the
// other side, which it returns.
func (s *speaker) speak(ctx context.Context, api parsec.APIVersion) ([]byte, error) {
	if api.Minor < sasMinor {
		return nil, ErrOldClient
	}
	timer := time.NewTimer(cmp.Or(s.rules.options.GreetingPatience, greetingPatience))
	defer timer.Stop()
	for round := 0; round < maxStepRounds; {
		v, err := s.view(ctx)
		if err != nil {
			return nil, err
		}
		if _, isSaid := v.said(s.side, s.step); !isSaid {
			stored, err := s.storeInTurn(ctx, v)
			if err != nil {
				return nil, err
			}
			if !stored { // Something has changed since it was read.
				round++
				continue
			}
			if said, isSaid := v.said(s.side.Peer(), s.step); isSaid {
				return said, nil
			}
			continue
		}
		if said, isSaid := v.said(s.side.Peer(), s.step); isSaid {
			return said, nil
		}
		if s.isAcknowledgement() {
			return nil, errNotReady
		}
		if err := s.wait(ctx, v, timer.C); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the greeting attempt changes all the time: %w", outage.ErrUnavailable)
}

// isAcknowledgement reports whether it is the last thing that a claimer says. Nobody
// waits for the answer, which is not held back: as soon as the acknowledgement is stored
// the greeter may complete the invitation, and the claimer would be told that it is gone.
// It is said once, so that a greeter who has not got it would wait for ever.
func (s *speaker) isAcknowledgement() bool {
	return s.side == protocol.Claimer && s.step == protocol.Steps-1
}

// view returns the attempt, once the checks of the command have passed. What refuses
// it is not taken from a view of before.
func (s *speaker) view(ctx context.Context) (*view, error) {
	now := s.rules.now()
	if v := s.rules.greetings.look(s.of, s.device); v != nil && s.checkAll(v, now) == nil {
		return v, nil
	}
	v, err := s.rules.readView(ctx, s.of, s.device, s.token)
	if err != nil {
		return nil, err
	}
	return v, s.checkAll(v, now)
}

// readView reads an attempt, and has it in view for what comes next.
func (r *Rules) readView(ctx context.Context, of attemptKey, device parsec3.DeviceID, token *parsec3.AccessToken) (*view, error) {
	return r.greetings.read(of, device, func() (Standing, Greeting, error) {
		return r.store.Greeting(ctx, of.organization, device, token, of.attempt)
	})
}

// checkAll makes the checks of the command, up to the one whether it is ready.
func (s *speaker) checkAll(v *view, now parsec.DateTime) error {
	if err := s.check(v, now); err != nil {
		return err
	}
	if err := v.checkActive(s.side, protocol.StatusGreetingAttemptCancelled); err != nil {
		return err
	}
	if s.step > 0 {
		_, greeter := v.said(protocol.Greeter, s.step-1)
		_, claimer := v.said(protocol.Claimer, s.step-1)
		if !greeter || !claimer {
			return protocol.Refuse(protocol.StatusStepTooAdvanced)
		}
	}
	if said, isSaid := v.said(s.side, s.step); isSaid && !bytes.Equal(said, s.said) {
		return protocol.Refuse(protocol.StatusStepMismatch)
	}
	return nil
}

// said returns what a side has said in a step, false for nothing yet.
func (g *Greeting) said(side protocol.Side, step int) ([]byte, bool) {
	of := g.ClaimerSaid
	if side == protocol.Greeter {
		of = g.GreeterSaid
	}
	if step >= len(of) || of[step] == nil {
		return nil, false
	}
	return of[step], true
}

// storeInTurn is store, once nobody else speaks here in the attempt: the two sides often
// come at the same time, and the store would have one of them read everything again.
func (s *speaker) storeInTurn(ctx context.Context, v *view) (bool, error) {
	waited, leave, err := s.rules.turns.take(ctx, s.of)
	if err != nil {
		return false, err
	}
	defer leave()
	if waited && v.isOver() {
		return false, nil
	}
	stored, err := s.store(ctx, v)
	if err == nil && !stored {
		s.rules.greetings.changed(s.of, v.Attempt.Version+1)
	}
	return stored, err
}

// store stores the part, and returns false if the view does not hold any more. The
// greeter hears of a claimer that waits, and that they have met.
func (s *speaker) store(ctx context.Context, v *view) (bool, error) {
	body := notice.GreetingStepSaid{Attempt: s.of.attempt, Version: v.Attempt.Version + 1, Side: s.side, Step: uint8(s.step)}
	if len(s.said) < notice.MaxBlob {
		body.Said = s.said
	}
	events := []event.Event{{Organization: s.of.organization, Body: body}}
	_, met := v.said(s.side.Peer(), s.step)
	switch {
	case s.step > 0:
	case met:
		events = append(events, event.Event{Organization: s.of.organization, Body: notice.GreetingAttemptJoined{
			ID: notice.NewID(), Token: v.Attempt.Invitation, Greeter: v.Attempt.Greeter, Attempt: s.of.attempt,
		}})
	case s.side == protocol.Claimer:
		events = append(events, s.ready(v))
	}
	return s.rules.store.Say(ctx, Speech{
		Organization: s.of.organization, Expiration: v.Organization.ExpirationDate, Invitation: v.Attempt.Invitation,
		Greeter: v.Attempt.Greeter, Profile: v.Greeter.Profile, Frozen: v.Greeter.Frozen,
		Attempt: s.of.attempt, Version: v.Attempt.Version, Side: s.side, Step: s.step, Said: s.said,
		Lasts: s.isAcknowledgement(),
	}, events...)
}

func (s *speaker) ready(v *view) event.Event {
	return event.Event{Organization: s.of.organization, Body: notice.GreetingAttemptReady{
		ID: notice.NewID(), Token: v.Attempt.Invitation, Greeter: v.Attempt.Greeter, Attempt: s.of.attempt,
	}}
}

// wait returns when the attempt may have changed, or errNotReady when the time is
// over. A greeter that comes later hears of a claimer that goes on waiting. What is not kept
// in view is not waited with: nobody tells of its changes, and each who waits would have
// all that was said for itself.
func (s *speaker) wait(ctx context.Context, v *view, over <-chan time.Time) error {
	if s.side == protocol.Claimer && s.step == 0 && s.rules.greetings.isReadyDue(s.of) {
		s.rules.greetings.markReady(s.of)
		if err := s.rules.store.Publish(ctx, s.ready(v)); err != nil && !errors.Is(err, outage.ErrUnavailable) {
			return err
		}
	}
	if v.changed == nil {
		return errNotReady
	}
	defer s.rules.heldSteps.Add(-1)
	if s.rules.heldSteps.Add(1) > maxHeldSteps {
		return errNotReady
	}
	select {
	case <-v.changed:
		return nil
	case <-over:
		return errNotReady
	case <-ctx.Done():
		return ctx.Err()
	}
}
