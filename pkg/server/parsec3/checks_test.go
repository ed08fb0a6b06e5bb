package parsec3_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// fault is one check of docs/protocol/v5/transport.md §5 that a request fails.
type fault struct {
	name string
	// status is the answer.
	status int
	// spoil changes the request, or the state of the server.
	spoil func(f *fixture, r *request)
}

var (
	badVersion = fault{"version", 422, func(_ *fixture, r *request) { r.header.Set("Api-Version", "4.0") }}
	// The path ends with the organization, or has it in its middle.
	badOrganization = fault{"organization id", 404, func(_ *fixture, r *request) {
		r.path = strings.Replace(r.path, coolOrg.String(), "Cool~Org", 1)
	}}
	badContentType = fault{"content type", 415, func(_ *fixture, r *request) { r.header.Set("Content-Type", "application/json") }}
	badAccept      = fault{"accept", 406, func(_ *fixture, r *request) { r.header.Set("Accept", "text/html") }}
	badToken       = fault{"token", 401, func(_ *fixture, r *request) { r.header.Set("Authorization", "Bearer dummy") }}
	tooLong        = fault{"length", 413, func(_ *fixture, r *request) { r.tooLong(8<<20 + 1) }}
	tooLongToRead  = fault{"length", 413, func(_ *fixture, r *request) { r.tooLong(1<<20 + 64<<10 + 1) }}
	unknownOrg     = fault{"unknown organization", 404, func(f *fixture, r *request) {
		r.path = strings.Replace(r.path, coolOrg.String(), "UnknownOrg", 1)
	}}
	expired = fault{"expired", 460, func(f *fixture, _ *request) {
		f.change(coolOrg, func(o *organization.Organization) { o.ExpirationDate = new(f.clock.Now()) })
	}}
	unknownDevice = fault{"unknown device", 403, func(f *fixture, r *request) {
		device := *f.bob
		device.ID = parsec3.DeviceID{1}
		r.header.Set("Authorization", device.Token(f.clock.Now()))
	}}
	badSignature = fault{"signature", 403, func(f *fixture, r *request) {
		device := *f.bob
		device.SigningKey = f.alice.SigningKey
		r.header.Set("Authorization", device.Token(f.clock.Now()))
	}}
	revoked = fault{"revoked", 461, func(f *fixture, _ *request) {
		call(f, f.client.Authenticated(f.alice), protocol.UserRevoke, must(testclient3.RevokeUser(f.alice, f.bob.User, f.clock.Now())))
	}}
	frozen = fault{"frozen", 462, func(f *fixture, _ *request) {
		choice := organization.UserChoice{ID: f.bob.User.String()}
		must(f.Parsec3.SetFrozen(f.ctx, coolOrg, choice, true))
	}}
	tos = fault{"terms of service", 463, func(f *fixture, _ *request) {
		f.change(coolOrg, func(o *organization.Organization) {
			o.TOS = &organization.TOS{PerLocaleURLs: map[string]string{"en": "https://example.com/tos"}, UpdatedOn: f.clock.Now()}
		})
	}}
	tokenExpired = fault{"window", 498, func(f *fixture, r *request) {
		r.header.Set("Authorization", f.bob.Token(f.clock.Now().Add(-320*time.Second)))
	}}
	notMap = fault{"body", 415, func(_ *fixture, r *request) { r.body = []byte{0xc0} }}
)

