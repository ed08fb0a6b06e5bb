package rules_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// countingStore counts what is asked of it about greetings, and who sends them.
type countingStore struct {
	rules.Store
	asked atomic.Int64
	// lag is how late events are.
	lag time.Duration
	// read, unless it is nil, is called once, before an attempt that was read is returned.
	read func()
	// spoken, unless it is nil, is called before and after each part that is stored, with
	// whether it was.
	spoken func(isStored bool, before bool)
}

func (s *countingStore) Greeting(ctx context.Context, o parsec.OrganizationID, device parsec3.DeviceID, token *parsec3.AccessToken, attempt parsec3.GreetingAttemptID) (rules.Standing, rules.Greeting, error) {
	s.asked.Add(1)
	standing, greeting, err := s.Store.Greeting(ctx, o, device, token, attempt)
	if read := s.read; read != nil {
		s.read = nil
		read()
	}
	return standing, greeting, err
}

func (s *countingStore) Say(ctx context.Context, speech rules.Speech, events ...event.Event) (bool, error) {
	s.asked.Add(1)
	if s.spoken == nil {
		return s.Store.Say(ctx, speech, events...)
	}
	s.spoken(false, true)
	stored, err := s.Store.Say(ctx, speech, events...)
	s.spoken(stored, false)
	return stored, err
}

func (s *countingStore) Invited(ctx context.Context, o parsec.OrganizationID, token parsec3.AccessToken) (rules.InvitedStanding, error) {
	s.asked.Add(1)
	return s.Store.Invited(ctx, o, token)
}

func (s *countingStore) Authentication(ctx context.Context, o parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, error) {
	s.asked.Add(1)
	return s.Store.Authentication(ctx, o, device)
}

func (s *countingStore) Lag() time.Duration { return s.lag }

func (s *countingStore) Publish(ctx context.Context, e event.Event) error {
	s.asked.Add(1)
	return s.Store.Publish(ctx, e)
}

// polled is a greeting on one of two instances, which both sides poll.
type polled struct {
	*greeting
	store *countingStore
	// second is the other instance.
	second *rules.Rules
	// setup is what mallory recovers, nil for nothing.
	setup *shamirSetup
}

func newPolled(t *testing.T, changes ...func(*setup)) *polled {
	t.Helper()
	p := &polled{}
	f := newFixture(t, append(changes, func(s *setup) {
		open := s.store
		s.store = func(t testing.TB, on *event.Bus) rules.Store {
			p.store = &countingStore{Store: open(t, on)}
			return p.store
		}
	})...)
	p.second = rules.New(p.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{GreetingPatience: time.Nanosecond})
	f.setProfile(bobID, parsec.ProfileAdmin)
	p.greeting = &greeting{byInvitation: newByInvitation(f), side: protocol.Greeter, greeter: bobID, said: make([]byte, 32)}
	p.author = f.bob()
	p.attempt = p.start(protocol.Greeter)
	p.start(protocol.Claimer)
	p.events.flush()
	return p
}

// newPolledRecovery has bob greet mallory, who recovers.
func newPolledRecovery(t *testing.T, changes ...func(*setup)) *polled {
	t.Helper()
	p := newPolled(t, changes...)
	p.setup = p.shamirSetup(p.mallory(), aliceID, bobID)
	p.setUp(p.mallory(), p.setup)
	reply, err := p.InviteNewShamirRecovery(t.Context(), p.author, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: malloryID})
	p.ok(reply, err)
	p.invited = invited(reply.Token)
	p.attempt = p.start(protocol.Greeter)
	p.start(protocol.Claimer)
	p.events.flush()
	return p
}

// other has the commands run by the other instance.
func (p *polled) other() *polled {
	f := *p.fixture
	f.Rules = p.second
	g := *p.greeting
	g.fixture = &f
	return &polled{greeting: &g, store: p.store, second: p.Rules, setup: p.setup}
}

