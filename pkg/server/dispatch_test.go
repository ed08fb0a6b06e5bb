package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// twoWings are those of two generations, the newer one first.
func twoWings(options *options) {
	options.wings = []*tinyWing{
		newTinyWing(organization.Parsec3, parsec.APIVersion{Major: 5, Minor: 6}),
		newTinyWing(organization.Parsec2, parsec.APIVersion{Major: 2, Minor: 10}, parsec.APIVersion{Major: 3, Minor: 4}),
	}
}

// TestApiVersionChoosesTheWing has two wings share paths
// (docs/protocol/v5/overview.md §4).
func TestApiVersionChoosesTheWing(t *testing.T) {
	for name, order := range map[string]func(*options){
		"newer first": twoWings,
		"older first": func(options *options) {
			twoWings(options)
			slices.Reverse(options.wings)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newEmptyFixture(t, order)
			f.organize(emptyOrg, 0)
			for _, item := range []struct {
				headers    []string
				generation string
				refused    bool
			}{
				{nil, "2", false},
				{[]string{"Api-Version: 2.0"}, "2", false},
				{[]string{"Api-Version: 2.11"}, "2", false},
				{[]string{"Api-Version: 3.4"}, "2", false},
				{[]string{"Api-Version: 5.0"}, "3", false},
				{[]string{"Api-Version: 5.6"}, "3", false},
				{[]string{"Api-Version: 5.99"}, "3", false},
				{[]string{"Api-Version: 3.4", "Api-Version: 5.0"}, "2", false},
				{[]string{"Api-Version: 5.0", "Api-Version: 3.4"}, "3", false},
				{[]string{"Api-Version: "}, "2", true},
				{[]string{"Api-Version: dummy"}, "2", true},
				{[]string{"Api-Version: -5.0"}, "2", true},
				{[]string{"Api-Version: 0.5"}, "2", true},
				{[]string{"Api-Version: 1.3"}, "2", true},
				{[]string{"Api-Version: 3"}, "2", true},
				{[]string{"Api-Version: 99999999999999999999.0"}, "2", true},
				{[]string{"Api-Version: 4.0"}, "3", true},
				{[]string{"Api-Version: 5"}, "3", true},
				{[]string{"Api-Version: +5.0"}, "3", true},
				{[]string{"Api-Version: 6.0"}, "3", true},
				{[]string{"Api-Version: 4294967295.0"}, "3", true},
			} {
				for _, route := range []struct{ method, target string }{
					{http.MethodPost, "/anonymous/EmptyOrg"},
					{http.MethodGet, "/anonymous/EmptyOrg"},
					{http.MethodPost, "/invited/EmptyOrg"},
					{http.MethodPost, "/authenticated/EmptyOrg"},
					{http.MethodGet, "/authenticated/EmptyOrg/events"},
				} {
					response := f.do(route.method, route.target, nil, append(item.headers, "User: bob", "Accept: text/event-stream")...)
					_ = response.Body.Close()
					status, supported := http.StatusOK, ""
					if item.refused {
						status, supported = http.StatusUnprocessableEntity, "2.10;3.4;5.6"
					}
					if response.Header.Get("Generation") != item.generation || response.StatusCode != status ||
						response.Header.Get("Supported-Api-Versions") != supported {
						t.Errorf("%s %s %q: HTTP %d %v, want %d of generation %s", route.method, route.target, item.headers,
							response.StatusCode, response.Header, status, item.generation)
					}
				}
			}
		})
	}
}