// routes are what requests pass before their command runs, in order.
var routes = []struct {
	method, path string
	faults       []fault
	// status is the answer to a request without fault.
	status int
}{
	{http.MethodPost, "/authenticated/CoolOrg", []fault{
		badVersion, badOrganization, badContentType, badToken, tooLong, unknownOrg, expired, unknownDevice, badSignature,
		revoked, frozen, tos, tokenExpired, notMap,
	}, 200},
	{http.MethodPost, "/authenticated/CoolOrg/tos", []fault{
		badVersion, badOrganization, badContentType, badToken, tooLong, unknownOrg, expired, unknownDevice, badSignature,
		revoked, frozen, tokenExpired, notMap,
	}, 200},
	{http.MethodGet, "/authenticated/CoolOrg/events", []fault{
		badVersion, badOrganization, badAccept, badToken, unknownOrg, expired, unknownDevice, badSignature,
		revoked, frozen, tos, tokenExpired,
	}, 200},
	{http.MethodPost, "/anonymous/CoolOrg", []fault{
		badVersion, badOrganization, badContentType, unknownOrg, expired, tooLongToRead, notMap,
	}, 200},
	{http.MethodGet, "/anonymous/CoolOrg", []fault{
		badVersion, badOrganization, badContentType, unknownOrg, expired,
	}, 200},
	{http.MethodPost, "/anonymous_server", []fault{badVersion, badContentType, tooLongToRead, notMap}, 200},
	{http.MethodPost, "/anonymous_account", []fault{badVersion, badContentType, tooLongToRead, notMap}, 200},
	{http.MethodPost, "/invited/CoolOrg", []fault{
		badVersion, badOrganization, badContentType, badToken, unknownOrg, expired,
	}, 403},
	{http.MethodPost, "/authenticated_account", []fault{
		badVersion, badContentType, badToken, {"length", 413, func(_ *fixture, r *request) { r.tooLong(16<<20 + 1) }},
	}, 403},
}

// tooLong has a body of a length.
func (r *request) tooLong(length int) {
	r.body = make([]byte, length)
}

// requestOf returns a request that passes all the checks of a route, but for that of
// invitations and accounts, of which there are none.
func (f *fixture) requestOf(method, path string) *request {
	r := f.newRequest(method, path, nil)
	switch {
	case strings.HasPrefix(path, "/authenticated/"):
		r.header.Set("Authorization", f.bob.Token(f.clock.Now()))
		if strings.HasSuffix(path, "/tos") {
			r.body = message("tos_get", nil)
		}
	case strings.HasPrefix(path, "/invited/"):
		r.header.Set("Authorization", "Bearer "+f.token.String())
	case path == "/authenticated_account":
		proof := strings.SplitAfter(f.bob.Token(f.clock.Now()), ".")
		r.header.Set("Authorization", "Bearer PARSEC-MAC-BLAKE2B."+proof[1]+proof[2]+proof[3])
	}
	return r
}

// Each check has its answer, and of two neighbours that fail the first one has.
func TestChecksAreInOrder(t *testing.T) {
	t.Parallel()
	for _, route := range routes {
		for i := range len(route.faults) + 1 {
			faults, name := route.faults[i:], "nothing"
			if len(faults) > 0 {
				name = faults[0].name
			}
			for count := range min(len(faults), 2) + 1 {
				if count == 0 && len(faults) > 0 {
					continue // once is enough
				}
				t.Run(fmt.Sprintf("%s %s/%s/%d", route.method, route.path, name, count), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t)
					r, want := f.requestOf(route.method, route.path), route.status
					for _, wrong := range slices.Backward(faults[:count]) {
						wrong.spoil(f, r)
						want = wrong.status
					}
					response := f.open(r)
					if response.StatusCode != want {
						t.Errorf("status %d, want %d", response.StatusCode, want)
					}
					checkHeaders(t, response)
				})
			}
		}
	}
}

