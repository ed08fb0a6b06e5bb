package rules

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// registrations is a store that only says who opens a stream.
type registrations struct {
	Store
	standing Standing
	realms   []parsec.RealmID
	// meanwhile is what happens once the facts are read.
	meanwhile func()
}

func (r *registrations) Registration(context.Context, parsec.OrganizationID, parsec3.DeviceID) (Standing, []parsec.RealmID, error) {
	if r.meanwhile != nil {
		r.meanwhile()
	}
	return r.standing, r.realms, nil
}

// streams is what the tests of streams work with, inside synctest.
type streams struct {
	t      *testing.T
	rules  *Rules
	store  *registrations
	bus    *event.Bus
	author Author
	realm  parsec.RealmID
}

func newStreams(t *testing.T) *streams {
	id, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	s := &streams{t: t, bus: event.NewBus(), realm: parsec.RealmID{1}, author: Author{
		Organization: id, Device: parsec3.DeviceID{2}, User: parsec3.UserID{3},
	}}
	t.Cleanup(s.bus.Close)
	s.store = &registrations{realms: []parsec.RealmID{s.realm}, standing: Standing{
		Organization: &organization.Organization{ID: id, RootVerifyKey: &parsec.VerifyKey{}, Generation: organization.Parsec3},
		User:         &User{ID: s.author.User}, Device: &Device{ID: s.author.Device, User: s.author.User},
	}}
	now := func() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }
	s.rules = New(s.store, nil, s.bus, nil, now, slog.New(slog.DiscardHandler), Options{})
	return s
}

// emit publishes bodies as one transaction, and waits until they are delivered.
func (s *streams) emit(bodies ...event.Body) {
	events := make([]event.Event, len(bodies))
	for i, body := range bodies {
		events[i] = event.Event{Organization: s.author.Organization, Body: body}
	}
	s.bus.Publish(events)
	synctest.Wait()
}