// What only one wing has is its own, whatever the version: it says itself what
// it does not serve.
func TestRouteOfOneWing(t *testing.T) {
	f := newEmptyFixture(t, twoWings)
	for _, item := range []struct {
		target, version, generation string
		status                      int
	}{
		{"/generation2", "3.4", "2", http.StatusOK},
		{"/generation2", "5.6", "2", http.StatusUnprocessableEntity},
		{"/generation3", "5.6", "3", http.StatusOK},
		{"/generation3", "3.4", "3", http.StatusUnprocessableEntity},
	} {
		response := f.get(item.target, "Api-Version: "+item.version)
		if response.StatusCode != item.status || response.Header.Get("Generation") != item.generation {
			t.Errorf("%s for %s: HTTP %d of generation %s", item.target, item.version, response.StatusCode, response.Header.Get("Generation"))
		}
	}
	if response := f.do(http.MethodPut, "/anonymous/EmptyOrg", nil); response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST, GET" {
		t.Errorf("PUT: HTTP %d, Allow %s", response.StatusCode, response.Header.Get("Allow"))
	}
}

// A client of another generation is told which versions the organization needs.
func TestVersionsOfAGeneration(t *testing.T) {
	f := newEmptyFixture(t, twoWings)
	f.organize(coolOrg, organization.Parsec2)
	f.organize(otherOrg, organization.Parsec3)
	for _, item := range []struct{ target, version, supported string }{
		{"/anonymous/CoolOrg", "3.4", ""},
		{"/anonymous/CoolOrg", "5.6", "2.10;3.4"},
		{"/anonymous/OtherOrg", "5.6", ""},
		{"/anonymous/OtherOrg", "2.10", "5.6"},
	} {
		response := f.do(http.MethodPost, item.target, nil, "Api-Version: "+item.version)
		refused := response.StatusCode == http.StatusUnprocessableEntity
		if response.Header.Get("Supported-Api-Versions") != item.supported || refused != (item.supported != "") {
			t.Errorf("%s for %s: HTTP %d, %s", item.target, item.version, response.StatusCode, response.Header.Get("Supported-Api-Versions"))
		}
	}
}

// TestAdministrationAsksTheWingOfTheGeneration has both generations, and an
// organization of none, side by side.
func TestAdministrationAsksTheWingOfTheGeneration(t *testing.T) {
	f := newEmptyFixture(t, twoWings)
	f.organize(coolOrg, organization.Parsec2)
	f.organize(otherOrg, organization.Parsec3)
	f.organize(emptyOrg, 0)
	for i, name := range []string{"new", "old"} { // in the order of the wings
		for _, id := range []parsec.OrganizationID{coolOrg, otherOrg, emptyOrg} { // it is asked for its own only
			f.wings[i].people[id] = []person{f.person(name, parsec.ProfileAdmin)}
		}
	}
	user := func(name string, frozen string) string {
		return `{"user_id":"` + name + `","user_email":"` + name + `@example.com","user_name":"` + name + `","frozen":` + frozen + `}`
	}
	f.play([]administrationStep{
		{"GET", "organizations/CoolOrg/users", "", 200, `{"users":[` + user("old", "false") + `]}`},
		{"GET", "organizations/OtherOrg/users", "", 200, `{"users":[` + user("new", "false") + `]}`},
		{"GET", "organizations/EmptyOrg/users", "", 404, notFound},
		{"POST", "organizations/CoolOrg/users/freeze", `{"frozen": true, "user_id": "new"}`, 404, userNotFound},
		{"POST", "organizations/EmptyOrg/users/freeze", `{"frozen": true, "user_id": "old"}`, 404, notFound},
		{"POST", "organizations/CoolOrg/users/freeze", `{"frozen": true, "user_id": "old"}`, 200, user("old", "true")},
	})
	f.playJSON([]administrationStep{
		{"POST", "organizations/OtherOrg/users/freeze", `{"frozen": true, "user_email": "old@example.com"}`, 404, `{"detail":"User not found"}`},
		{"POST", "organizations/OtherOrg/users/freeze", `{"frozen": true, "user_email": "new@example.com"}`, 200, user("new", "true")},
	})
	f.wings[1].people[coolOrg] = append(f.wings[1].people[coolOrg], f.person("second", parsec.ProfileStandard))
	const zeros = ",0,0,0,0,0\r\n"
	f.play([]administrationStep{{"GET", "stats?format=csv", "", 200,
		"organization_id,data_size,metadata_size,realms,active_users,admin_users_active,admin_users_revoked," +
			"standard_users_active,standard_users_revoked,outsider_users_active,outsider_users_revoked\r\n" +
			"CoolOrg,0,0,0,2,1,0,1,0,0,0\r\nEmptyOrg,0,0,0,0,0" + zeros + "OtherOrg,0,0,0,1,1" + zeros}})
}