// poll has a side ask again, once it is let in.
func (p *polled) poll(side protocol.Side) protocol.Status {
	p.t.Helper()
	if side == protocol.Greeter {
		standing, err := p.GreeterStanding(p.t.Context(), acme, bobLaptop, p.attempt)
		p.ok(nil, err)
		if _, err := p.Admit(&standing, p.token(bobLaptop), latest); err != nil {
			return status(nil, err)
		}
	} else if _, err := p.AdmitClaimer(p.t.Context(), acme, p.invited.Token, latest, p.attempt); err != nil {
		return status(nil, err)
	}
	return status(p.say(side, 0, p.said))
}

// wantNothingAsked polls without any question to the store.
func (p *polled) wantNothingAsked(side protocol.Side, want protocol.Status) {
	p.t.Helper()
	before := p.store.asked.Load()
	for range 5 {
		if got := p.poll(side); got != want {
			p.t.Errorf("%s: %s, want %s", side, got, want)
		}
	}
	if asked := p.store.asked.Load() - before; asked > 0 {
		p.t.Errorf("%s: the store is asked %d times", side, asked)
	}
}

// TestPollsAskNothing has each poll but the first ask nothing, until something happens
// on the other instance: then the next one has the answer of that.
func TestPollsAskNothing(t *testing.T) {
	type test struct {
		happens          func(p *polled)
		greeter, claimer protocol.Status
	}
	check := func(name string, begin func(*testing.T, ...func(*setup)) *polled, test test) {
		t.Run(name, func(t *testing.T) {
			for side, want := range map[protocol.Side]protocol.Status{protocol.Greeter: test.greeter, protocol.Claimer: test.claimer} {
				p := begin(t, hasty)
				if got := p.poll(side); got != protocol.StatusNotReady {
					t.Fatal(got)
				}
				p.poll(side)
				p.wantNothingAsked(side, protocol.StatusNotReady)
				test.happens(p.other())
				p.events.flush()
				if got := p.poll(side); got != want {
					t.Errorf("%s: %s, want %s", side, got, want)
				}
			}
		})
	}
	for name, test := range map[string]test{
		"attempt cancelled": {func(p *polled) { p.ok(nil, p.cancelAttempt(protocol.Greeter, protocol.ManuallyCancelled)) },
			protocol.StatusGreetingAttemptCancelled, protocol.StatusGreetingAttemptCancelled},
		"greeter begins again": {func(p *polled) { p.start(protocol.Greeter) }, protocol.StatusGreetingAttemptCancelled, protocol.StatusGreetingAttemptCancelled},
		"claimer begins again": {func(p *polled) { p.start(protocol.Claimer) }, protocol.StatusGreetingAttemptCancelled, protocol.StatusGreetingAttemptCancelled},
		"invitation cancelled": {func(p *polled) { p.cancel(p.invited.Token) }, protocol.StatusInvitationCancelled, aborted(rules.InvitationOver)},
		"invitation finished":  {func(p *polled) { p.complete(p.invited.Token) }, protocol.StatusInvitationCompleted, aborted(rules.InvitationOver)},
		"greeter revoked":      {func(p *polled) { p.revoke(bobID) }, aborted(rules.UserRevoked), protocol.StatusGreeterRevoked},
		"greeter frozen":       {func(p *polled) { p.freeze(bobID) }, aborted(rules.UserFrozen), protocol.StatusNotReady},
		"greeter demoted":      {func(p *polled) { p.setProfile(bobID, parsec.ProfileStandard) }, protocol.StatusAuthorNotAllowed, protocol.StatusGreeterNotAllowed},
		"terms of service": {func(p *polled) {
			terms := &organization.TOSChange{PerLocaleURLs: map[string]string{"fr_FR": "https://example.com/fr"}}
			p.ok(nil, p.administration.Update(p.t.Context(), organization.Administrator{}, acme, organization.Change{TOS: terms}))
		}, aborted(rules.MustAcceptTOS), protocol.StatusNotReady},
		"organization expired": {func(p *polled) {
			p.ok(nil, p.administration.Update(p.t.Context(), organization.Administrator{}, acme, organization.Change{Expired: new(true)}))
		}, aborted(rules.OrganizationExpired), aborted(rules.OrganizationExpired)},
	} {
		check(name, newPolled, test)
	}
	for name, test := range map[string]test{
		"setup deleted":                 {func(p *polled) { p.deleteSetup(p.mallory(), p.setup) }, protocol.StatusInvitationCancelled, aborted(rules.InvitationOver)},
		"owner revoked":                 {func(p *polled) { p.revoke(malloryID) }, protocol.StatusInvitationCancelled, aborted(rules.InvitationOver)},
		"greeter of a recovery revoked": {func(p *polled) { p.revoke(bobID) }, aborted(rules.UserRevoked), protocol.StatusGreeterRevoked},
	} {
		check(name, newPolledRecovery, test)
	}
}

