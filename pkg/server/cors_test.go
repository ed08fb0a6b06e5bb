package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// Pages of a configured origin see every answer, and those of others none.
func TestCORSOfAnswers(t *testing.T) {
	f := newFixture(t, func(o *options) { o.CORSOrigins = []parsec.Origin{"https://b.example", "http://c.example:8080"} })
	for origin, allowed := range map[string]bool{
		"https://b.example": true, "http://c.example:8080": true, "https://evil.example": false, "http://b.example": false, "null": false,
	} {
		for _, target := range []string{
			"GET /", "GET /unknown", "GET /healthz", "GET /readyz", "DELETE /anonymous/CoolOrg", "GET /anonymous/CoolOrg",
			"GET /anonymous/Unknown", "GET /authenticated/CoolOrg/events", "GET /administration/organizations/CoolOrg", "GET /redirect/CoolOrg",
		} {
			method, path, _ := strings.Cut(target, " ")
			header := f.do(method, path, nil, "Origin: "+origin, acceptsStream).Header
			want, exposed := "", ""
			if allowed {
				want, exposed = origin, "Server, Api-Version, Supported-Api-Versions"
			}
			if got := header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %s: allowed origin %q, want %q", target, origin, got, want)
			}
			if got := header.Get("Access-Control-Expose-Headers"); got != exposed {
				t.Errorf("%s from %s: exposed %q, want %q", target, origin, got, exposed)
			}
			if !slices.Contains(header.Values("Vary"), "Origin") {
				t.Errorf("%s from %s: varies by %q", target, origin, header.Values("Vary"))
			}
			if header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %s: with credentials", target, origin)
			}
		}
	}
	if header := f.get("/healthz").Header; header.Get("Vary") != "" || header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without origin: %v", header)
	}
}

func TestCORSPreflight(t *testing.T) {
	f := newFixture(t, func(o *options) { o.CORSOrigins = []parsec.Origin{"https://b.example"} })
	const origin, method, headers = "Origin: https://b.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: api-version,Authorization, last-event-id"
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"good":         {[]string{origin, method, headers}, 200},
		"no header":    {[]string{origin, method}, 200},
		"PUT":          {[]string{origin, "Access-Control-Request-Method: PUT"}, 200},
		"other origin": {[]string{"Origin: https://evil.example", method, headers}, 400},
		"other method": {[]string{origin, "Access-Control-Request-Method: DELETE", headers}, 400},
		"other header": {[]string{origin, method, "Access-Control-Request-Headers: api-version, cookie"}, 400},
		"no preflight": {[]string{origin}, 405},
		"no origin":    {[]string{method}, 405},
	} {
		answer := f.do(http.MethodOptions, "/authenticated/CoolOrg", nil, test.headers...)
		if answer.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", name, answer.StatusCode, test.status)
		}
		want := map[string]string{"Access-Control-Allow-Methods": "", "Access-Control-Allow-Headers": "", "Access-Control-Max-Age": ""}
		if test.status == http.StatusOK {
			want = map[string]string{
				"Access-Control-Allow-Methods": "OPTIONS, GET, POST, PATCH, PUT",
				"Access-Control-Allow-Headers": "Accept, Accept-Language, Content-Language, Content-Type, api-version, authorization, last-event-id, user-agent",
				"Access-Control-Max-Age":       "600", "Access-Control-Allow-Origin": "https://b.example",
			}
		}
		for header, value := range want {
			if got := answer.Header.Get(header); got != value {
				t.Errorf("%s: %s is %q, want %q", name, header, got, value)
			}
		}
	}
}

func TestCORSOfAnyOrigin(t *testing.T) {
	f := newFixture(t, func(o *options) { o.CORSOrigins = []parsec.Origin{parsec.AnyOrigin} })
	for _, answer := range []*http.Response{
		f.get("/healthz", "Origin: https://any.example"),
		f.do(http.MethodOptions, "/anonymous/CoolOrg", nil, "Origin: https://any.example", "Access-Control-Request-Method: POST"),
	} {
		if got := answer.Header.Get("Access-Control-Allow-Origin"); got != "*" || answer.StatusCode != http.StatusOK {
			t.Errorf("status %d, allowed origin %q", answer.StatusCode, got)
		}
	}
}

// Without origins nobody is told anything, and preflights are requests like others.
func TestNoCORS(t *testing.T) {
	f := newFixture(t)
	answer := f.do(http.MethodOptions, "/anonymous/CoolOrg", nil, "Origin: https://b.example", "Access-Control-Request-Method: POST")
	if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Access-Control-Allow-Origin") != "" || answer.Header.Get("Vary") != "" {
		t.Errorf("status %d, %v", answer.StatusCode, answer.Header)
	}
}

// A page sees that the server is busy, and its preflights pass meanwhile.
func TestCORSWhileUnavailable(t *testing.T) {
	wing := newTinyWing(organization.Parsec2, parsec.APIVersion{Major: 3, Minor: 4})
	wing.ready = func(context.Context) error { return outage.ErrUnavailable }
	f := newFixture(t, func(o *options) {
		o.CORSOrigins = []parsec.Origin{"https://b.example"}
		o.wings = []*tinyWing{wing}
	})
	answer := f.get("/readyz", "Origin: https://b.example") // it looks at the state
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("status %d, %v", answer.StatusCode, answer.Header)
	}
	answer = f.get("/anonymous/CoolOrg", "Origin: https://b.example")
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Access-Control-Allow-Origin") != "https://b.example" {
		t.Errorf("status %d, %v", answer.StatusCode, answer.Header)
	}
	answer = f.do(http.MethodOptions, "/anonymous/CoolOrg", nil, "Origin: https://b.example", "Access-Control-Request-Method: POST")
	if answer.StatusCode != http.StatusOK {
		t.Errorf("preflight: status %d", answer.StatusCode)
	}
}