func (s *streams) open(lastEventID string) *Session {
	s.t.Helper()
	session, err := s.rules.OpenSession(s.t.Context(), &s.author, lastEventID, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(session.Close)
	return session
}

// next returns what waits, and the error if the stream is over.
func (s *streams) next(session *Session) (messages []*Message, err error) {
	for {
		message, err := session.Next()
		if message == nil || err != nil {
			return messages, err
		}
		messages = append(messages, message)
	}
}

func (s *streams) vlob(version uint32) notice.Vlob {
	return notice.Vlob{ID: notice.NewID(), Realm: s.realm, Version: version}
}

// versions returns those of the events about vlobs; 0 is the mark that some were
// missed.
func versions(t *testing.T, messages []*Message) (numbers []uint32) {
	t.Helper()
	for _, message := range messages {
		switch told := message.Event.(type) {
		case nil:
			numbers = append(numbers, 0)
		case *protocol.VlobEvent:
			numbers = append(numbers, told.Version)
		default:
			t.Errorf("an event is %s", told.EventName())
		}
	}
	return numbers
}

// expectVersions wants the first event of a stream and then those versions.
func (s *streams) expectVersions(session *Session, want ...uint32) []*Message {
	s.t.Helper()
	messages, err := s.next(session)
	if err != nil || len(messages) == 0 {
		s.t.Fatalf("%d messages, error %v", len(messages), err)
	}
	if _, config := messages[0].Event.(*protocol.OrganizationConfigEvent); !config {
		s.t.Errorf("the first event is a %T", messages[0].Event)
	}
	got := versions(s.t, messages[1:])
	if len(got) != len(want) {
		s.t.Fatalf("versions %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			s.t.Errorf("versions %v, want %v", got, want)
			break
		}
	}
	return messages
}

func text(id notice.ID) string { return parsec.UUID(id).Hex() }

func inBubble(t *testing.T, test func(*streams)) {
	synctest.Test(t, func(t *testing.T) { test(newStreams(t)) })
}

// TestResume wants every id that a client may have seen to lead to what it has not.
func TestResume(t *testing.T) {
	inBubble(t, func(s *streams) {
		s.emit(s.vlob(1))
		first := s.open("")
		head := s.expectVersions(first)[0].ID // before any event of its own
		s.emit(s.vlob(2), notice.Vlob{ID: notice.NewID(), Realm: parsec.RealmID{9}, Version: 9})
		s.emit(s.vlob(3))
		messages, err := s.next(first)
		if err != nil || len(versions(t, messages)) != 2 {
			t.Fatalf("messages %v, error %v", messages, err)
		}
		s.expectVersions(s.open(text(head)), 2, 3)
		s.expectVersions(s.open(text(messages[0].ID)), 3)
		s.expectVersions(s.open(text(messages[1].ID)))
		if again := s.expectVersions(s.open(text(head)), 2, 3); again[0].ID != head {
			t.Error("a cut before the replay loses it")
		}
	})
}

// TestResumeWithoutEvents wants a place to resume from where nothing has happened.
func TestResumeWithoutEvents(t *testing.T) {
	inBubble(t, func(s *streams) {
		head := s.expectVersions(s.open(""))[0].ID
		s.emit(s.vlob(1))
		s.expectVersions(s.open(text(head)), 1)
	})
}

func TestMissedEvents(t *testing.T) {
	inBubble(t, func(s *streams) {
		s.emit(s.vlob(1))
		for name, last := range map[string]string{"unknown": text(notice.NewID()), "no UUID": "x"} {
			messages := s.expectVersions(s.open(last), 0)
			if name == "unknown" && text(messages[0].ID) != last {
				t.Errorf("%s: the first event moves the client on, before the mark", name)
			}
			s.expectVersions(s.open(text(messages[1].ID)))
		}
		head := s.expectVersions(s.open(""))[0].ID
		for version := range uint32(maxReplayedEvents) {
			s.emit(s.vlob(version + 1))
		}
		if messages := s.expectVersionsCount(s.open(text(head)), maxReplayedEvents); messages == nil {
			t.Fatal("too few messages")
		}
		s.emit(s.vlob(1000))
		s.expectVersions(s.open(text(head)), 0)
		other, err := parsec.ParseOrganizationID("Bank")
		if err != nil {
			t.Fatal(err)
		}
		s.author.Organization, s.store.standing.Organization.ID = other, other
		s.expectVersions(s.open(text(head)), 0)
	})
}

// expectVersionsCount wants the first event and so many others.
func (s *streams) expectVersionsCount(session *Session, count int) []*Message {
	s.t.Helper()
	messages, err := s.next(session)
	if err != nil || len(messages) != count+1 {
		s.t.Fatalf("%d messages, error %v, want %d", len(messages), err, count+1)
	}
	return messages
}

// expectCounts wants so many messages to wait for all clients, and so many sessions to
// have ended for slow ones, once the events that were emitted are handled.
func (s *streams) expectCounts(queued, overflows int64) {
	s.t.Helper()
	synctest.Wait()
	if got, ended := s.rules.QueuedEvents(), s.rules.EventOverflows(); got != queued || ended != overflows {
		s.t.Errorf("%d messages wait and %d sessions ended, want %d and %d", got, ended, queued, overflows)
	}
}

// TestHistoryIsBounded drops the oldest events of an organization with many.
func TestHistoryIsBounded(t *testing.T) {
	inBubble(t, func(s *streams) {
		head := s.expectVersions(s.open(""))[0].ID
		s.store.realms = nil
		for range maxKeptEvents - 1 {
			s.emit(s.vlob(1))
		}
		s.expectVersions(s.open(text(head)))
		s.emit(s.vlob(1))
		s.expectVersions(s.open(text(head)), 0)
	})
}

func TestHistoryForgetsTheOldestOfAll(t *testing.T) {
	h := newHistory()
	ids := make([]parsec.OrganizationID, 3)
	for i, name := range []string{"a", "b", "c"} {
		ids[i], _ = parsec.ParseOrganizationID(name)
	}
	large := notice.Vlob{Blob: make([]byte, maxKeptBytes/3)}
	var kept []notice.ID
	for i := range 6 {
		large.ID = notice.NewID()
		kept = append(kept, large.ID)
		h.record(event.Event{Organization: ids[i%3], Body: large})
	}
	for i, id := range kept {
		if _, found := h.after(ids[i%3], id); found != (i >= 4) {
			t.Errorf("event %d is found: %t", i, found)
		}
	}
	if h.bytes > maxKeptBytes || len(h.organizations) != 2 {
		t.Errorf("%d bytes of %d organizations", h.bytes, len(h.organizations))
	}
	h.record(event.Event{Body: event.Lost{}})
	if _, found := h.after(ids[2], kept[5]); found {
		t.Error("an event before a loss is found")
	}
}

// TestRegistration has roles change while the facts are read, and wants only those
// of the own user to count, and each event told once.
func TestRegistration(t *testing.T) {
	inBubble(t, func(s *streams) {
		head := s.expectVersions(s.open(""))[0].ID
		gained, foreign := parsec.RealmID{4}, parsec.RealmID{5}
		s.store.meanwhile = func() {
			s.emit(
				notice.RealmCertificate{ID: notice.NewID(), Realm: gained, User: s.author.User, Timestamp: 1},
				notice.RealmCertificate{ID: notice.NewID(), Realm: foreign, User: parsec3.UserID{8}, Timestamp: 2},
				notice.RealmCertificate{ID: notice.NewID(), Realm: s.realm, User: parsec3.UserID{8}, RoleRemoved: true, Timestamp: 3},
			)
		}
		for _, resumes := range []bool{false, true} {
			last := ""
			if resumes {
				last = text(head)
			}
			session := s.open(last)
			s.emit(notice.Vlob{ID: notice.NewID(), Realm: gained, Version: 1}, notice.Vlob{ID: notice.NewID(), Realm: foreign, Version: 2}, s.vlob(3))
			messages, err := s.next(session)
			if err != nil {
				t.Fatal(err)
			}
			var certificates int
			var vlobs []*Message
			for _, message := range messages[1:] {
				switch told := message.Event.(type) {
				case *protocol.RealmCertificateEvent:
					certificates++
					if told.RealmID == foreign {
						t.Error("a certificate of a foreign realm is told")
					}
				default:
					vlobs = append(vlobs, message)
				}
			}
			if got := versions(t, vlobs); len(got) != 2 || got[0] != 1 || got[1] != 3 {
				t.Errorf("resuming after %q: versions %v", last, got)
			}
			if last == "" && certificates != 1 { // The removal of another comes before the realm is known.
				t.Errorf("%d certificates", certificates)
			}
			head = messages[len(messages)-1].ID
			session.Close()
		}
	})
}

// TestRemovalIsTheLast wants a removed member told of its removal, live and when it
// resumes, and of nothing after.
func TestRemovalIsTheLast(t *testing.T) {
	inBubble(t, func(s *streams) {
		session := s.open("")
		head := s.expectVersions(session)[0].ID
		removal := notice.RealmCertificate{ID: notice.NewID(), Realm: s.realm, User: s.author.User, RoleRemoved: true}
		s.emit(removal)
		s.emit(s.vlob(1))
		s.store.realms = nil
		for _, of := range []*Session{session, s.open(text(head))} {
			messages, err := s.next(of)
			if err != nil || len(messages) == 0 || messages[len(messages)-1].ID != removal.ID {
				t.Errorf("messages %v, error %v", messages, err)
			}
		}
	})
}

// TestAuthorHearsNothingOfItsVlobs but of its certificates.
func TestAuthorHearsNothingOfItsVlobs(t *testing.T) {
	inBubble(t, func(s *streams) {
		session := s.open("")
		s.expectVersions(session)
		own, others := s.vlob(1), s.vlob(2)
		own.Author, others.Author = s.author.Device, parsec3.DeviceID{7}
		s.emit(own, others, notice.CommonCertificate{ID: notice.NewID(), Timestamp: 5})
		messages, err := s.next(session)
		if err != nil || len(messages) != 2 {
			t.Fatalf("messages %v, error %v", messages, err)
		}
		if told, ok := messages[1].Event.(*protocol.CommonCertificateEvent); !ok || told.Timestamp != 5 {
			t.Errorf("the second message is %v", messages[1].Event)
		}
	})
}

// TestEnrollmentsForAdministrators tells those who are ADMIN by then, and whose clients
// know of enrollments (docs/protocol/v5/events.md §2 and §3).
func TestEnrollmentsForAdministrators(t *testing.T) {
	inBubble(t, func(s *streams) {
		told := func(session *Session) (events int) {
			messages, err := s.next(session)
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range messages {
				if _, is := message.Event.(*protocol.AsyncEnrollmentEvent); is {
					events++
				}
			}
			return events
		}
		want := func(session *Session, events int, when string) {
			t.Helper()
			if got := told(session); got != events {
				t.Errorf("%s: %d events, want %d", when, got, events)
			}
		}
		emit := func() { s.emit(notice.AsyncEnrollment{ID: notice.NewID()}) }
		become := func(user parsec3.UserID, profile parsec.UserProfile) {
			s.emit(notice.UserUpdated{User: user, Profile: profile})
		}
		s.author.API = parsec.APIVersion{Major: 5, Minor: 4}
		s.store.standing.User.Profile = parsec.ProfileAdmin
		session := s.open("")
		emit()
		want(session, 1, "an ADMIN")
		become(s.author.User, parsec.ProfileStandard)
		emit()
		want(session, 0, "an ADMIN no longer")
		become(parsec3.UserID{9}, parsec.ProfileAdmin)
		emit()
		want(session, 0, "another one who becomes ADMIN")
		become(s.author.User, parsec.ProfileAdmin)
		emit()
		want(session, 1, "an ADMIN again")

		first := notice.AsyncEnrollment{ID: notice.NewID()}
		s.emit(first)
		emit()
		last := parsec.UUID(first.ID).Hex()
		want(s.open(last), 1, "an ADMIN who resumes")
		s.author.API.Minor = 3
		want(s.open(last), 0, "an older client that resumes")
		older := s.open("")
		emit()
		want(older, 0, "an older client")
		s.author.API.Minor, s.store.standing.User.Profile = 6, parsec.ProfileStandard
		want(s.open(last), 0, "no ADMIN, who resumes")
		// The profile changes while the stream is opened.
		s.store.meanwhile = func() { become(s.author.User, parsec.ProfileAdmin); emit() }
		want(s.open(""), 1, "an ADMIN meanwhile")
	})
}

// TestEnds wants what was queued told before the end.
func TestEnds(t *testing.T) {
	past, future := parsec.DateTime(1), func() parsec.DateTime { return parsec.DateTimeOf(time.Now().Add(time.Hour)) }
	for name, end := range map[string]func(*streams){
		"revoked": func(s *streams) { s.emit(notice.UserRevokedOrFrozen{User: s.author.User}) },
		"expired": func(s *streams) { s.emit(event.OrganizationExpiration{Date: &past}) },
		"terms":   func(s *streams) { s.emit(event.OrganizationTOSUpdated{}) },
		"lost":    func(s *streams) { s.emit(event.Lost{}) },
		"expires": func(s *streams) {
			date := future()
			s.emit(event.OrganizationExpiration{Date: &date})
			time.Sleep(time.Hour + time.Second) //nolint:forbidigo // It is the clock of the bubble.
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(s *streams) {
				session := s.open("")
				s.emit(s.vlob(1))
				end(s)
				s.emit(s.vlob(2))
				messages, err := s.next(session)
				if !errors.Is(err, ErrStreamOver) || len(messages) != 2 {
					t.Errorf("messages %v, error %v", messages, err)
				}
			})
		})
	}
	inBubble(t, func(s *streams) {
		session := s.open("")
		s.emit(notice.UserRevokedOrFrozen{User: parsec3.UserID{9}})
		date := future()
		s.emit(event.OrganizationExpiration{Date: &date}, event.OrganizationExpiration{})
		time.Sleep(2 * time.Hour) //nolint:forbidigo // It is the clock of the bubble.
		if _, err := s.next(session); err != nil {
			t.Errorf("error %v", err)
		}
	})
}