// The first poll on an instance has the attempt and who asks by one question.
func TestFirstPollAsksOnce(t *testing.T) {
	for _, side := range []protocol.Side{protocol.Greeter, protocol.Claimer} {
		p := newPolled(t, hasty)
		p.poll(side)
		p.events.flush()
		before, other := p.store.asked.Load(), p.other()
		if got := other.poll(side); got != protocol.StatusNotReady {
			t.Errorf("%s: %s", side, got)
		}
		if asked := p.store.asked.Load() - before; asked != 1 {
			t.Errorf("%s: the store is asked %d times", side, asked)
		}
		other.wantNothingAsked(side, protocol.StatusNotReady)
	}
}

// The peer's part comes with the event that tells of it.
func TestPartsComeWithEvents(t *testing.T) {
	p := newPolled(t, hasty)
	p.poll(protocol.Greeter)
	other := p.other()
	if got := other.poll(protocol.Claimer); got != protocol.StatusOK {
		t.Fatal(got)
	}
	p.events.flush()
	p.wantNothingAsked(protocol.Greeter, protocol.StatusOK)
	// What is large does not: it is read again.
	for step := 1; step < 7; step++ {
		p.both(step)
	}
	large := make([]byte, 100<<10)
	if got := status(p.say(protocol.Claimer, 7, []byte{})); got != protocol.StatusNotReady {
		t.Fatal(got)
	}
	_, err := other.say(protocol.Greeter, 7, large)
	p.ok(nil, err)
	p.events.flush()
	if got, err := p.say(protocol.Claimer, 7, []byte{}); err != nil || len(got) != len(large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A greeter who accepts new terms of service goes on at once.
func TestGreeterAcceptsTerms(t *testing.T) {
	p := newPolled(t, hasty)
	p.poll(protocol.Greeter)
	terms := &organization.TOSChange{PerLocaleURLs: map[string]string{"fr_FR": "https://example.com/fr"}}
	p.ok(nil, p.administration.Update(t.Context(), organization.Administrator{}, acme, organization.Change{TOS: terms}))
	p.events.flush()
	for range 2 { // the second time with the attempt in view
		if got := p.poll(protocol.Greeter); got != aborted(rules.MustAcceptTOS) {
			t.Errorf("before: %s", got)
		}
		if _, err := p.say(protocol.Greeter, 0, p.said); status(nil, err) != protocol.StatusNotReady { // of who was let in before
			t.Errorf("before: %v", err)
		}
	}
	told, err := p.TOSGet(t.Context(), p.author, nil)
	p.ok(told, err)
	accepted, err := p.TOSAccept(t.Context(), p.author, &protocol.TOSAcceptRequest{TOSUpdatedOn: told.UpdatedOn})
	p.ok(accepted, err)
	if got := p.poll(protocol.Greeter); got != protocol.StatusNotReady {
		t.Errorf("afterwards: %s", got)
	}
}

// A database that has crashed may have forgotten what a view has, and events may be lost.
func TestViewsEndWithTheConnection(t *testing.T) {
	p := newPolled(t, hasty)
	for _, body := range []event.Body{event.Resumed{}, event.Lost{}} {
		p.poll(protocol.Greeter)
		p.wantNothingAsked(protocol.Greeter, protocol.StatusNotReady)
		p.bus.Publish([]event.Event{{Body: body}})
		p.events.flush()
		before := p.store.asked.Load()
		if p.poll(protocol.Greeter); p.store.asked.Load() == before {
			t.Errorf("nothing is asked after %T", body)
		}
	}
}

// What happens on the other instance while an attempt is read, and may not be in what is
// read, is in what the next poll is told.
func TestViewsThatAreLate(t *testing.T) {
	for want, happens := range map[protocol.Status]func(p *polled){
		aborted(rules.UserFrozen):               func(p *polled) { p.freeze(bobID) },
		protocol.StatusGreetingAttemptCancelled: func(p *polled) { p.ok(nil, p.cancelAttempt(protocol.Claimer, protocol.ManuallyCancelled)) },
	} {
		p := newPolled(t, hasty)
		p.poll(protocol.Greeter)
		p.bus.Publish([]event.Event{{Body: event.Lost{}}})
		p.events.flush()
		p.store.read = func() {
			happens(p.other())
			p.events.flush()
		}
		p.poll(protocol.Greeter)
		if got := p.poll(protocol.Greeter); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// hold has no event delivered until it is released.
func (p *polled) hold() (release func()) {
	p.t.Helper()
	held, released := make(chan struct{}), make(chan struct{})
	subscription := p.bus.Subscribe(func(event.Event) {
		close(held)
		<-released
	}, event.OrganizationTopic(other))
	p.bus.Publish([]event.Event{{Organization: other, Body: notice.Pinged{ID: notice.NewID()}}})
	<-held
	return func() {
		subscription.Close()
		close(released)
	}
}

// Events that are still to come delay what a side is told by the other one, and nothing
// else: nobody is refused for what is in view, and what happens here is known at once.
func TestViewsBeforeTheirEvents(t *testing.T) {
	p := newPolled(t, hasty, inMemory) // whose transactions do not wait for their events
	p.poll(protocol.Greeter)
	release := p.hold()
	if got := p.other().poll(protocol.Claimer); got != protocol.StatusOK {
		t.Fatal(got)
	}
	if got := status(p.say(protocol.Greeter, 1, []byte{})); got != protocol.StatusNotReady {
		t.Errorf("the next step, before it is known that the last one is over: %s", got)
	}
	release()
	_, err := p.say(protocol.Claimer, 1, p.said)
	p.ok(nil, err)
	p.events.flush()
	release = p.hold()
	defer func() { release() }()
	if got := status(p.other().say(protocol.Greeter, 2, p.said)); got != protocol.StatusNotReady {
		t.Fatal(got)
	}
	if got := status(p.say(protocol.Claimer, 2, []byte{})); got != protocol.StatusOK {
		t.Errorf("a part, before that of the other side is known: %s", got)
	}
	p.poll(protocol.Greeter)
	p.ok(nil, p.cancelAttempt(protocol.Claimer, protocol.ManuallyCancelled))
	if got := p.poll(protocol.Greeter); got != protocol.StatusGreetingAttemptCancelled {
		t.Errorf("after a cancellation here: %s", got)
	}
	p.attempt = p.start(protocol.Greeter)
	p.poll(protocol.Greeter)
	p.wantNothingAsked(protocol.Greeter, protocol.StatusNotReady)
	p.ok(nil, p.administration.Update(t.Context(), organization.Administrator{}, acme, organization.Change{Expired: new(true)}))
	if got := p.poll(protocol.Greeter); got != aborted(rules.OrganizationExpired) {
		t.Errorf("after the organization has expired: %s", got)
	}
}

// Events that are still to come have nothing stored of who must not say it any more, and let
// nobody in to anything but a step.
func TestNothingIsDoneByLateViews(t *testing.T) {
	type test struct {
		happens          func(p *polled)
		greeter, claimer protocol.Status
	}
	check := func(name string, begin func(*testing.T, ...func(*setup)) *polled, test test) {
		t.Run(name, func(t *testing.T) {
			for side, want := range map[protocol.Side]protocol.Status{protocol.Greeter: test.greeter, protocol.Claimer: test.claimer} {
				p := begin(t, hasty, inMemory)
				p.both(0)
				p.events.flush()
				p.wantNothingAsked(side, protocol.StatusOK)
				defer p.hold()()
				test.happens(p.other())
				said, err := p.say(side, 1, partOf(side, 1))
				if got := status(said, err); got != want {
					t.Errorf("%s: %s, want %s", side, got, want)
				}
			}
		})
	}
	expire := func(p *polled) {
		administration := organization.New(p.Organizations(), organization.Wings{organization.Parsec3: p.Rules}, p.clock.now, discard, organization.Options{})
		p.ok(nil, administration.Update(p.t.Context(), organization.Administrator{}, acme, organization.Change{Expired: new(true)}))
	}
	for name, test := range map[string]test{
		"greeter frozen":       {func(p *polled) { p.freeze(bobID) }, aborted(rules.UserFrozen), protocol.StatusNotReady},
		"organization expired": {expire, aborted(rules.OrganizationExpired), aborted(rules.OrganizationExpired)},
	} {
		check(name, newPolled, test)
	}
	check("owner revoked", newPolledRecovery, test{
		func(p *polled) { p.revoke(malloryID) }, protocol.StatusInvitationCancelled, aborted(rules.InvitationOver),
	})
	p := newPolled(t, hasty, inMemory)
	p.poll(protocol.Greeter)
	p.wantNothingAsked(protocol.Greeter, protocol.StatusNotReady)
	defer p.hold()()
	p.other().freeze(bobID)
	standing, err := p.Standing(t.Context(), acme, bobLaptop)
	p.ok(nil, err)
	if _, err := p.Admit(&standing, p.token(bobLaptop), latest); !errors.Is(err, rules.UserFrozen) {
		t.Errorf("a frozen user is let in to what is no step: %v", err)
	}
}

// Who is not in an attempt learns nothing by what those have in view who are, and has
// nothing in view of their own.
func TestViewsOfOthers(t *testing.T) {
	p := newPolled(t, hasty)
	p.poll(protocol.Claimer)
	p.wantNothingAsked(protocol.Claimer, protocol.StatusNotReady)
	stranger := *p.greeting
	stranger.invited = invited(p.inviteUser(p.alice(), "yves@example.com"))
	if got := status(stranger.say(protocol.Claimer, 0, p.said)); got != protocol.StatusGreetingAttemptNotFound {
		t.Errorf("a claimer of another invitation: %s", got)
	}
	admit := func() error {
		standing, err := p.GreeterStanding(t.Context(), acme, malloryLaptop, p.attempt)
		p.ok(nil, err)
		return failure(p.Admit(&standing, p.token(malloryLaptop), latest))
	}
	p.ok(nil, admit())
	p.freeze(malloryID)
	p.events.flush()
	if err := admit(); !errors.Is(err, rules.UserFrozen) {
		t.Errorf("who is no greeter, and frozen: %v", err)
	}
}

// A view is trusted for hours, as long as an event about it would come.
func TestViewsAreTrusted(t *testing.T) {
	for _, side := range []protocol.Side{protocol.Greeter, protocol.Claimer} {
		p := newPolled(t, hasty)
		p.poll(side)
		p.poll(side)
		p.clock.advance(5 * time.Hour)
		if side == protocol.Claimer {
			p.poll(side) // the greeter hears of it again
		}
		p.store.lag = 3 * time.Second
		p.wantNothingAsked(side, protocol.StatusNotReady)
		p.store.lag = time.Minute
		for range 2 {
			before := p.store.asked.Load()
			if got := p.poll(side); got != protocol.StatusNotReady || p.store.asked.Load() == before {
				t.Errorf("%s: %s, and nothing is asked while no event comes", side, got)
			}
		}
		p.store.lag = 0
		p.wantNothingAsked(side, protocol.StatusNotReady)
	}
}

// A step waits for the other side for 800 ms, and no longer, and is told at once.
func TestStepsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		begin := time.Now()
		if got := p.poll(protocol.Greeter); got != protocol.StatusNotReady || time.Since(begin) != 800*time.Millisecond {
			t.Errorf("%s after %s", got, time.Since(begin))
		}
		begin = time.Now()
		answered := make(chan time.Duration)
		go func() {
			p.poll(protocol.Greeter)
			answered <- time.Since(begin)
		}()
		<-time.After(300 * time.Millisecond)
		p.other().poll(protocol.Claimer)
		if lasted := <-answered; lasted != 300*time.Millisecond {
			t.Errorf("told after %s", lasted)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin = time.Now()
		_, err := p.InviteGreeterStep(ctx, p.author, &protocol.InviteGreeterStepRequest{GreetingAttempt: p.attempt, GreeterStep: protocol.GreeterStepOf(1, nil)})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("who is gone is answered after %s: %v", time.Since(begin), err)
		}
	})
}

// Nobody waits in an attempt in which too much was said to be kept in view: each would have
// all of it for itself.
func TestStepsOfLargeAttemptsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		for step := range 3 {
			p.both(step)
		}
		if got := status(p.say(protocol.Greeter, 3, []byte{})); got != protocol.StatusNotReady {
			t.Fatal(got)
		}
		_, err := p.say(protocol.Claimer, 3, make([]byte, 100<<10))
		p.ok(nil, err)
		begin := time.Now()
		for range 2 {
			if got := status(p.say(protocol.Claimer, 4, []byte{})); got != protocol.StatusNotReady {
				t.Errorf("answered %s", got)
			}
		}
		if lasted := time.Since(begin); lasted > 0 {
			t.Errorf("told after %s", lasted)
		}
		if got := status(p.other().say(protocol.Greeter, 4, []byte{})); got != protocol.StatusOK {
			t.Errorf("the other side is answered %s", got)
		}
		if got := status(p.say(protocol.Claimer, 4, []byte{})); got != protocol.StatusOK {
			t.Errorf("afterwards: %s", got)
		}
	})
}