// checkHeaders wants what every answer has.
func checkHeaders(t *testing.T, response *http.Response) {
	t.Helper()
	wanted := map[string]string{"Server": "parsec/3", "Api-Version": "5.6", "Supported-Api-Versions": "", "Content-Type": "application/json"}
	switch response.StatusCode {
	case http.StatusOK:
		wanted["Content-Type"] = "application/msgpack"
		if strings.HasSuffix(response.Request.URL.Path, "/events") {
			wanted["Content-Type"] = "text/event-stream; charset=utf-8"
		}
	case http.StatusUnprocessableEntity:
		wanted["Api-Version"] = ""
		wanted["Supported-Api-Versions"] = "2.10;3.4;5.6"
	}
	for name, want := range wanted {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if response.StatusCode != http.StatusOK {
		var detail struct{ Detail string }
		if err := json.NewDecoder(response.Body).Decode(&detail); err != nil || detail.Detail == "" {
			t.Errorf("detail %q, %v", detail.Detail, err)
		}
	}
}

func TestVersions(t *testing.T) {
	f := newFixture(t)
	for text, valid := range map[string]bool{
		"5.0": true, "5.6": true, "5.99": true, "+5.6": true, "05.06": true, "5.4294967295": true,
		"5.4294967296": false, "5": false, "5.": false, "5.x": false, "5.6.7": false, "x5.6": false, "6.0": false, "4.0": false, "-5.0": false,
		"4294967301.0": false,
	} {
		for _, path := range []string{"/anonymous_server", "/authenticated/CoolOrg/tos"} {
			r := f.requestOf(http.MethodPost, path)
			r.header.Set("Api-Version", text)
			if got := f.send(r).status; (got == http.StatusOK) != valid || !valid && got != http.StatusUnprocessableEntity {
				t.Errorf("%s of %q: status %d", path, text, got)
			}
		}
	}
	r := f.requestOf(http.MethodPost, "/anonymous_server")
	r.header.Del("Api-Version")
	if got := f.send(r); got.status != 422 || got.header.Get("Supported-Api-Versions") != "2.10;3.4;5.6" {
		t.Errorf("without version: %d, %v", got.status, got.header)
	}
	r.header["Api-Version"] = []string{"5.6", "4.0"}
	if got := f.send(r).status; got != http.StatusOK {
		t.Errorf("the first of two versions does not count: %d", got)
	}
}

func TestMediaTypes(t *testing.T) {
	f := newFixture(t)
	for text, status := range map[string]int{
		"application/msgpack": 200, "Application/MsgPack; charset=x": 200, "application/msgpack2": 415, "": 415,
		"application/x-www-form-urlencoded": 415,
	} {
		for _, path := range []string{"/anonymous_server", "/anonymous/CoolOrg", "/authenticated/CoolOrg"} {
			r := f.requestOf(http.MethodPost, path)
			r.header.Set("Content-Type", text)
			if got := f.send(r).status; got != status {
				t.Errorf("%s of %q: status %d, want %d", path, text, got, status)
			}
		}
	}
	for text, status := range map[string]int{
		"text/event-stream": 200, "text/html, text/event-stream;q=0.5": 200, "*/*": 200, "text/*": 200,
		"text/html": 406, "": 406, "text/event-stream;q=0": 406,
	} {
		r := f.requestOf(http.MethodGet, "/authenticated/CoolOrg/events")
		r.header.Set("Accept", text)
		if got := f.open(r).StatusCode; got != status {
			t.Errorf("accept %q: status %d, want %d", text, got, status)
		}
	}
}

// The other methods of a route are named.
func TestMethods(t *testing.T) {
	f := newFixture(t)
	for path, allowed := range map[string]string{
		"/anonymous/CoolOrg": "POST, GET", "/authenticated/CoolOrg": "POST", "/authenticated/CoolOrg/tos": "POST",
		"/authenticated/CoolOrg/events": "GET", "/invited/CoolOrg": "POST", "/anonymous_server": "POST",
		"/anonymous_account": "POST", "/authenticated_account": "POST",
	} {
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			got := f.send(f.newRequest(method, path, nil))
			if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != allowed || got.header.Get("Server") != "parsec/3" {
				t.Errorf("%s %s: %d, %v", method, path, got.status, got.header)
			}
		}
	}
}