// TestOverflow ends the stream of a client that does not read.
func TestOverflow(t *testing.T) {
	inBubble(t, func(s *streams) {
		session := s.open("")
		for version := range uint32(maxQueuedEvents) {
			s.emit(s.vlob(version + 1))
		}
		s.expectCounts(1+maxQueuedEvents, 0) // with the first message
		s.expectVersionsCount(session, maxQueuedEvents)
		s.expectCounts(0, 0)
		for version := range uint32(maxQueuedEvents + 2) {
			s.emit(s.vlob(version + 1))
		}
		s.expectCounts(0, 1)
		if _, err := s.next(session); !errors.Is(err, ErrStreamOver) {
			t.Errorf("error %v", err)
		}
		other := s.open("")
		s.emit(s.vlob(1))
		s.expectCounts(2, 1)
		other.Close()
		s.expectCounts(0, 1)
	})
}

// TestMessagesAreShared has streams tell the same message, encoded once, live and when
// they resume.
func TestMessagesAreShared(t *testing.T) {
	inBubble(t, func(s *streams) {
		first, second := s.open(""), s.open("")
		head := s.expectVersions(first)[0].ID
		s.expectVersions(second)
		s.emit(s.vlob(1))
		encodings := 0
		for name, session := range map[string]*Session{"first": first, "second": second, "resumed": s.open(text(head))} {
			messages, err := s.next(session)
			if err != nil || len(messages) == 0 {
				t.Fatalf("%s: messages %v, error %v", name, messages, err)
			}
			encoded, err := messages[len(messages)-1].Encoded(func(*Message) ([]byte, error) {
				encodings++
				return []byte{1}, nil
			})
			if len(encoded) != 1 || err != nil {
				t.Errorf("%s: encoded as %v, error %v", name, encoded, err)
			}
		}
		if encodings != 1 {
			t.Errorf("encoded %d times", encodings)
		}
	})
}