// A step that finds too many others waiting is told at once.
func TestStepsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		p.HoldSteps(rules.MaxHeldSteps - 1)
		for _, want := range []time.Duration{800 * time.Millisecond, 0} {
			begin := time.Now()
			if got := p.poll(protocol.Greeter); got != protocol.StatusNotReady || time.Since(begin) != want {
				t.Errorf("%s after %s, want %s", got, time.Since(begin), want)
			}
			p.HoldSteps(1)
		}
	})
}

// Both sides that speak at the same time are stored one after the other, each once, and
// who waits no longer leaves the turn to others.
func TestSpeakersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		var begun, failed int
		gate := make(chan struct{})
		p.store.spoken = func(isStored, before bool) {
			switch {
			case before:
				begun++
				<-gate
			case !isStored:
				failed++
			}
		}
		answers := make(chan protocol.Status, 3)
		go func() { answers <- p.poll(protocol.Greeter) }()
		synctest.Wait()
		go func() { answers <- p.poll(protocol.Claimer) }()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := p.InviteClaimerStep(ctx, p.invited, &protocol.InviteClaimerStepRequest{GreetingAttempt: p.attempt, ClaimerStep: protocol.ClaimerStepOf(0, p.said)})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("who is gone is answered %v", err)
			}
			answers <- ""
		}()
		synctest.Wait()
		cancel()
		if got := <-answers; got != "" {
			t.Errorf("%s before anything is stored", got)
		}
		if begun != 1 {
			t.Errorf("%d speak at the same time", begun)
		}
		close(gate)
		for range 2 {
			if got := <-answers; got != protocol.StatusOK {
				t.Errorf("answered %s", got)
			}
		}
		if begun != 2 || failed != 0 {
			t.Errorf("%d parts are stored of 2, and %d in vain", begun, failed)
		}
	})
}

