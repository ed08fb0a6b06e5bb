package rules_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
)

// somebody administrates.
var somebody = organization.Administrator{Address: netip.MustParseAddr("192.0.2.1")}

func person(user parsec3.UserID, frozen bool) organization.User {
	return organization.User{ID: user.String(), HumanHandle: human(user), Frozen: frozen}
}

// TestAdministrationUsers lists who is not revoked, oldest first.
func TestAdministrationUsers(t *testing.T) {
	f := newFixture(t)
	f.createUser(f.alice(), carolLaptop, parsec.ProfileStandard)
	f.freeze(malloryID)
	f.revoke(bobID)
	got, err := f.administration.Users(t.Context(), acme)
	f.ok(nil, err)
	want := []organization.User{person(aliceID, false), person(malloryID, true), person(userID("carol"), false)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestFreeze keeps a user out until it is let in again; both are told each time.
func TestFreeze(t *testing.T) {
	email := human(bobID).Email()
	hyphenated := parsec.UUID(bobID).String()
	for name, choice := range map[string]organization.UserChoice{
		"id": {ID: bobID.String()}, "hyphenated id": {ID: strings.ToUpper(hyphenated)}, "e-mail": {Email: &email},
	} {
		f := newFixture(t)
		f.expire() // it works all the same
		for _, frozen := range []bool{true, true, false, false} {
			user, err := f.administration.FreezeUser(t.Context(), somebody, acme, choice, frozen)
			f.ok(nil, err)
			if want := person(bobID, frozen); user != want {
				t.Errorf("%s: got %v, want %v", name, user, want)
			}
			want := []event.Body{notice.UserUnfrozen{User: bobID}}
			if frozen {
				want = []event.Body{notice.UserRevokedOrFrozen{User: bobID}}
			}
			if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: told %v, want %v", name, got, want)
			}
			standing, err := f.Standing(t.Context(), acme, bobLaptop)
			f.ok(nil, err)
			if standing.User.Frozen != frozen {
				t.Errorf("%s: frozen is %t", name, standing.User.Frozen)
			}
		}
	}
}

// TestFreezeRefused tells apart who is unknown and who is revoked; by e-mail only
// who is not revoked is found (docs/protocol/v5/administration.md §1.4).
func TestFreezeRefused(t *testing.T) {
	f := newFixture(t)
	f.revoke(bobID)
	f.events.take()
	bob, nobody, upper := human(bobID).Email(), "nobody@example.com", strings.ToUpper(human(aliceID).Email())
	for name, item := range map[string]struct {
		choice organization.UserChoice
		want   error
	}{
		"unknown id":      {organization.UserChoice{ID: userID("nobody").String()}, organization.ErrUserNotFound},
		"no id":           {organization.UserChoice{ID: "bob"}, organization.ErrUserNotFound},
		"empty id":        {organization.UserChoice{}, organization.ErrUserNotFound},
		"revoked":         {organization.UserChoice{ID: bobID.String()}, organization.ErrUserRevoked},
		"unknown e-mail":  {organization.UserChoice{Email: &nobody}, organization.ErrUserNotFound},
		"e-mail in caps":  {organization.UserChoice{Email: &upper}, organization.ErrUserNotFound},
		"revoked, e-mail": {organization.UserChoice{Email: &bob}, organization.ErrUserNotFound},
	} {
		if _, err := f.administration.FreezeUser(t.Context(), somebody, acme, item.choice, true); !errors.Is(err, item.want) {
			t.Errorf("%s: got %v, want %v", name, err, item.want)
		}
	}
	if got := f.events.bodies(); len(got) > 0 {
		t.Errorf("told %v", got)
	}
}

// TestAdministrationStatistics counts users by profile, also at a date.
func TestAdministrationStatistics(t *testing.T) {
	f := newFixture(t)
	before := f.clock.now()
	f.setProfile(bobID, parsec.ProfileAdmin)
	f.revoke(malloryID)
	for name, item := range map[string]struct {
		at              *parsec.DateTime
		active, revoked map[parsec.UserProfile]uint64
	}{
		"now": {nil, map[parsec.UserProfile]uint64{parsec.ProfileAdmin: 2}, map[parsec.UserProfile]uint64{parsec.ProfileOutsider: 1}},
		"before": {
			new(before - 1), map[parsec.UserProfile]uint64{parsec.ProfileAdmin: 1, parsec.ProfileStandard: 1, parsec.ProfileOutsider: 1},
			map[parsec.UserProfile]uint64{},
		},
	} {
		got, err := f.StatisticsOf(t.Context(), []parsec.OrganizationID{acme}, item.at)
		f.ok(nil, err)
		for _, profile := range parsec.UserProfiles {
			if got[0].Active[profile] != item.active[profile] || got[0].Revoked[profile] != item.revoked[profile] {
				t.Errorf("%s: %s: got %d active and %d revoked", name, profile, got[0].Active[profile], got[0].Revoked[profile])
			}
		}
	}
}
