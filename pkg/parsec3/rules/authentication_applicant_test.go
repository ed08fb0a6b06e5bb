package rules_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// application is a read by bob, whose token was verified before anything was violated.
type application struct {
	vlobQuery
	token *rules.Token
	// by is who is taken for bob, as the server recognizes them.
	by *rules.Applicant
}

func newApplication(vlobs ...string) func(t *testing.T) *application {
	return func(t *testing.T) *application {
		s := &application{vlobQuery: *newVlobQuery(nil)(t)}
		s.token = s.fixture.token(bobLaptop)
		standing, err := s.Standing(t.Context(), acme, bobLaptop)
		s.ok(nil, err)
		s.ok(s.Admit(&standing, s.token, latest))
		var known bool
		if s.by, known = s.Recognize(acme, s.token, latest); !known || s.by.User != bobID {
			t.Fatalf("recognized %+v, %t", s.by, known)
		}
		s.vlobs = nil
		for _, name := range vlobs {
			s.vlobs = append(s.vlobs, vlobID(name))
		}
		return s
	}
}

func (s *application) request() *protocol.VlobReadBatchRequest {
	return &protocol.VlobReadBatchRequest{RealmID: s.asked, Vlobs: s.vlobs}
}

// run wants the answer of who is admitted first.
func (s *application) run() error {
	s.by.Organization = s.author.Organization
	reply, err := s.VlobReadBatchAtOnce(s.t.Context(), s.by, s.request())
	want, wanted := s.admittedFirst()
	if status(reply, err) != status(want, wanted) || !reflect.DeepEqual(reply, want) {
		s.t.Errorf("got %+v, %v, want %+v, %v", reply, err, want, wanted)
	}
	return err
}

func (s *application) admittedFirst() (*protocol.VlobReadBatchReply, error) {
	standing, err := s.Standing(s.t.Context(), s.by.Organization, s.by.Token.Device)
	s.ok(nil, err)
	author, err := s.Admit(&standing, s.by.Token, latest)
	if err != nil {
		return nil, err
	}
	return s.VlobReadBatch(s.t.Context(), author, s.request())
}

// TestReadAtOnceTable has the checks of admission, and then those of the command, in
// one order, whatever has changed since the token was verified.
func TestReadAtOnceTable(t *testing.T) {
	rows := []row[*application]{
		{"6", "organization unknown", func(s *application) { s.spoilAuthor(func(a *rules.Author) { a.Organization = other }) }, aborted(rules.OrganizationNotFound)},
		{"6", "another generation", func(s *application) { s.bindToParsec2() }, aborted(rules.WrongGeneration)},
		{"7", "organization expired", func(s *application) { s.expire() }, aborted(rules.OrganizationExpired)},
		{"8", "device unknown", func(s *application) { s.token.Device = deviceID("nobody@nothing") }, aborted(rules.UnknownDevice)},
		{"12", "signature", func(s *application) { s.token.Signature[0]++ }, aborted(rules.BadSignature)},
		{"9", "user revoked", func(s *application) { s.forceRevoked(bobID) }, aborted(rules.UserRevoked)},
		{"10", "user frozen", func(s *application) { s.freeze(bobID) }, aborted(rules.UserFrozen)},
		{"11", "terms not accepted", func(s *application) { s.setTOS() }, aborted(rules.MustAcceptTOS)},
		{"13", "out of the ballpark", func(s *application) { s.token.Date = s.clock.now().Add(outOfBallpark) }, aborted(rules.TokenExpired)},
	}
	data := []row[*application]{
		{"2", "unknown realm", func(s *application) { s.asked = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"3", "deleted", func(s *application) { s.delete() }, protocol.StatusRealmDeleted},
		{"4", "no role", func(s *application) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
	}
	tooMany := row[*application]{"1", "too many", func(s *application) { s.vlobs = make([]parsec.VlobID, 1001) }, protocol.StatusTooManyElements}
	apart := [][2]string{admissionApart, {"organization unknown", "organization expired"}, {"unknown realm", "deleted"}}
	t.Run("of one", func(t *testing.T) { checkRows(t, newApplication("old"), slices.Concat(rows, data), apart...) })
	t.Run("of several", func(t *testing.T) { // who are admitted by themselves
		checkRows(t, newApplication("old", "unknown"), slices.Concat(rows[7:], []row[*application]{tooMany}), apart...)
	})
}

// TestRecognize knows nobody who has not signed, or did elsewhere, or long ago.
func TestRecognize(t *testing.T) {
	f := newFixture(t)
	token := f.token(bobLaptop)
	standing, err := f.Standing(t.Context(), acme, bobLaptop)
	f.ok(nil, err)
	recognized := func(in parsec.OrganizationID, token *rules.Token) bool {
		_, known := f.Recognize(in, token, latest)
		return known
	}
	if recognized(acme, token) {
		t.Error("recognized before it was verified")
	}
	forged := *token
	forged.Signature = slices.Clone(token.Signature)
	forged.Signature[3]++
	if _, err := f.Admit(&standing, &forged, latest); err == nil || recognized(acme, &forged) {
		t.Errorf("a forged one: %v", err)
	}
	f.ok(f.Admit(&standing, token, latest))
	if !recognized(acme, token) {
		t.Error("not recognized")
	}
	if recognized(other, token) || recognized(acme, &forged) {
		t.Error("recognized elsewhere, or who has not signed")
	}
	f.clock.advance(25 * time.Second)
	if recognized(acme, token) {
		t.Error("recognized for ever")
	}
}

// TestReadAtOnceOfAnotherDevice does not take the device of a token for the one that
// has signed it.
func TestReadAtOnceOfAnotherDevice(t *testing.T) {
	for _, device := range []parsec3.DeviceID{aliceLaptop, malloryLaptop} {
		s := newApplication("old")(t)
		s.token.Device = device
		if err := s.run(); status(nil, err) != aborted(rules.BadSignature) {
			t.Errorf("got %v", err)
		}
	}
}