// TestListen tells of what waits already, of each message, and of the end once.
func TestListen(t *testing.T) {
	inBubble(t, func(s *streams) {
		session := s.open("")
		woken, ended := 0, 0
		expect := func(what string, wantWoken, wantEnded int) {
			t.Helper()
			if woken != wantWoken || ended != wantEnded {
				t.Errorf("%s: woken %d times and ended %d times", what, woken, ended)
			}
		}
		session.Listen(func() { woken++ }, func() { ended++ })
		expect("the first message", 1, 0)
		s.emit(s.vlob(1), s.vlob(2))
		expect("two events", 3, 0)
		s.emit(notice.Vlob{ID: notice.NewID(), Realm: parsec.RealmID{9}}, notice.UserUnfrozen{User: s.author.User})
		expect("nothing for the client", 3, 0)
		s.emit(notice.UserRevokedOrFrozen{User: s.author.User})
		expect("the end", 3, 1)
		s.emit(s.vlob(3), notice.UserRevokedOrFrozen{User: s.author.User})
		expect("after the end", 3, 1)
		session.Listen(func() { woken++ }, func() { ended++ })
		expect("late", 4, 2)
	})
}

// TestOpenSessionRefused checks again who opens a stream.
func TestOpenSessionRefused(t *testing.T) {
	past := parsec.DateTime(1)
	for name, item := range map[string]struct {
		change func(*Standing)
		want   error
	}{
		"no organization":      {func(s *Standing) { s.Organization = nil }, OrganizationNotFound},
		"another generation":   {func(s *Standing) { s.Organization.Generation = organization.Parsec2 }, WrongGeneration},
		"expired":              {func(s *Standing) { s.Organization.ExpirationDate = &past }, OrganizationExpired},
		"unknown":              {func(s *Standing) { s.User, s.Device = nil, nil }, UnknownDevice},
		"revoked":              {func(s *Standing) { s.User.RevokedOn = &past }, UserRevoked},
		"frozen":               {func(s *Standing) { s.User.Frozen = true }, UserFrozen},
		"no terms accepted":    {func(s *Standing) { s.Organization.TOS = &organization.TOS{UpdatedOn: 5} }, MustAcceptTOS},
		"older terms accepted": {func(s *Standing) { s.Organization.TOS, s.User.AcceptedTOS = &organization.TOS{UpdatedOn: 5}, &past }, MustAcceptTOS},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(s *streams) {
				item.change(&s.store.standing)
				if _, err := s.rules.OpenSession(t.Context(), &s.author, "", nil); !errors.Is(err, item.want) {
					t.Errorf("error %v, want %v", err, item.want)
				}
			})
		})
	}
}