// TestGreetingModel has two clients do what they like on two instances, and compares
// each answer with that of a model.
func TestGreetingModel(t *testing.T) {
	p := newPolled(t, hasty)
	invited := 0
	rapid.Check(t, func(rt *rapid.T) {
		invited++
		p.invited.Token = p.inviteUser(p.alice(), fmt.Sprintf("zack%d@example.com", invited))
		p.attempt = p.start(protocol.Greeter)
		p.start(protocol.Claimer)
		m := &greetingModel{attempts: map[parsec3.GreetingAttemptID]*modelAttempt{}}
		first := m.add(p.attempt)
		first.joined[protocol.Greeter], first.joined[protocol.Claimer] = true, true
		instances := []*polled{p, p.other()}
		rt.Repeat(map[string]func(*rapid.T){
			"start":  func(rt *rapid.T) { m.start(rt, drawn(rt, instances), drawnSide(rt)) },
			"step":   func(rt *rapid.T) { m.step(rt, drawn(rt, instances), drawnSide(rt)) },
			"next":   func(rt *rapid.T) { m.next(rt, drawn(rt, instances), drawnSide(rt)) },
			"cancel": func(rt *rapid.T) { m.cancel(rt, drawn(rt, instances), drawnSide(rt)) },
		})
	})
}

