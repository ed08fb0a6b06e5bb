package rules_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var deletionReasons = []protocol.InvitationDeletedReason{protocol.InvitationFinished, protocol.InvitationCancelled, protocol.InvitationRotten}

func (p *pair) delete(reason protocol.InvitationDeletedReason) {
	p.t.Helper()
	reply, err := p.InviteDelete(p.t.Context(), p.greeter, &protocol.InviteDeleteRequest{Token: p.token, Reason: reason})
	p.ok(reply, err)
}

// TestDeliveryToWhoWaits has one side learn of what its peer said, and of the
// deletion that followed, at once: what was said counts only with FINISHED
// (docs/protocol/invite.md §4).
func TestDeliveryToWhoWaits(t *testing.T) {
	for _, reason := range deletionReasons {
		for _, side := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
			for number := range steps {
				if steps[number] == "2a" || steps[number] == "2b" {
					continue // Two exchanges: TestConduitModel has them.
				}
				p := newPair(t)
				deaf := event.NewBus() // The store does not publish to it.
				t.Cleanup(deaf.Close)
				hearing := p.sides[side]
				p.through(number, side)
				p.sides[side] = rules.New(p.store, p.blocks, deaf, p.webhooks, p.clock.now, discard, rules.Options{})
				waiting := p.begin(t.Context(), step{number, side}, "first")
				p.talked(side)
				said := "said"
				p.wantStatus(steps[number], p.begin(t.Context(), step{number, 1 - side}, said), protocol.StatusOK)
				p.delete(reason)
				deaf.Lose()
				got := p.wait(waiting)
				if reason != protocol.InvitationFinished {
					if !errors.Is(got.err, deleted[side]) {
						t.Errorf("%s of side %d, %s: %+v", steps[number], side, reason, got)
					}
					continue
				}
				switch {
				case steps[number] == "1":
					said = string(nonce(said))
				case steps[number] != "4":
					said = ""
				}
				if got.err != nil || got.heard != said {
					t.Errorf("%s of side %d: %+v", steps[number], side, got)
				}
				// Nobody says anything new. Steps 3 say nothing at all.
				p.sides[side] = hearing
				if said == "" {
					continue
				}
				for of := range p.sides {
					if err := p.wait(p.begin(t.Context(), step{number, rules.Side(of)}, "new")).err; !errors.Is(err, deleted[of]) {
						t.Errorf("%s of side %d, after the end: %v", steps[number], of, err)
					}
				}
			}
		}
	}
}

// TestDeliveryAgain has either side ask again for the last step, of which it
// did not get the reply: for a minute, as often as it wants.
func TestDeliveryAgain(t *testing.T) {
	for _, reason := range deletionReasons {
		for _, first := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
			p := newPair(t)
			p.through(5, first)
			a := p.begin(t.Context(), step{5, first}, "one")
			p.talked(first)
			p.wantStatus("second", p.begin(t.Context(), step{5, 1 - first}, "two"), protocol.StatusOK)
			p.wantStatus("first", a, protocol.StatusOK)
			p.delete(reason)
			again := func(what string, want bool) {
				t.Helper()
				for side, said := range map[rules.Side]string{first: "one", 1 - first: "two"} {
					got := p.wait(p.begin(t.Context(), step{5, side}, said))
					if want && (got.err != nil || got.heard != map[string]string{"one": "two", "two": "one"}[said]) || !want && !errors.Is(got.err, deleted[side]) {
						t.Errorf("%s, %s: side %d: %+v", reason, what, side, got)
					}
				}
			}
			finished := reason == protocol.InvitationFinished
			again("at once", finished)
			p.clock.advance(time.Minute - time.Microsecond)
			again("within a minute", finished)
			p.clock.advance(time.Microsecond)
			again("after a minute", false)
			p.ok(nil, p.RenewPresences(t.Context()))
			p.until("the words are forgotten", func(c rules.Conduit) bool { return reflect.DeepEqual(c.Halves, [2]rules.Half{}) })
		}
	}
}

// owing returns a pair whose claimer has not taken what the greeter said last.
func owing(f *fixture) *pair {
	f.t.Helper()
	p := f.pair()
	p.through(5, rules.ClaimerSide)
	return p.owe()
}

func (p *pair) owe() *pair {
	p.t.Helper()
	deaf := event.NewBus()
	p.t.Cleanup(deaf.Close)
	hearing := p.sides[rules.ClaimerSide]
	p.sides[rules.ClaimerSide] = rules.New(p.store, p.blocks, deaf, p.webhooks, p.clock.now, discard, rules.Options{})
	ctx, cancel := context.WithCancel(p.t.Context())
	waiting := p.begin(ctx, step{5, rules.ClaimerSide}, "lost")
	p.talked(rules.ClaimerSide)
	p.wantStatus("4 of the greeter", p.begin(p.t.Context(), step{5, rules.GreeterSide}, "welcome"), protocol.StatusOK)
	cancel()
	p.wait(waiting)
	p.sides[rules.ClaimerSide] = hearing
	return p
}

