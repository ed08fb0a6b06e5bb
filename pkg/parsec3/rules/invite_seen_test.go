package rules_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

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

// beginPolled begins what is polled.
type beginPolled = func(t *testing.T, changes ...func(*setup)) *polled

// happening is what happens on the other instance, and what each side is answered then.
type happening struct {
	happens          func(p *polled)
	greeter, claimer protocol.Status
}

// check wants what play gives for each side.
func (h happening) check(t *testing.T, name string, play func(t *testing.T, side protocol.Side) protocol.Status) {
	t.Run(name, func(t *testing.T) {
		for side, want := range map[protocol.Side]protocol.Status{protocol.Greeter: h.greeter, protocol.Claimer: h.claimer} {
			if got := play(t, side); got != want {
				t.Errorf("%s: %s, want %s", side, got, want)
			}
		}
	})
}

func (p *polled) expireByAdministrator() {
	p.t.Helper()
	p.ok(nil, p.administration.Update(p.t.Context(), organization.Administrator{}, acme, organization.Change{Expired: new(true)}))
}

// other has the commands, and what an administrator does, run by the other instance.
func (p *polled) other() *polled {
	f := *p.fixture
	f.Rules = p.second
	f.administration = organization.New(f.Organizations(), organization.Wings{organization.Parsec3: f.Rules}, f.clock.now, discard, organization.Options{})
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
	check := func(name string, begin beginPolled, h happening) {
		h.check(t, name, func(t *testing.T, side protocol.Side) protocol.Status {
			p := begin(t, hasty)
			if got := p.poll(side); got != protocol.StatusNotReady {
				t.Fatal(got)
			}
			p.poll(side)
			p.wantNothingAsked(side, protocol.StatusNotReady)
			h.happens(p.other())
			p.events.flush()
			return p.poll(side)
		})
	}
	for name, h := range map[string]happening{
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
		"organization expired": {(*polled).expireByAdministrator, aborted(rules.OrganizationExpired), aborted(rules.OrganizationExpired)},
	} {
		check(name, newPolled, h)
	}
	for name, h := range map[string]happening{
		"setup deleted":                 {func(p *polled) { p.deleteSetup(p.mallory(), p.setup) }, protocol.StatusInvitationCancelled, aborted(rules.InvitationOver)},
		"owner revoked":                 {func(p *polled) { p.revoke(malloryID) }, protocol.StatusInvitationCancelled, aborted(rules.InvitationOver)},
		"greeter of a recovery revoked": {func(p *polled) { p.revoke(bobID) }, aborted(rules.UserRevoked), protocol.StatusGreeterRevoked},
	} {
		check(name, newPolledRecovery, h)
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
	p.expireByAdministrator()
	if got := p.poll(protocol.Greeter); got != aborted(rules.OrganizationExpired) {
		t.Errorf("after the organization has expired: %s", got)
	}
}

// Events that are still to come have nothing stored of who must not say it any more, and let
// nobody in to anything but a step.
func TestNothingIsDoneByLateViews(t *testing.T) {
	check := func(name string, begin beginPolled, h happening) {
		h.check(t, name, func(t *testing.T, side protocol.Side) protocol.Status {
			p := begin(t, hasty, inMemory)
			p.both(0)
			p.events.flush()
			p.wantNothingAsked(side, protocol.StatusOK)
			defer p.hold()()
			h.happens(p.other())
			return status(p.say(side, 1, partOf(side, 1)))
		})
	}
	check("greeter frozen", newPolled, happening{func(p *polled) { p.freeze(bobID) }, aborted(rules.UserFrozen), protocol.StatusNotReady})
	check("organization expired", newPolled, happening{
		(*polled).expireByAdministrator, aborted(rules.OrganizationExpired), aborted(rules.OrganizationExpired),
	})
	check("owner revoked", newPolledRecovery, happening{
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