func drawn(rt *rapid.T, instances []*polled) *polled {
	return rapid.SampledFrom(instances).Draw(rt, "on")
}

func drawnSide(rt *rapid.T) protocol.Side {
	return rapid.SampledFrom([]protocol.Side{protocol.Greeter, protocol.Claimer}).Draw(rt, "side")
}

// greetingModel is what two sides have done.
type greetingModel struct {
	attempts map[parsec3.GreetingAttemptID]*modelAttempt
	order    []parsec3.GreetingAttemptID
}

type modelAttempt struct {
	joined map[protocol.Side]bool
	said   map[protocol.Side]map[int]string
	// origin is who has cancelled it, "" for nobody.
	origin protocol.Side
	reason protocol.CancelledAttemptReason
}

func (m *greetingModel) add(id parsec3.GreetingAttemptID) *modelAttempt {
	m.attempts[id] = &modelAttempt{
		joined: map[protocol.Side]bool{}, said: map[protocol.Side]map[int]string{protocol.Greeter: {}, protocol.Claimer: {}},
	}
	m.order = append(m.order, id)
	return m.attempts[id]
}

// active returns the attempt that is not cancelled, nil for none.
func (m *greetingModel) active() *modelAttempt {
	if last := m.attempts[m.order[len(m.order)-1]]; last.origin == "" {
		return last
	}
	return nil
}