// TestReadinessOfSeveralWings wants all of them, and that all can read at least.
func TestReadinessOfSeveralWings(t *testing.T) {
	broken := errors.New("broken")
	for _, item := range []struct {
		first, second error
		readyz        string
		serving       bool
	}{
		{nil, nil, "ok\n", true},
		{outage.ErrNoRoom, nil, "the disk of the database is full\n", true},
		{nil, outage.ErrNoRoom, "the disk of the database is full\n", true},
		{outage.ErrNoRoom, outage.ErrNoRoom, "the disk of the database is full\n", true},
		{broken, nil, "broken\n", false},
		{nil, broken, "broken\n", false},
		{outage.ErrNoRoom, broken, "broken\n", false},
		{broken, outage.ErrNoRoom, "broken\n", false},
	} {
		f := newEmptyFixture(t, twoWings, func(options *options) {
			options.wings[0].ready = func(context.Context) error { return item.first }
			options.wings[1].ready = func(context.Context) error { return item.second }
		})
		response := f.get("/readyz")
		body, err := io.ReadAll(response.Body)
		f.ok(err)
		if ready := item.first == nil && item.second == nil; string(body) != item.readyz || (response.StatusCode == http.StatusOK) != ready {
			t.Errorf("%v, %v: HTTP %d %q", item.first, item.second, response.StatusCode, body)
		}
		for _, target := range []string{"/generation2", "/generation3"} {
			version := map[string]string{"/generation2": "3.4", "/generation3": "5.6"}[target]
			if got := f.get(target, "Api-Version: "+version).StatusCode; (got == http.StatusOK) != item.serving {
				t.Errorf("%v, %v: %s: HTTP %d", item.first, item.second, target, got)
			}
		}
	}
}

// TestSeveralWingsEnd drains each wing, waits for the work of each, and cuts
// each when the grace is over.
func TestSeveralWingsEnd(t *testing.T) {
	for _, late := range []bool{false, true} {
		f := newEmptyFixture(t, twoWings)
		f.organize(emptyOrg, 0)
		finish := make(chan struct{})
		var streams []*http.Response
		for _, wing := range f.wings {
			if !f.Server.Start(func() {
				<-wing.drained
				if late {
					<-wing.cut
				}
				<-finish
			}) {
				t.Fatal("the work does not begin")
			}
			streams = append(streams, f.get("/authenticated/EmptyOrg/events", "Api-Version: "+wing.versions[0].String(), "Accept: text/event-stream"))
		}
		grace, endOfGrace := context.WithCancel(f.ctx)
		defer endOfGrace()
		over := make(chan struct{})
		go func() {
			defer close(over)
			f.Server.Shutdown(grace)
		}()
		for i, wing := range f.wings {
			f.await(wing.drained)
			if text, err := io.ReadAll(streams[i].Body); err != nil || !strings.HasPrefix(string(text), ":keepalive") {
				t.Errorf("the stream of generation %d ends with %q, %v", wing.generation, text, err)
			}
		}
		if late {
			endOfGrace()
			for _, wing := range f.wings {
				f.await(wing.cut)
			}
		}
		select {
		case <-over:
			t.Error("the end waits for no work")
		default:
		}
		close(finish)
		f.await(over)
		for _, wing := range f.wings {
			select {
			case <-wing.cut:
				if !late {
					t.Errorf("generation %d is cut before its time", wing.generation)
				}
			default:
			}
		}
	}
}
