package parsec_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
)

func TestRedirectTarget(t *testing.T) {
	for _, item := range loadURLs(t).RedirectRoute {
		if item.ServerAddress == nil {
			continue // Answered by the route before it has an address to ask.
		}
		t.Run(*item.ServerAddress+" "+item.Target, func(t *testing.T) {
			server, err := parsec.ParseServerAddress(*item.ServerAddress)
			if err != nil {
				t.Fatal(err)
			}
			request, err := url.ParseRequestURI(item.Target)
			if err != nil {
				t.Fatal(err)
			}
			redirection, ok := server.RedirectTarget(parsec.Parsec2Scheme, request.Path, request.RawQuery)
			if want := item.Status == http.StatusFound; ok != want {
				t.Fatalf("redirects = %t, want %t", ok, want)
			}
			if !ok {
				return
			}
			want := *item.Location
			// The two vectors with a space in the path show the "+" of the
			// official server, for which %20 is the improvement wanted.
			if strings.Contains(item.Target, "%20") {
				want = strings.Replace(want, "/%E5%BA%B7+x?", "/%E5%BA%B7%20x?", 1)
			}
			if redirection.Target != want || redirection.Scheme != parsec.Parsec2Scheme {
				t.Errorf("%+v, want %s", redirection, want)
			}
		})
	}
}

func TestRedirectTargetEscapes(t *testing.T) {
	server, err := parsec.ParseServerAddress("parsec://foo")
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range []struct{ path, query, want string }{
		{"/redirect/a+b", "", "parsec://foo/a%2Bb"},
		{"/redirect/a?b#c&d=e:f@g", "", "parsec://foo/a%3Fb%23c%26d%3De%3Af%40g"},
		{"/redirect/a\r\nb\xFF", "", "parsec://foo/a%0D%0Ab%EF%BF%BD"},
		{"/redirect/a%2Fb", "", "parsec://foo/a%252Fb"},
		{"/redirect/a/", "x", "parsec://foo/a/?x="},
		{"/redirect/a", "b=1&c=2&b=3&&c=2", "parsec://foo/a?b=1&b=3&c=2&c=2"},
		{"/redirect/a", "b=+%20%2B;%zz%4&=", "parsec://foo/a?b=++%2B%3B%25zz%254&="},
		{"/redirect/a", "b=%0D%0A%FF", "parsec://foo/a?b=%0D%0A%EF%BF%BD"},
		{"/redirect/a", "no%5Fssl=true&NO_SSL=true", "parsec://foo/a?NO_SSL=true"},
		{"/redirection/a", "", ""},
		{"/", "", ""},
	} {
		if to, ok := server.RedirectTarget(parsec.Parsec2Scheme, item.path, item.query); to.Target != item.want || ok != (item.want != "") {
			t.Errorf("%q %q leads to %+v (%t), want %q", item.path, item.query, to, ok, item.want)
		}
	}
}

func FuzzRedirectTarget(f *testing.F) {
	for _, item := range loadURLs(f).RedirectRoute {
		path, query, _ := strings.Cut(item.Target, "?")
		f.Add(path, query)
	}
	server, err := parsec.ParseServerAddress("parsec://foo:1?no_ssl=true")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		to, ok := server.RedirectTarget(parsec.Parsec2Scheme, path, query)
		if !ok {
			return
		}
		location := to.Target
		if strings.ContainsFunc(location+to.Web, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
			t.Errorf("%+v does not fit in a header", to)
		}
		target, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		if noSSL := target.Query()["no_ssl"]; target.Host != "foo:1" || len(noSSL) != 1 || noSSL[0] != "true" {
			t.Errorf("%q leads to another server", location)
		}
		// What the client reads is a fixed point of the route.
		if again, ok := server.RedirectTarget(parsec.Parsec2Scheme, "/redirect"+target.Path, target.RawQuery); !ok || again != to {
			t.Errorf("%+v leads to %+v the second time", to, again)
		}
		// What is sent to a computer leads there, too.
		web, err := url.Parse(to.Web)
		if err != nil || web.Host != "foo:1" || web.Scheme != "http" {
			t.Fatalf("%q leads elsewhere: %v", to.Web, err)
		}
		if again, ok := server.RedirectTarget(parsec.Parsec2Scheme, web.Path, web.RawQuery); !ok || again != to {
			t.Errorf("%q leads to %+v", to.Web, again)
		}
	})
}

// docs/protocol/v5/transport.md §7.
func TestRedirectTargetOfGenerations(t *testing.T) {
	for _, item := range []struct {
		server, path, query string
		otherwise           parsec.Scheme
		want                string
	}{
		{"parsec3://parsec.invalid?no_ssl=true", "/redirect/foo/bar", "a=1&b=2", parsec.Parsec3Scheme, "parsec3://parsec.invalid/foo/bar?a=1&b=2&no_ssl=true"},
		{"parsec3://parsec.invalid?no_ssl=true", "/redirect/spam", "no_ssl=false&a=1&b=2", parsec.Parsec3Scheme, "parsec3://parsec.invalid/spam?a=1&b=2&no_ssl=true"},
		{"parsec3://parsec.invalid", "/redirect/spam", "a=1&b=2&no_ssl=true", parsec.Parsec3Scheme, "parsec3://parsec.invalid/spam?a=1&b=2"},
		{"parsec3://parsec.invalid", "/redirect/spam", "b", parsec.Parsec3Scheme, "parsec3://parsec.invalid/spam?b="},
		{"parsec3://parsec.invalid", "/redirect/a b", "", parsec.Parsec3Scheme, "parsec3://parsec.invalid/a%20b"},
		{"parsec3://parsec.invalid?no_ssl=true", "/redirect/", "", parsec.Parsec3Scheme, "parsec3://parsec.invalid?no_ssl=true"},
		{"parsec3://parsec.invalid", "/redirect/", "", parsec.Parsec2Scheme, ""},
		{"parsec3://parsec.invalid", "/redirect/MyOrg", "p=xBA", parsec.Parsec2Scheme, "parsec3://parsec.invalid/MyOrg?p=xBA"},
		{"parsec3://parsec.invalid", "/redirect/MyOrg", "a=claim_user&p=xBA", parsec.Parsec2Scheme, "parsec3://parsec.invalid/MyOrg?a=claim_user&p=xBA"},
		{"parsec3://parsec.invalid", "/redirect/MyOrg", "a=async_enrollment", parsec.Parsec2Scheme, "parsec3://parsec.invalid/MyOrg?a=async_enrollment"},
		{"parsec3://parsec.invalid", "/redirect/MyOrg", "a=1", parsec.Parsec2Scheme, "parsec://parsec.invalid/MyOrg?a=1"},
		{"parsec3://parsec.invalid", "/redirect/MyOrg", "action=claim_user&token=1", parsec.Parsec3Scheme, "parsec://parsec.invalid/MyOrg?action=claim_user&token=1"},
		{"parsec3://parsec.invalid", "/redirect/MyOrg", "", parsec.Parsec2Scheme, "parsec://parsec.invalid/MyOrg"},
	} {
		server, err := parsec.Parsec3Scheme.ParseServerAddress(item.server)
		if err != nil {
			t.Fatal(err)
		}
		to, ok := server.RedirectTarget(item.otherwise, item.path, item.query)
		if to.Target != item.want || ok != (item.want != "") || ok && !strings.HasPrefix(to.Target, string(to.Scheme)+"://") {
			t.Errorf("%s?%s, otherwise %s: %+v, %t; want %s", item.path, item.query, item.otherwise, to, ok, item.want)
		}
	}
}