func (m *greetingModel) start(rt *rapid.T, p *polled, side protocol.Side) {
	id := p.start(side)
	_, known := m.attempts[id]
	active := m.active()
	joins := active != nil && !active.joined[side]
	if joins != known {
		rt.Fatalf("joins an attempt that is known: %t, want %t", known, joins)
	}
	if joins {
		active.joined[side] = true
		return
	}
	if active != nil {
		active.origin, active.reason = side, protocol.AutomaticallyCancelled
	}
	m.add(id).joined[side] = true
}

// drawAttempt mostly draws the last one.
func (m *greetingModel) drawAttempt(rt *rapid.T) (parsec3.GreetingAttemptID, *modelAttempt) {
	back := min(rapid.IntRange(0, 1).Draw(rt, "back"), len(m.order)-1)
	id := m.order[len(m.order)-1-back]
	return id, m.attempts[id]
}

// refusal is that of an attempt which is over, or not joined, "" for none.
func (a *modelAttempt) refusal(side protocol.Side, cancelled protocol.Status) protocol.Status {
	switch {
	case a.origin != "":
		return cancelled
	case !a.joined[side]:
		return protocol.StatusGreetingAttemptNotJoined
	default:
		return ""
	}
}

func (m *greetingModel) cancel(rt *rapid.T, p *polled, side protocol.Side) {
	id, attempt := m.drawAttempt(rt)
	p.attempt = id
	err := p.cancelAttempt(side, protocol.InvalidNonceHash)
	want := attempt.refusal(side, protocol.StatusGreetingAttemptAlreadyCancelled)
	if want == "" {
		want = protocol.StatusOK
		attempt.origin, attempt.reason = side, protocol.InvalidNonceHash
	}
	attempt.check(rt, err, want)
}

