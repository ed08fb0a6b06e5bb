package server_test

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"testing"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
)

// TestAdministrationByTheClient calls each route with the client's method.
func TestAdministrationByTheClient(t *testing.T) {
	f := newFixture(t)
	dialled := client.New(f.Address, client.Options{Now: f.clock.Now})
	defer dialled.Close()
	administration := dialled.Administration(administrationToken)
	limit, period := uint64(3), uint64(60)
	token := f.mustText(administration.Create(f.ctx, emptyOrg, client.OrganizationSettings{
		ActiveUsersLimit: &client.UsersLimit{Users: &limit}, MinimumArchivingPeriod: &period,
	}))
	if len(token) != 32 {
		t.Errorf("token %q", token)
	}
	f.ok(administration.Update(f.ctx, emptyOrg, client.OrganizationSettings{
		IsExpired: new(true), UserProfileOutsiderAllowed: new(false),
	}))
	want := &client.OrganizationState{IsExpired: true, ActiveUsersLimit: &limit, MinimumArchivingPeriod: period}
	if got, err := administration.Organization(f.ctx, emptyOrg); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("organization %+v (%v), want %+v", got, err, want)
	}
	f.ok(administration.Update(f.ctx, emptyOrg, client.OrganizationSettings{ActiveUsersLimit: &client.UsersLimit{}}))
	if got, err := administration.Organization(f.ctx, emptyOrg); err != nil || got.ActiveUsersLimit != nil {
		t.Errorf("limit of %+v (%v)", got, err)
	}
	statistics, err := administration.Statistics(f.ctx, coolOrg)
	if err != nil || statistics.Users != 3 || len(statistics.Profiles) != 3 || statistics.Profiles[0].Profile != parsec.ProfileAdmin || statistics.Profiles[0].Active != 1 {
		t.Errorf("statistics %+v (%v)", statistics, err)
	}
	bob := client.HumanUser{ID: "bob", Email: "bob@example.com", Name: "bob", Frozen: true}
	for _, choice := range []client.UserChoice{{ID: "bob"}, {Email: "bob@example.com"}} {
		if got, err := administration.Freeze(f.ctx, coolOrg, choice, true); err != nil || *got != bob {
			t.Errorf("frozen %+v (%v)", got, err)
		}
	}
	if got, err := administration.Users(f.ctx, coolOrg); err != nil || len(got) != 3 || got[1] != bob {
		t.Errorf("users %+v (%v)", got, err)
	}
	var written bytes.Buffer
	f.ok(administration.ServerStatistics(f.ctx, "csv", new(reference), &written))
	if !bytes.HasPrefix(written.Bytes(), []byte("organization_id,")) {
		t.Errorf("statistics %s", written.String())
	}
	_, err = administration.Organization(f.ctx, must(parsec.ParseOrganizationID("é-unknown")))
	wantRefusal(t, err, http.StatusNotFound, "not_found")
	_, err = dialled.Administration("wrong").Organization(f.ctx, coolOrg)
	wantRefusal(t, err, http.StatusForbidden, "not_allowed")
	wantRefusal(t, administration.ServerStatistics(f.ctx, "xml", nil, &written), http.StatusUnprocessableEntity,
		"bad_data: Invalid `format` query argument (expected `csv` or `json`)")
}

// TestAdministrationOfParsec3ByTheClient has organizations of Parsec 3 look as the others
// to the client.
func TestAdministrationOfParsec3ByTheClient(t *testing.T) {
	f := newFormsFixture(t)
	dialled := client.New(f.Address, client.Options{Now: f.clock.Now})
	defer dialled.Close()
	administration := dialled.Administration(administrationToken)
	period := uint64(60)
	f.ok(administration.Update(f.ctx, coolOrg, client.OrganizationSettings{MinimumArchivingPeriod: &period}))
	want := &client.OrganizationState{IsBootstrapped: true, UserProfileOutsiderAllowed: true, MinimumArchivingPeriod: period}
	if got, err := administration.Organization(f.ctx, coolOrg); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("organization %+v (%v), want %+v", got, err, want)
	}
	profiles := client.Profiles{{Profile: parsec.ProfileAdmin, Active: 1}, {Profile: parsec.ProfileStandard, Revoked: 1}, {Profile: parsec.ProfileOutsider}}
	for _, id := range []parsec.OrganizationID{coolOrg, otherOrg} {
		if got, err := administration.Statistics(f.ctx, id); err != nil || !reflect.DeepEqual(got.Profiles, profiles) {
			t.Errorf("statistics %+v (%v), want %+v", got, err, profiles)
		}
	}
	_, err := administration.Freeze(f.ctx, coolOrg, client.UserChoice{ID: bobID}, true)
	wantRefusal(t, err, http.StatusNotFound, "User has been revoked")
}

func (f *fixture) mustText(text string, err error) string {
	f.t.Helper()
	f.ok(err)
	return text
}

func wantRefusal(t *testing.T, err error, status int, text string) {
	t.Helper()
	refusal, ok := errors.AsType[*client.AdministrationError](err)
	if !ok || refusal.Status != status || refusal.Error() != text {
		t.Errorf("%v, want HTTP %d %s", err, status, text)
	}
}
