package rules

import (
	"slices"
	"testing"
	"testing/synctest"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// told returns the names of the events that wait.
func (s *streams) told(session *Session) (names []string) {
	s.t.Helper()
	messages, err := s.next(session)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, message := range messages {
		if message.Event != nil {
			names = append(names, message.Event.EventName())
		}
	}
	return names
}

// A stream hears of the invitations whose claimers its user may greet, as its profile is
// at that moment, and of the attempts with its user.
func TestStreamsOfGreeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t)
		toAdministrators := notice.Invitation{ID: notice.NewID(), Administrators: true, Status: protocol.InvitationPending}
		setProfile := func(profile parsec.UserProfile) {
			s.emit(notice.UserUpdated{User: s.author.User, Profile: profile})
		}
		s.store.standing.User.Profile = parsec.ProfileStandard
		session := s.open("")
		s.told(session)
		want := func(what string, names ...string) {
			t.Helper()
			if got := s.told(session); !slices.Equal(got, names) {
				t.Errorf("%s: told %v, want %v", what, got, names)
			}
		}
		s.emit(toAdministrators)
		want("a STANDARD user")
		s.emit(notice.UserUpdated{User: parsec3.UserID{9}, Profile: parsec.ProfileAdmin})
		s.emit(toAdministrators)
		want("when another one becomes ADMIN")
		setProfile(parsec.ProfileAdmin)
		s.emit(toAdministrators)
		want("an ADMIN", "INVITATION")
		setProfile(parsec.ProfileOutsider)
		s.emit(toAdministrators)
		want("an OUTSIDER")
		s.emit(notice.Invitation{ID: notice.NewID(), Greeters: []parsec3.UserID{{8}, s.author.User}})
		want("a greeter", "INVITATION")
		s.emit(notice.Invitation{ID: notice.NewID(), Greeters: []parsec3.UserID{{8}}})
		want("nobody's greeter")
		for _, greeter := range []parsec3.UserID{s.author.User, {8}} {
			s.emit(notice.GreetingAttemptReady{ID: notice.NewID(), Greeter: greeter},
				notice.GreetingAttemptJoined{ID: notice.NewID(), Greeter: greeter},
				notice.GreetingAttemptCancelled{ID: notice.NewID(), Greeter: greeter},
				notice.GreetingAttemptChanged{}, notice.GreetingStepSaid{})
		}
		want("a greeter", "GREETING_ATTEMPT_READY", "GREETING_ATTEMPT_JOINED", "GREETING_ATTEMPT_CANCELLED")

		s.store.standing.User.Profile = parsec.ProfileAdmin
		session = s.open("")
		s.told(session)
		s.emit(toAdministrators)
		want("who opens a stream as ADMIN", "INVITATION")
		s.store.meanwhile = func() {
			s.bus.Publish([]event.Event{{Organization: s.author.Organization, Body: notice.UserUpdated{User: s.author.User, Profile: parsec.ProfileStandard}}})
			synctest.Wait()
		}
		session = s.open("")
		s.told(session)
		s.emit(toAdministrators)
		want("who is demoted while the stream opens")
	})
}