// check compares an answer, with its fields.
func (a *modelAttempt) check(rt *rapid.T, err error, want protocol.Status) {
	if got := status(nil, err); got != want {
		rt.Fatalf("got %s, want %s", got, want)
	}
	if a.origin == "" || want == protocol.StatusOK {
		return
	}
	if details := detailsOf[protocol.AttemptCancelledDetails](err); details.Origin != a.origin || details.Reason != a.reason {
		rt.Fatalf("cancelled as %+v, want %s, %s", details, a.origin, a.reason)
	}
}

// next says the first part that a side has not said.
func (m *greetingModel) next(rt *rapid.T, p *polled, side protocol.Side) {
	attempt := m.attempts[m.order[len(m.order)-1]]
	step := 0
	for step < protocol.Steps-1 && attempt.said[side][step] != "" {
		step++
	}
	m.say(rt, p, side, m.order[len(m.order)-1], step, "a")
}

func (m *greetingModel) step(rt *rapid.T, p *polled, side protocol.Side) {
	id, _ := m.drawAttempt(rt)
	m.say(rt, p, side, id, rapid.IntRange(0, protocol.Steps-1).Draw(rt, "step"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "said"))
}

func (m *greetingModel) say(rt *rapid.T, p *polled, side protocol.Side, id parsec3.GreetingAttemptID, step int, what string) {
	attempt, part := m.attempts[id], modelPart(side, step, what)
	p.attempt = id
	p.events.flush() // what happened on the other instance is known
	got, err := p.say(side, step, part)
	said, peers := attempt.said[side], attempt.said[side.Peer()]
	want := attempt.refusal(side, protocol.StatusGreetingAttemptCancelled)
	key := fmt.Sprintf("%x.", part)
	switch {
	case want != "":
	case step > 0 && (said[step-1] == "" || peers[step-1] == ""):
		want = protocol.StatusStepTooAdvanced
	case said[step] != "" && said[step] != key:
		want = protocol.StatusStepMismatch
	default:
		said[step] = key
		want = protocol.StatusNotReady
		if peers[step] != "" {
			want = protocol.StatusOK
		}
	}
	attempt.check(rt, err, want)
	if want == protocol.StatusOK && fmt.Sprintf("%x.", got) != peers[step] {
		rt.Fatalf("the peer said %x, want %s", got, peers[step])
	}
}

// modelPart is what a side may say in a step: nothing, in those without field.
func modelPart(side protocol.Side, step int, what string) []byte {
	if len(partOf(side, step)) == 0 {
		return []byte{}
	}
	part := make([]byte, 32)
	copy(part, what)
	return part
}