// An organization that is not bootstrapped exists for who does not know it, and for
// nobody else.
func TestEmptyOrganization(t *testing.T) {
	f := newFixture(t)
	for path, status := range map[string]int{
		"/anonymous/EmptyOrg": 200, "/authenticated/EmptyOrg": 404, "/authenticated/EmptyOrg/tos": 404, "/invited/EmptyOrg": 404,
	} {
		if got := f.send(f.requestOf(http.MethodPost, path)).status; got != status {
			t.Errorf("%s: status %d, want %d", path, got, status)
		}
	}
	for path, status := range map[string]int{"/anonymous/EmptyOrg": 200, "/authenticated/EmptyOrg/events": 404} {
		got := f.send(f.requestOf(http.MethodGet, path))
		if got.status != status || status == 200 && len(got.body) > 0 {
			t.Errorf("GET %s: status %d, want %d, %d bytes", path, got.status, status, len(got.body))
		}
	}
}

// Only a bootstrap makes an organization that nobody has created.
func TestSpontaneousOrganization(t *testing.T) {
	f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Parsec3.SpontaneousBootstrap = true })
	newOrg := must(parsec.ParseOrganizationID("NewOrg"))
	for _, r := range []*request{
		f.requestOf(http.MethodPost, "/anonymous/NewOrg"), f.requestOf(http.MethodGet, "/anonymous/NewOrg"),
		f.requestOf(http.MethodPost, "/authenticated/NewOrg"),
	} {
		if got := f.send(r).status; got != http.StatusNotFound {
			t.Errorf("%s %s: status %d", r.method, r.path, got)
		}
	}
	r := f.requestOf(http.MethodPost, "/anonymous/NewOrg")
	notMap.spoil(f, r)
	if got := f.send(r).status; got != http.StatusUnsupportedMediaType {
		t.Errorf("no command: status %d", got)
	}
	if _, found, err := f.Store3.Organization(f.ctx, newOrg); found || err != nil {
		t.Errorf("the organization exists: %t, %v", found, err)
	}
	_, bootstrap := must2(clientparsec3.NewOrganization(clientparsec3.Founding{Organization: newOrg}, person("carol"), f.clock.Now()))
	call(f, f.client.Anonymous(newOrg), protocol.OrganizationBootstrap, bootstrap)
	config := call(f, f.client.Server(), protocol.ServerConfig, &protocol.ServerConfigRequest{})
	if config.OrganizationBootstrap != protocol.BootstrapSpontaneous {
		t.Errorf("the server announces %v", config)
	}
}

// Clients are told what the operator advises, and an empty list for nothing.
func TestDeviceFileProtection(t *testing.T) {
	for _, advice := range [][]string{nil, {"PASSWORD+TOTP", "PKI"}} {
		f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Parsec3.DeviceFileProtection = advice })
		config := call(f, f.client.Server(), protocol.ServerConfig, &protocol.ServerConfigRequest{})
		if got := config.AdvisoryDeviceFileProtection; got == nil || !slices.Equal(got, advice) {
			t.Errorf("the server advises %#v, want %v", got, advice)
		}
	}
}

// A command may find that its author is kept out since the checks.
func TestAbortsOfCommands(t *testing.T) {
	for abort, status := range map[rules.Abort]int{
		rules.OrganizationNotFound: 404, rules.OrganizationExpired: 460, rules.UnknownDevice: 403, rules.UserRevoked: 461,
	} {
		f := newFixture(t, func(o *testkit.GenerationsOptions) {
			o.WrapStore3 = func(store rules.Store) rules.Store { return &abortingStore{store, abort} }
		})
		r := f.requestOf(http.MethodPost, "/authenticated/CoolOrg")
		r.body = message("organization_info", nil)
		response := f.open(r)
		if response.StatusCode != status {
			t.Errorf("%v: status %d", abort, response.StatusCode)
		}
		checkHeaders(t, response)
	}
}

// abortingStore finds the author kept out once it has been let in.
type abortingStore struct {
	rules.Store
	abort rules.Abort
}

func (s *abortingStore) Usage(context.Context, parsec.OrganizationID, parsec3.DeviceID) (rules.Standing, rules.Usage, error) {
	return rules.Standing{}, rules.Usage{}, s.abort
}
