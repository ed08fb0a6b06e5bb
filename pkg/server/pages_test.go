package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parsec-server/pkg/server"
)

// loads is what makes a browser ask for something else.
var loads = regexp.MustCompile(`(?i)<script|<iframe|<object|url\(|@import|src="[^/]|<link [^>]*href="[^/]`)

// TestPages are in the language of who reads them, and load nothing from
// elsewhere (docs/protocol/transport.md §9).
func TestPages(t *testing.T) {
	f := newEmptyFixture(t)
	for _, page := range []struct {
		target          string
		status          int
		cache           string
		english, french string
	}{
		{"/", http.StatusOK, "public, max-age=3600", "A Parsec server is running here", "Un serveur Parsec fonctionne ici"},
		{"/dummy", http.StatusNotFound, "no-store", "There is no such page", "Cette page n’existe pas"},
		{"/redirect/", http.StatusNotFound, "no-store", "There is no such page", "Cette page n’existe pas"},
		{"/get-parsec", http.StatusOK, "public, max-age=3600", "Get Parsec", "Obtenir Parsec"},
		{"/redirect/CoolOrg?action=claim_user", http.StatusFound, "no-store", "Opening Parsec 2…", "Ouverture de Parsec 2…"},
		{"/redirect/CoolOrg?a=claim_user", http.StatusFound, "no-store", "Opening Parsec 3…", "Ouverture de Parsec 3…"},
	} {
		for accepted, language := range map[string]string{
			"": "en", "en": "en", "fr": "fr", "fr-CA, en;q=0.8": "fr", "de, fr;q=0.5, en;q=0.7": "en",
			"ja": "en", "*": "en", "no language": "en", "en;q=0.1, FR": "fr",
			strings.Repeat("fr,", 5000): "en",
		} {
			response := f.get(page.target, "Accept-Language: "+accepted)
			body, err := io.ReadAll(response.Body)
			f.ok(err)
			heading := page.english
			if language == "fr" {
				heading = page.french
			}
			text := string(body)
			if response.StatusCode != page.status || !strings.Contains(text, "<h1>"+heading+"</h1>") || !strings.Contains(text, `<html lang="`+language+`">`) {
				t.Errorf("%s in %q: HTTP %d %s", page.target, accepted, response.StatusCode, text)
			}
			for name, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Content-Language": language,
				"Cache-Control": page.cache, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
				"Content-Length": strconv.Itoa(len(body)),
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s in %q: %s: %q, want %q", page.target, accepted, name, got, want)
				}
			}
			if !slices.Contains(response.Header.Values("Vary"), "Accept-Language") {
				t.Errorf("%s in %q: Vary: %q", page.target, accepted, response.Header.Values("Vary"))
			}
			if found := loads.FindString(text); found != "" || !strings.HasPrefix(response.Header.Get("Content-Security-Policy"), "default-src 'none'; ") {
				t.Errorf("%s loads %s", page.target, found)
			}
		}
	}
}

// TestPagesAreKept until they change.
func TestPagesAreKept(t *testing.T) {
	f := newEmptyFixture(t)
	tags := map[string]bool{}
	for _, language := range []string{"en", "fr"} {
		tag := f.get("/", "Accept-Language: "+language).Header.Get("ETag")
		if again := f.get("/", "Accept-Language: "+language, "If-None-Match: "+tag); again.StatusCode != http.StatusNotModified || again.Header.Get("Vary") == "" {
			t.Errorf("%s with %s: HTTP %d %v", language, tag, again.StatusCode, again.Header)
		}
		tags[tag] = true
	}
	if len(tags) != 2 {
		t.Errorf("tags %v", tags)
	}
}

// TestRedirectPage shows the link to whatever does not follow it, whatever is
// in it.
func TestRedirectPage(t *testing.T) {
	f := newEmptyFixture(t)
	response := f.get(`/redirect/Org"><script>?a="'><script>&b=javascript:x&no_ssl=false`)
	body, err := io.ReadAll(response.Body)
	f.ok(err)
	target := response.Header.Get("Location")
	if !strings.HasSuffix(target, "/Org%22%3E%3Cscript%3E?a=%22%27%3E%3Cscript%3E&b=javascript%3Ax&no_ssl=true") {
		t.Errorf("location %s", target)
	}
	shown := strings.ReplaceAll(target, "&", "&amp;")
	if page := string(body); !strings.Contains(page, `href="`+shown+`"`) || !strings.Contains(page, "<code>"+shown+"</code>") {
		t.Errorf("%s is not in %s", shown, page)
	}
}

// TestRedirectionWithoutAddress leads to the server by the host and scheme of the
// request, as the links that it gave do; to a host that is none, people are told what is
// missing.
func TestRedirectionWithoutAddress(t *testing.T) {
	f := newEmptyFixture(t)
	front := server.New(f.Organizations, f.clock.Now, discard(), server.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	defer front.Shutdown(f.ctx)
	const target = "/CoolOrg?a=claim_user&p=xBCgAAAAAAAAAAAAAAAAAAAB"
	for name, test := range map[string]struct {
		host, peer string
		headers    map[string]string
		want       string
	}{
		"clear":             {"Parsec.Example.com:6777", "192.0.2.9:1", nil, "parsec3://parsec.example.com:6777" + target + "&no_ssl=true"},
		"proxy":             {"inside:6777", "192.0.2.1:1", map[string]string{"X-Forwarded-Host": "parsec.example.com", "X-Forwarded-Proto": "https"}, "parsec3://parsec.example.com" + target},
		"proxy not trusted": {"inside:6777", "192.0.2.9:1", map[string]string{"X-Forwarded-Host": "parsec.example.com", "X-Forwarded-Proto": "https"}, "parsec3://inside:6777" + target + "&no_ssl=true"},
		"no host":           {"in side", "192.0.2.9:1", nil, ""},
	} {
		request := httptest.NewRequest(http.MethodGet, "/redirect"+target, nil)
		request.Host, request.RemoteAddr = test.host, test.peer
		for header, value := range test.headers {
			request.Header.Set(header, value)
		}
		answer := httptest.NewRecorder()
		front.Handler().ServeHTTP(answer, request)
		status := http.StatusFound
		if test.want == "" {
			status = http.StatusBadRequest
		}
		if answer.Code != status || answer.Header().Get("Location") != test.want {
			t.Errorf("%s: HTTP %d to %q, want %q", name, answer.Code, answer.Header().Get("Location"), test.want)
		}
		if status == http.StatusBadRequest && !strings.Contains(answer.Body.String(), "PARSEC_SERVER_ADDR") {
			t.Errorf("%s: %s", name, answer.Body)
		}
	}
}

// TestIcons are where the pages say, and where browsers look by themselves.
func TestIcons(t *testing.T) {
	f := newEmptyFixture(t)
	for target, want := range map[string]struct{ contentType, begins string }{
		"/static/icon.svg": {"image/svg+xml", "<svg "},
		"/favicon.ico":     {"image/x-icon", "\x00\x00\x01\x00\x01\x00"},
	} {
		response := f.get(target)
		body, err := io.ReadAll(response.Body)
		f.ok(err)
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != want.contentType || !strings.HasPrefix(string(body), want.begins) {
			t.Errorf("%s: HTTP %d, %s, %d bytes", target, response.StatusCode, response.Header.Get("Content-Type"), len(body))
		}
		if cache := response.Header.Get("Cache-Control"); cache != "public, max-age=3600" {
			t.Errorf("%s: Cache-Control: %s", target, cache)
		}
	}
}
