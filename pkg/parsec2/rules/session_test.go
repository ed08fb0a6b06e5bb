package rules_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"strconv"
	"strings"
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

// slowStore calls a function in the middle of the reads that sessions begin
// with: after the facts are read, before they are given.
type slowStore struct {
	rules.Store
	meanwhile func()
}

func (s *slowStore) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec.DeviceID) (rules.AuthenticationFacts, error) {
	facts, err := s.Store.Authentication(ctx, organization, device)
	s.meanwhile()
	return facts, err
}

func (s *slowStore) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (rules.InvitationFacts, error) {
	facts, err := s.Store.Invitation(ctx, organization, token)
	s.meanwhile()
	return facts, err
}

func (s *slowStore) RealmsOf(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) ([]rules.Realm, error) {
	realms, err := s.Store.RealmsOf(ctx, organization, user)
	s.meanwhile()
	return realms, err
}

// meanwhile returns the rules of f, where something happens during the reads.
func (f *fixture) meanwhile(happens func()) *rules.Rules {
	return rules.New(&slowStore{f.store, happens}, f.blocks, f.bus, f.webhooks, f.clock.now, slog.New(slog.DiscardHandler), rules.Options{})
}

// answer returns the answer of a device to a challenge, in API 3.
func (f *fixture) answer(author *rules.Author) rules.Answer {
	challenge := make([]byte, protocol.ChallengeBytes)
	signed := append([]byte("\x82\xa4type\xadsigned_answer\xa6answer\xc4\x30"), challenge...)
	return rules.Answer{
		API: author.API, Organization: author.Organization, Device: author.Device, RootVerifyKey: verifyKey(rootKey()),
		Signed: append(ed25519.Sign(signingKey(author.Device), signed), signed...), Challenge: challenge,
	}
}

// session opens a session that closes with the test; over is closed when it
// ends by itself.
func (f *fixture) session(b *rules.Rules, author *rules.Author) (session *rules.Session, over chan struct{}) {
	f.t.Helper()
	over = make(chan struct{})
	session, err := b.Authenticate(f.t.Context(), f.answer(author), func() { close(over) })
	f.ok(session, err)
	f.t.Cleanup(session.Close)
	return session, over
}

func (f *fixture) isOver(over chan struct{}) bool {
	f.events.flush()
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// What happens while the facts of a session are read ends it.
func TestSessionEndsByWhatHappensWhileItOpens(t *testing.T) {
	for name, happens := range map[string]func(f *fixture){
		"revoked": func(f *fixture) { f.revoke(bobID.User()) },
		"frozen": func(f *fixture) {
			f.ok(f.FreezeUser(f.t.Context(), somebody, acme, organization.UserChoice{ID: bobID.User().String()}, true))
		},
		"expired": func(f *fixture) { f.expireAt(f.clock.now()) },
	} {
		for opener, open := range map[string]func(f *fixture, b *rules.Rules, onOver func()) (*rules.Session, error){
			"authenticated": func(f *fixture, b *rules.Rules, onOver func()) (*rules.Session, error) {
				return b.Authenticate(f.t.Context(), f.answer(f.bob()), onOver)
			},
			"resumed": func(f *fixture, b *rules.Rules, onOver func()) (*rules.Session, error) {
				return b.Resume(f.t.Context(), *f.bob(), onOver)
			},
		} {
			t.Run(opener+" "+name, func(t *testing.T) {
				f := newFixture(t)
				over := make(chan struct{})
				session, err := open(f, f.meanwhile(func() {
					happens(f)
					f.events.flush()
				}), func() { close(over) })
				f.ok(session, err)
				defer session.Close()
				<-over
				if _, err := open(f, f.Rules, func() {}); !errors.As(err, new(rules.Denial)) {
					t.Errorf("the next session: %v", err)
				}
			})
		}
	}
}

func (f *fixture) expireAt(date parsec.DateTime) {
	f.t.Helper()
	f.ok(f.AdministrationUpdate(f.t.Context(), somebody, &protocol.AdministrationUpdateRequest{OrganizationID: acme, ExpirationDate: &date}))
}

func TestInvitedSessionIsRefusedByADeletionWhileItOpens(t *testing.T) {
	f := newFixture(t)
	invitee := rules.Invitee{Organization: acme, Token: parsec.InvitationToken{1}, Type: parsec.InvitationUser, API: latest}
	put := func(deletedOn *parsec.DateTime) {
		f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme}, func(tx rules.Tx) error {
			tx.PutInvitation(rules.Invitation{
				Token: invitee.Token, Type: invitee.Type, DeletedOn: deletedOn,
				Greeter: aliceID.User(), Greeters: []rules.InvitationGreeter{{User: aliceID.User()}},
			})
			if deletedOn != nil {
				tx.Emit(event.Event{Organization: acme, Body: notice.InviteStatusChanged{
					Greeters: []parsec.UserID{aliceID.User()}, Token: invitee.Token, Status: parsec.InvitationDeleted,
				}})
			}
			return nil
		}))
		f.events.flush()
	}
	put(nil)
	deletedOn := f.clock.now()
	_, err := f.meanwhile(func() { put(&deletedOn) }).ConnectInvited(t.Context(), invitee, func() {}, func() {})
	if !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("the session: %v", err)
	}
	if _, err := f.ConnectInvited(t.Context(), invitee, func() {}, func() {}); !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("the next session: %v", err)
	}
}

func TestSessionExpiresByDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, inMemory)
		before := f.clock.now()
		_, atOpening := f.session(f.Rules, f.bob())
		f.expireAt(before.Add(time.Hour))
		f.events.flush()
		_, later := f.session(f.Rules, f.alice())
		f.expireAt(before.Add(2 * time.Hour)) // postponed
		f.events.flush()
		<-time.After(2*time.Hour - time.Nanosecond)
		synctest.Wait()
		if f.isOver(atOpening) || f.isOver(later) {
			t.Error("over before the date")
		}
		<-time.After(time.Nanosecond)
		<-atOpening
		<-later
		f.expireAt(before.Add(3 * time.Hour))
		_, over := f.session(f.Rules, f.bob())
		f.ok(f.AdministrationUpdate(t.Context(), somebody, &protocol.AdministrationUpdateRequest{OrganizationID: acme})) // never
		f.events.flush()
		<-time.After(24 * time.Hour)
		synctest.Wait()
		if f.isOver(over) {
			t.Error("over by a date that was taken back")
		}
	})
}

// A session that is closed holds nothing, and does not end any more.
func TestClosedSessionDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, inMemory)
		f.expireAt(f.clock.now().Add(time.Hour))
		session, over := f.session(f.Rules, f.bob())
		session.Close()
		<-time.After(2 * time.Hour)
		f.revoke(bobID.User())
		synctest.Wait()
		if f.isOver(over) {
			t.Error("over after its close")
		}
	})
}

