package rules_test

import (
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

// setTOS changes the terms of service as of now.
func (f *fixture) setTOS() *organization.TOS {
	f.t.Helper()
	tos := &organization.TOS{PerLocaleURLs: map[string]string{"fr_FR": "https://example.com/fr"}, UpdatedOn: f.clock.now()}
	f.changeOrganization(acme, func(o *organization.Organization) { o.TOS = tos })
	return tos
}

func (f *fixture) dropTOS() {
	f.t.Helper()
	f.changeOrganization(acme, func(o *organization.Organization) { o.TOS = nil })
}

// tosGet has bob ask.
type tosGet struct{ command }

func (s *tosGet) run() error {
	_, err := s.TOSGet(s.t.Context(), s.author, &protocol.TOSGetRequest{})
	return err
}

func TestTOSGetTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *tosGet {
		f := newFixture(t)
		f.setTOS()
		return &tosGet{command{f, f.bob()}}
	}, append(standingRows[*tosGet](),
		row[*tosGet]{"", "no terms", func(s *tosGet) { s.dropTOS() }, protocol.StatusNoTOS},
	), standingApart...)
}

// tosAccept has bob accept.
type tosAccept struct {
	command
	updatedOn parsec.DateTime
}

func newTOSAccept(t *testing.T) *tosAccept {
	t.Helper()
	f := newFixture(t)
	return &tosAccept{command{f, f.bob()}, f.setTOS().UpdatedOn}
}

func (s *tosAccept) run() error {
	_, err := s.TOSAccept(s.t.Context(), s.author, &protocol.TOSAcceptRequest{TOSUpdatedOn: s.updatedOn})
	return err
}

func TestTOSAcceptTable(t *testing.T) {
	checkRows(t, newTOSAccept, append(standingRows[*tosAccept](),
		row[*tosAccept]{"", "no terms", func(s *tosAccept) { s.dropTOS() }, protocol.StatusNoTOS},
		row[*tosAccept]{"", "earlier terms", func(s *tosAccept) { s.updatedOn-- }, protocol.StatusTOSMismatch},
		row[*tosAccept]{"", "later terms", func(s *tosAccept) { s.updatedOn++ }, protocol.StatusTOSMismatch},
	), append(standingApart, [2]string{"earlier terms", "later terms"})...)
}

// TestTOS lets in whoever has accepted the last terms, with any of its devices.
func TestTOS(t *testing.T) {
	s := newTOSAccept(t)
	reply, err := s.TOSGet(t.Context(), s.author, &protocol.TOSGetRequest{})
	s.ok(reply, err)
	if want := (&protocol.TOSGetReply{
		PerLocaleURLs: map[string]string{"fr_FR": "https://example.com/fr"}, UpdatedOn: s.updatedOn,
	}); !reflect.DeepEqual(reply, want) {
		t.Errorf("got %+v, want %+v", reply, want)
	}
	s.accepts(false, "before")
	s.ok(nil, s.run())
	s.accepts(true, "once accepted")
	s.clock.advance(time.Second)
	s.setTOS()
	s.accepts(false, "after a change")
	if got := status(nil, s.run()); got != protocol.StatusTOSMismatch {
		t.Errorf("the former terms: got %s", got)
	}
	s.dropTOS()
	s.accepts(true, "without terms")
	if got := s.events.bodies(); len(got) > 0 {
		t.Errorf("told %v", got)
	}
}

// TestTOSOfAFasterClock are accepted at once.
func TestTOSOfAFasterClock(t *testing.T) {
	s := newTOSAccept(t)
	s.updatedOn += parsec.DateTime(time.Minute.Microseconds())
	s.changeOrganization(acme, func(o *organization.Organization) { o.TOS = &organization.TOS{UpdatedOn: s.updatedOn} })
	s.ok(nil, s.run())
	s.accepts(true, "once accepted")
}

// What was accepted stands for no terms of later, although the clock of who changes
// them is behind the one by which they were accepted.
func TestTOSOfASlowerClock(t *testing.T) {
	s := newTOSAccept(t)
	s.clock.advance(time.Minute)
	s.ok(nil, s.run())
	s.changeOrganization(acme, func(o *organization.Organization) { o.TOS = &organization.TOS{UpdatedOn: s.updatedOn + 1} })
	s.accepts(false, "after a change")
}

// accepts wants the author to be let in or not.
func (s *tosAccept) accepts(want bool, when string) {
	s.t.Helper()
	_, err := s.admit(bobLaptop)
	if (err == nil) != want {
		s.t.Errorf("%s: let in with error %v, want none: %t", when, err, want)
	}
}
