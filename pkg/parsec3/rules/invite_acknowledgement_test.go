package rules_test

import (
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// The claimer's last word is answered at once, however patient the server is: the
// greeter may end the invitation as soon as it is said.
func TestAcknowledgement(t *testing.T) {
	f := newFixture(t, withOptions(func(o *rules.Options) { o.GreetingPatience = time.Hour }))
	f.setProfile(bobID, parsec.ProfileAdmin)
	s := &greeting{byInvitation: newByInvitation(f), greeter: bobID}
	s.author = f.bob()
	s.start(protocol.Greeter)
	s.attempt = s.start(protocol.Claimer)
	for step := range protocol.Steps - 1 {
		var greeter sync.WaitGroup
		greeter.Go(func() {
			if _, err := s.say(protocol.Greeter, step, partOf(protocol.Greeter, step)); err != nil {
				t.Errorf("step %d of the greeter: %v", step, err)
			}
		})
		_, err := s.say(protocol.Claimer, step, partOf(protocol.Claimer, step))
		s.ok(nil, err)
		greeter.Wait()
	}
	answered := make(chan error, 1)
	go func() {
		_, err := s.say(protocol.Claimer, protocol.Steps-1, []byte{})
		answered <- err
	}()
	select {
	case err := <-answered:
		if status(nil, err) != protocol.StatusNotReady {
			t.Errorf("the acknowledgement: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the acknowledgement is held back")
	}
	_, err := s.say(protocol.Greeter, protocol.Steps-1, []byte{})
	s.ok(nil, err)
	s.complete(s.invited.Token)
}
