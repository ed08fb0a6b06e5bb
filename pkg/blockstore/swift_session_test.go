package blockstore_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"parsec-server/pkg/blockstore"
)

// provider is a Keystone, and a Swift for each region, whose containers are
// there or not.
type provider struct {
	keystone *httptest.Server

	mu sync.Mutex
	// asked is the last request of a token.
	asked string
	// containers are by region; created says where one was made.
	containers map[string]bool
	created    []string
	hosts      map[string]string
}

func startProvider(t *testing.T, regions ...string) *provider {
	t.Helper()
	p := &provider{containers: make(map[string]bool), hosts: make(map[string]string)}
	var three, two []any
	for _, region := range regions {
		storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			switch {
			case r.Header.Get("X-Auth-Token") != "token":
				w.WriteHeader(http.StatusUnauthorized)
			case r.Method == http.MethodPut:
				p.containers[region] = true
				p.created = append(p.created, region)
				w.WriteHeader(http.StatusCreated)
			case !p.containers[region]:
				w.WriteHeader(http.StatusNotFound)
			default:
				w.WriteHeader(http.StatusNoContent)
			}
		}))
		t.Cleanup(storage.Close)
		p.hosts[region] = strings.TrimPrefix(storage.URL, "http://")
		for _, kind := range []string{"admin", "internal", "public"} {
			three = append(three, map[string]string{"interface": kind, "region": region, "url": storage.URL + "/v1/account"})
		}
		two = append(two, map[string]string{"region": region, "publicURL": storage.URL + "/v1/account"})
	}
	elsewhere := map[string]any{"type": "compute", "endpoints": []any{map[string]string{"interface": "public", "region": "XYZ", "url": "http://nowhere.invalid"}}}
	p.keystone = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = r.URL.String() + " " + string(body)
		var answer any
		if strings.HasPrefix(r.URL.Path, "/v3/") {
			w.Header().Set("X-Subject-Token", "token")
			answer = map[string]any{"token": map[string]any{"catalog": []any{elsewhere, map[string]any{"type": "object-store", "endpoints": three}}}}
		} else {
			answer = map[string]any{"access": map[string]any{
				"token":          map[string]string{"id": "token"},
				"serviceCatalog": []any{elsewhere, map[string]any{"type": "object-store", "endpoints": two}},
			}}
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(answer) // The client may have left.
	}))
	t.Cleanup(p.keystone.Close)
	return p
}

func (p *provider) open(t *testing.T, path string) remoteStore {
	t.Helper()
	store, err := blockstore.NewSwift(blockstore.SwiftOptions{
		AuthURL: p.keystone.URL + path, Tenant: "tenant", Container: "blocks", User: "user", Password: "password",
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// A container is looked for, and made, in the region that was chosen, or in the
// only one; every message names the host of that region.
func TestSwiftRegions(t *testing.T) {
	for _, version := range []string{"/v2.0", "/v3"} {
		for _, test := range []struct {
			regions []string
			query   string
			want    string // The region; none is created without.
			hint    string
		}{
			{[]string{"GRA"}, "", "GRA", ""},
			{[]string{"GRA", "SBG"}, "?region=GRA", "GRA", ""},
			{[]string{"GRA", "SBG"}, "?region=SBG", "SBG", ""},
			{[]string{"SBG", "GRA"}, "", "", "choose its region by `?region=` at the end of the address, one of GRA, SBG"},
			{[]string{"SBG", "GRA"}, "?region=DE", "", `the region "DE" does not have the service, which there is in GRA, SBG`},
			{[]string{"SBG", "GRA"}, "?region=XYZ", "", `the region "XYZ" does not have the service`},
		} {
			t.Run(fmt.Sprint(version, test.regions, test.query), func(t *testing.T) {
				p := startProvider(t, test.regions...)
				store := p.open(t, version+test.query)
				ready := store.Ready(t.Context())
				name := "Swift container blocks at " + p.hosts[test.want] + " by " + strings.TrimPrefix(p.keystone.URL, "http://")
				if test.want == "" {
					for _, err := range []error{ready, store.Init(t.Context())} {
						if err == nil || !strings.Contains(err.Error(), test.hint) || strings.Contains(err.Error(), "blockstore init") {
							t.Errorf("%v, want %q", err, test.hint)
						}
					}
					if len(p.created) != 0 {
						t.Errorf("created in %v", p.created)
					}
					return
				}
				if ready == nil || !strings.HasPrefix(ready.Error(), name+": no such container, create it with `parsec backend blockstore init`") {
					t.Errorf("%v, want it to begin with %q", ready, name)
				}
				for range 2 {
					if err := store.Init(t.Context()); err != nil {
						t.Errorf("init: %v", err)
					}
				}
				if !slices.Equal(p.created, []string{test.want}) || store.String() != name {
					t.Errorf("created in %v, by %s", p.created, store)
				}
			})
		}
	}
}

// A container that is there is used in whatever region it was found.
func TestSwiftRegionThatWasNotChosen(t *testing.T) {
	p := startProvider(t, "SBG", "GRA")
	p.containers["SBG"] = true
	store := p.open(t, "/v3")
	if err := store.Init(t.Context()); err != nil || len(p.created) != 0 {
		t.Errorf("init: %v, created in %v", err, p.created)
	}
}

// What a token is asked for with.
func TestSwiftCredentials(t *testing.T) {
	p := startProvider(t, "GRA")
	p.containers["GRA"] = true
	const user, scope = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"%s"},"name":"user","password":"password"}}}`,
		`,"scope":{"project":{"name":"tenant","domain":{"name":"%s"}}}}}`
	for path, want := range map[string]string{
		"/v3":                                 fmt.Sprintf(user+scope, "Default", "Default"),
		"/v3?domain=CCP_Domain%2042":          fmt.Sprintf(user+scope, "CCP_Domain 42", "CCP_Domain 42"),
		"/v3?domain=OTC-1&project_domain=own": fmt.Sprintf(user+scope, "OTC-1", "own"),
		"/v3?project_domain=own&region=GRA":   fmt.Sprintf(user+scope, "Default", "own"),
	} {
		if err := p.open(t, path).Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if p.asked != "/v3/auth/tokens "+want {
			t.Errorf("%s: asked by %s\nwant %s", path, p.asked, want)
		}
	}
	store, err := blockstore.NewSwift(blockstore.SwiftOptions{
		AuthURL: p.keystone.URL + "/v3?application_credential=1a2b&region=GRA", Container: "blocks", Password: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	const want = `/v3/auth/tokens {"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"1a2b","secret":"secret","user":{}}}}}`
	if p.asked != want {
		t.Errorf("asked by %s\nwant %s", p.asked, want)
	}
}