// claimant opens a session of the claimer, and tells what happens to it.
func (p *pair) claimant() (session *rules.Session, over, finished chan struct{}, err error) {
	over, finished = make(chan struct{}), make(chan struct{})
	session, err = p.ConnectInvited(p.t.Context(), rules.Invitee{
		Organization: acme, Token: p.token, Type: parsec.InvitationDevice, API: latest,
	}, func() { close(over) }, func() { close(finished) })
	if err == nil {
		p.t.Cleanup(session.Close)
	}
	return session, over, finished, err
}

// TestDeliverySessions has a claimer that is connected, and one that comes
// after the deletion.
func TestDeliverySessions(t *testing.T) {
	for _, reason := range deletionReasons {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, inMemory)
			p := owing(f)
			_, over, finished, err := p.claimant()
			p.ok(nil, err)
			began := time.Now()
			p.delete(reason)
			f.events.take()
			if reason != protocol.InvitationFinished {
				if !f.isOver(over) || f.isOver(finished) {
					t.Errorf("%s does not end the session at once", reason)
				}
				if _, _, _, err := p.claimant(); !errors.Is(err, rules.DeletedInvitation) {
					t.Errorf("%s: the next session: %v", reason, err)
				}
				return
			}
			if f.isOver(over) || !f.isOver(finished) {
				t.Error("the session ends before its claimer has what it is owed")
			}
			// The greeter owes, whatever happens to it.
			f.ok(f.FreezeUser(t.Context(), somebody, acme, organization.UserChoice{ID: p.greeter.User().String()}, true))
			late, lateOver, _, err := p.claimant()
			p.ok(nil, err)
			if !late.Invitee.OwedOnly {
				t.Error("a claimer may do all, after the end")
			}
			for _, e := range f.events.bodies() {
				if status, is := e.(notice.InviteStatusChanged); is {
					t.Errorf("told of who comes for what it is owed: %+v", status)
				}
			}
			p.invitee = &late.Invitee
			got := p.wait(p.begin(t.Context(), step{5, rules.ClaimerSide}, "lost"))
			if got.err != nil || got.heard != "welcome" {
				t.Errorf("the late claimer: %+v", got)
			}
			<-time.After(time.Until(began.Add(time.Minute - time.Nanosecond)))
			if f.isOver(over) || f.isOver(lateOver) {
				t.Error("over before a minute")
			}
			<-over
			<-lateOver
			f.clock.advance(time.Minute)
			if _, _, _, err := p.claimant(); !errors.Is(err, rules.DeletedInvitation) {
				t.Errorf("after a minute: %v", err)
			}
		})
	}
}

// TestDeliveryReceived lets nobody in for what has reached the claimer, nor for
// what nobody said.
func TestDeliveryReceived(t *testing.T) {
	f := newFixture(t)
	p := owing(f)
	session, _, _, err := p.claimant()
	p.ok(nil, err)
	p.invitee = &session.Invitee
	p.wantStatus("4 again", p.begin(t.Context(), step{5, rules.ClaimerSide}, "lost"), protocol.StatusOK)
	other, _, _, err := p.claimant()
	p.ok(nil, err)
	p.ok(nil, other.Received(t.Context())) // another's
	p.delete(protocol.InvitationFinished)
	if _, _, _, err := p.claimant(); err != nil {
		t.Errorf("while the reply may be lost: %v", err)
	}
	p.ok(nil, session.Received(t.Context()))
	if _, _, _, err := p.claimant(); !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("once it is received: %v", err)
	}
	if err := p.wait(p.begin(t.Context(), step{5, rules.ClaimerSide}, "lost")).err; !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("the step, once it is received: %v", err)
	}

	silent := f.pair()
	_, over, finished, err := silent.claimant()
	p.ok(nil, err)
	silent.delete(protocol.InvitationFinished)
	if !f.isOver(over) || f.isOver(finished) {
		t.Error("a deletion that leaves nothing to say does not end the session at once")
	}
	if _, _, _, err := silent.claimant(); !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("where nothing was said: %v", err)
	}
}

// TestDeliveryOfExpired has an expiration end all the same.
func TestDeliveryOfExpired(t *testing.T) {
	f := newFixture(t)
	p := owing(f)
	_, over, _, err := p.claimant()
	p.ok(nil, err)
	p.delete(protocol.InvitationFinished)
	f.expireAt(f.clock.now())
	if !f.isOver(over) {
		t.Error("the session goes on")
	}
	if err := p.wait(p.begin(t.Context(), step{5, rules.ClaimerSide}, "lost")).err; !errors.Is(err, rules.OrganizationExpired) {
		t.Errorf("the step: %v", err)
	}
}