// TestSubscribeRacesWithRoles changes roles in the middle of the subscription:
// the set of realms is what the roles are in the end.
func TestSubscribeRacesWithRoles(t *testing.T) {
	granted, kept, removed := parsec.RealmID{1}, parsec.RealmID{2}, parsec.RealmID{3}
	role := func(f *fixture, realm parsec.RealmID, role parsec.RealmRole) {
		f.clock.advance(time.Second)
		f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, Author: aliceID, Realm: realm, By: rules.RealmExclusive}, func(tx rules.Tx) error {
			if _, found := tx.Realm(); !found {
				tx.CreateRealm(f.clock.now())
			}
			tx.AddRole(rules.RoleCertificate{Realm: realm, User: bobID.User(), Role: role, Author: aliceID, CertifiedOn: f.clock.now()})
			tx.Emit(event.Event{Organization: acme, Author: aliceID, Body: notice.RealmRolesUpdated{Realm: realm, User: bobID.User(), Role: role}})
			return nil
		}))
	}
	f := newFixture(t)
	role(f, kept, parsec.RoleReader)
	role(f, removed, parsec.RoleReader)
	f.events.flush()
	delivered := f.meanwhile(func() {
		role(f, granted, parsec.RoleReader)
		role(f, removed, parsec.RoleNone)
		f.events.flush()
	})
	session, _ := f.session(f.Rules, f.bob())
	f.ok(delivered.EventsSubscribe(t.Context(), session, nil))
	for i, realm := range []parsec.RealmID{granted, kept, removed} {
		f.bus.Publish([]event.Event{{Organization: acme, Author: aliceID, Body: notice.RealmVlobsUpdated{Realm: realm, Checkpoint: uint64(i + 1)}}})
	}
	f.events.flush()
	want := []protocol.Event{
		&protocol.RealmRolesUpdatedEvent{RealmID: granted, Role: parsec.RoleReader},
		&protocol.RealmRolesUpdatedEvent{RealmID: removed, Role: parsec.RoleNone},
		&protocol.RealmVlobsUpdatedEvent{RealmID: granted, Checkpoint: 1},
		&protocol.RealmVlobsUpdatedEvent{RealmID: kept, Checkpoint: 2},
	}
	if got := f.listenAll(session); !reflect.DeepEqual(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// listenAll takes every event that was published and not yet heard.
func (f *fixture) listenAll(session *rules.Session) []protocol.Event {
	f.t.Helper()
	f.events.flush()
	var all []protocol.Event
	for {
		told, err := f.EventsListen(f.t.Context(), session, &protocol.EventsListenRequest{})
		if errors.Is(err, protocol.Refuse(protocol.StatusNoEvents, "")) {
			return all
		}
		f.ok(told, err)
		all = append(all, told)
	}
}

// A subscription that fails may be tried again.
func TestSubscribeAgainAfterAFailure(t *testing.T) {
	f := newFixture(t)
	session, _ := f.session(f.Rules, f.bob())
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.EventsSubscribe(cancelled, session, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first subscription: %v", err)
	}
	f.ok(f.EventsSubscribe(t.Context(), session, nil))
	f.ok(f.Ping(t.Context(), f.alice(), &protocol.PingRequest{Ping: "hello"}))
	if got := f.listenAll(session); !reflect.DeepEqual(got, []protocol.Event{&protocol.PingedEvent{Ping: "hello"}}) {
		t.Errorf("events %v", got)
	}
}

// Listens are abandoned at any moment: no event is lost, doubled or out of
// order.
func TestAbandonedListenLosesNothing(t *testing.T) {
	f := newFixture(t)
	session, _ := f.session(f.Rules, f.bob())
	f.ok(f.EventsSubscribe(t.Context(), session, nil))
	const count = 2000
	room := make(chan struct{}, 50)
	go func() {
		for i := range count {
			select {
			case room <- struct{}{}:
			case <-t.Context().Done():
				return
			}
			f.bus.Publish([]event.Event{{Organization: acme, Body: notice.Pinged{Ping: strconv.Itoa(i)}}})
		}
	}()
	for seen := 0; seen < count; {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		told, err := f.EventsListen(ctx, session, &protocol.EventsListenRequest{Wait: true})
		cancel()
		if errors.Is(err, context.Canceled) {
			continue
		}
		f.ok(told, err)
		if !reflect.DeepEqual(told, &protocol.PingedEvent{Ping: strconv.Itoa(seen)}) {
			t.Fatalf("event %v, want %d", told, seen)
		}
		seen++
		<-room
	}
}

func TestQueueOverflowEndsTheSession(t *testing.T) {
	f := newFixture(t)
	session, over := f.session(f.Rules, f.bob())
	f.ok(f.EventsSubscribe(t.Context(), session, nil))
	index := uint64(0)
	message := func() {
		index++
		f.bus.Publish([]event.Event{{Organization: acme, Body: notice.MessageReceived{Recipient: bobID.User(), Index: index}}})
	}
	for range 100 {
		message()
	}
	if f.isOver(over) {
		t.Error("over with 100 events")
	}
	message()
	<-over
	message() // over once
	f.events.flush()
	if queued, overflows := f.QueuedEvents(), f.EventOverflows(); queued != 100 || overflows != 1 {
		t.Errorf("%d events are queued, %d sessions have overflowed", queued, overflows)
	}
	session.Close()
	session.Close()
	if queued := f.QueuedEvents(); queued != 0 {
		t.Errorf("%d events of a closed session are queued", queued)
	}
}

// TestPingsEndNoSession has pings and enrollments, as many as any user or
// stranger may cause, and then other events: they find room in each queue.
func TestPingsEndNoSession(t *testing.T) {
	f := newFixture(t)
	session, over := f.session(f.Rules, f.alice())
	f.ok(f.EventsSubscribe(t.Context(), session, nil))
	publish := func(count int, body event.Body) {
		for range count {
			f.bus.Publish([]event.Event{{Organization: acme, Body: body}})
		}
	}
	publish(1000, notice.Pinged{Ping: "x"})
	publish(1000, notice.PKIEnrollmentUpdated{})
	for index := range uint64(49) {
		publish(1000, notice.MessageReceived{Recipient: aliceID.User(), Index: index})
	}
	publish(1000, notice.Pinged{Ping: "x"})
	if f.isOver(over) {
		t.Fatal("over")
	}
	counts := map[string]int{}
	for _, told := range f.listenAll(session) {
		counts[told.EventName()]++
	}
	if want := map[string]int{"pinged": 50, "pki_enrollment.updated": 1, "message.received": 49}; !maps.Equal(counts, want) {
		t.Errorf("told %v, want %v", counts, want)
	}
	// Once the client has listened, it is told of the next ones.
	publish(1, notice.PKIEnrollmentUpdated{})
	publish(1, notice.Pinged{Ping: "y"})
	want := []protocol.Event{&protocol.PKIEnrollmentUpdatedEvent{}, &protocol.PingedEvent{Ping: "y"}}
	if got := f.listenAll(session); !reflect.DeepEqual(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// TestPingsAreThrottled has an OUTSIDER ping: it is answered each time, others
// are told of a few.
func TestPingsAreThrottled(t *testing.T) {
	var elapsed time.Duration
	f := newFixture(t, withOptions(func(options *rules.Options) {
		options.Elapsed = func() time.Duration { return elapsed }
	}))
	ping := func(author *rules.Author, count, told int) {
		t.Helper()
		for range count {
			if pong := must(f.Ping(t.Context(), author, &protocol.PingRequest{Ping: "x"})).Pong; pong != "x" {
				t.Errorf("pong %q", pong)
			}
		}
		if got := len(f.events.take()); got != told {
			t.Errorf("%s: %d pings told of %d, want %d", author.Device, got, count, told)
		}
	}
	ping(f.mallory(), 500, 20)
	ping(f.bob(), 1, 1)
	ping(f.alice(), 15, 15)
	ping(f.alice2(), 15, 5) // a user has one allowance, whatever its devices
	elapsed += time.Second
	ping(f.mallory(), 500, 1)
	elapsed += time.Hour
	f.ok(f.Ping(t.Context(), f.mallory(), &protocol.PingRequest{Ping: strings.Repeat("x", 65)})) // that no client could read
	ping(f.mallory(), 500, 20)
}

// Without administration token nobody administrates.
func TestNoAdministrationToken(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.token = "" })
	if _, err := f.Connect(somebody.Address, ""); !errors.Is(err, organization.ErrBadToken) {
		t.Errorf("an empty token: %v", err)
	}
}
