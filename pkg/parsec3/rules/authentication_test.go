package rules_test

import (
	"crypto/ed25519"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// noDevice is the author of what the root key signs.
var noDevice parsec3.DeviceID

// token is one of a device, as of now.
func (f *fixture) token(device parsec3.DeviceID) *rules.Token {
	text := []byte("PARSEC-SIGN-ED25519." + device.String() + ".0")
	return &rules.Token{Device: device, Date: f.clock.now(), Signed: text, Signature: ed25519.Sign(signingKey(device), text)}
}

// admit has a device of Acme let in.
func (f *fixture) admit(device parsec3.DeviceID) (*rules.Author, error) {
	f.t.Helper()
	standing, err := f.Standing(f.t.Context(), acme, device)
	f.ok(nil, err)
	return f.Admit(&standing, f.token(device), latest)
}

// admission has bob let in.
type admission struct {
	command
	*rules.Token
	// toTOS is of the family tos.
	toTOS bool
}

func newAdmission(t *testing.T) *admission {
	t.Helper()
	f := newFixture(t)
	return &admission{command{f, f.bob()}, f.token(bobLaptop), false}
}

func (s *admission) run() error {
	standing, err := s.Standing(s.t.Context(), s.author.Organization, s.Device)
	s.ok(nil, err)
	inAttempt, err := s.GreeterStanding(s.t.Context(), s.author.Organization, s.Device, parsec3.GreetingAttemptID{})
	if s.ok(nil, err); !reflect.DeepEqual(inAttempt, standing) {
		s.t.Errorf("%+v is found with an attempt, want %+v", inAttempt, standing)
	}
	admit := s.Admit
	if s.toTOS {
		admit = s.AdmitToTOS
	}
	author, err := admit(&standing, s.Token, latest)
	if err == nil && *author != *s.bob() {
		s.t.Errorf("let in %+v, want %+v", author, s.bob())
	}
	return err
}

// admissionRows are those of docs/protocol/v5/commands.md §3, as improved there.
var admissionRows = []row[*admission]{
	{"6", "organization unknown", func(s *admission) { s.spoilAuthor(func(a *rules.Author) { a.Organization = other }) }, aborted(rules.OrganizationNotFound)},
	{"6", "another generation", func(s *admission) { s.bindToParsec2() }, aborted(rules.WrongGeneration)},
	{"7", "organization expired", func(s *admission) { s.expire() }, aborted(rules.OrganizationExpired)},
	{"8", "device unknown", func(s *admission) { s.Device = deviceID("nobody@nothing") }, aborted(rules.UnknownDevice)},
	{"12", "signature", func(s *admission) { s.Signature[0]++ }, aborted(rules.BadSignature)},
	{"9", "user revoked", func(s *admission) { s.revokeAuthor() }, aborted(rules.UserRevoked)},
	{"10", "user frozen", func(s *admission) { s.freeze(bobID) }, aborted(rules.UserFrozen)},
	{"11", "terms not accepted", func(s *admission) { s.setTOS() }, aborted(rules.MustAcceptTOS)},
	{"13", "out of the ballpark", func(s *admission) { s.Date = s.clock.now().Add(outOfBallpark) }, aborted(rules.TokenExpired)},
}

// What does not exist is of no generation.
var admissionApart = [2]string{"organization unknown", "another generation"}

func TestAdmitTable(t *testing.T) {
	checkRows(t, newAdmission, admissionRows, admissionApart,
		// What does not exist has not expired; who is unknown has no key.
		[2]string{"organization unknown", "organization expired"})
}

// TestAdmitToTOS does not want the terms accepted, and is the same otherwise.
func TestAdmitToTOS(t *testing.T) {
	for _, violated := range admissionRows {
		s := newAdmission(t)
		s.toTOS = true
		violated.violate(s)
		want := violated.want
		if want == aborted(rules.MustAcceptTOS) {
			want = protocol.StatusOK
		}
		if got := status(nil, s.run()); got != want {
			t.Errorf("%s: got %s, want %s", violated.name, got, want)
		}
	}
}

// TestAdmitBallpark is open at both ends.
func TestAdmitBallpark(t *testing.T) {
	s := newAdmission(t)
	now := s.clock.now()
	for date, want := range map[parsec.DateTime]protocol.Status{
		now.Add(300 * time.Second):      aborted(rules.TokenExpired),
		now.Add(300*time.Second) - 1:    protocol.StatusOK,
		now.Add(-320 * time.Second):     aborted(rules.TokenExpired),
		now.Add(-320*time.Second) + 1:   protocol.StatusOK,
		parsec.MinDateTime:              aborted(rules.TokenExpired),
		parsec.DateTime(999999999999e6): aborted(rules.TokenExpired),
	} {
		s.Date = date
		if got := status(nil, s.run()); got != want {
			t.Errorf("%s: got %s, want %s", date, got, want)
		}
	}
}

// TestAdmitBeforeBootstrap knows no organization.
func TestAdmitBeforeBootstrap(t *testing.T) {
	f := newFixture(t, withoutOrganization)
	f.createOrganization(acme)
	if got := status(f.admit(aliceLaptop)); got != aborted(rules.OrganizationNotFound) {
		t.Errorf("got %s", got)
	}
}

func TestAdmitAnonymous(t *testing.T) {
	created := func(f *fixture) { f.createOrganization(acme) }
	for name, item := range map[string]struct {
		spontaneous bool
		arrange     func(f *fixture)
		want        protocol.Status
	}{
		"unknown":                 {false, func(*fixture) {}, aborted(rules.OrganizationNotFound)},
		"unknown and spontaneous": {true, func(*fixture) {}, protocol.StatusOK},
		"not bootstrapped":        {false, created, protocol.StatusOK},
		"expired": {true, func(f *fixture) {
			created(f)
			f.expire()
		}, aborted(rules.OrganizationExpired)},
		"another generation": {true, func(f *fixture) {
			created(f)
			f.bindToParsec2()
			f.expire()
		}, aborted(rules.WrongGeneration)},
		"bootstrapped": {false, func(f *fixture) { f.populate(false) }, protocol.StatusOK},
	} {
		f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) { o.SpontaneousBootstrap = item.spontaneous }))
		item.arrange(f)
		if got := status(nil, f.AdmitAnonymous(t.Context(), acme)); got != item.want {
			t.Errorf("%s: got %s, want %s", name, got, item.want)
		}
		if name == "unknown and spontaneous" {
			if _, found, err := f.store.Organization(t.Context(), acme); found || err != nil {
				t.Errorf("it exists by that: %t, %v", found, err)
			}
		}
	}
}
