package server_test

import (
	"html"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
)

// generationLinks are invitations of both generations, and what their pages name.
var generationLinks = map[string]struct {
	path, product string
	scheme        parsec.Scheme
	pages         parsec.ClientPages
}{
	"Parsec 2": {"/CoolOrg?action=claim_user&token=0123", "Parsec 2", parsec.Parsec2Scheme, parsec.DefaultClients().Parsec2},
	"Parsec 3": {"/CoolOrg?a=claim_user&p=xBA", "Parsec 3", parsec.Parsec3Scheme, parsec.DefaultClients().Parsec3},
}

const (
	browserAccept = "text/html,application/xhtml+xml,*/*;q=0.8"
	phoneAgent    = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)

// TestRedirectByReader gives browsers a page that opens the link with the application of
// its generation, and programs the link.
func TestRedirectByReader(t *testing.T) {
	f := newEmptyFixture(t)
	for name, link := range generationLinks {
		target := strings.Replace(f.Address.HTTPOrigin(), "http", string(link.scheme), 1) + link.path + "&no_ssl=true"
		for accept, status := range map[string]int{
			browserAccept: http.StatusOK, "*/*": http.StatusFound, "": http.StatusFound, "text/html;q=0": http.StatusFound,
		} {
			response := f.get("/redirect"+link.path, "Accept: "+accept)
			body, err := io.ReadAll(response.Body)
			f.ok(err)
			if response.StatusCode != status || !slices.Contains(response.Header.Values("Vary"), "Accept") {
				t.Errorf("%s, accept %q: status %d, %v", name, accept, response.StatusCode, response.Header)
			}
			location, refresh := target, ""
			if status == http.StatusOK {
				location, refresh = "", "0; url="+target
			}
			if got := response.Header.Get("Location"); got != location {
				t.Errorf("%s, accept %q: location %q", name, accept, got)
			}
			if got := response.Header.Get("Refresh"); got != refresh {
				t.Errorf("%s, accept %q: refresh %q", name, accept, got)
			}
			for _, want := range []string{target, link.product, link.pages.Download, link.pages.Joining()} {
				if !strings.Contains(html.UnescapeString(string(body)), want) {
					t.Errorf("%s, accept %q: no %s in %s", name, accept, want, body)
				}
			}
		}
	}
}

// TestRedirectOfPhones opens nothing: there is no application for them. The page has the
// link in the form that can be opened on a computer.
func TestRedirectOfPhones(t *testing.T) {
	f := newEmptyFixture(t)
	for name, link := range generationLinks {
		for _, header := range []string{"User-Agent: " + phoneAgent, "User-Agent: Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0", "Sec-CH-UA-Mobile: ?1"} {
			response := f.get("/redirect"+link.path, "Accept: "+browserAccept, header)
			body, err := io.ReadAll(response.Body)
			f.ok(err)
			if response.StatusCode != http.StatusOK || response.Header.Get("Refresh") != "" || response.Header.Get("Location") != "" {
				t.Errorf("%s, %s: HTTP %d %v", name, header, response.StatusCode, response.Header)
			}
			for _, want := range []string{"<h1>Open this link on a computer</h1>", f.Address.HTTPOrigin() + "/redirect" + link.path + "</code>", link.product, link.pages.Download} {
				if !strings.Contains(html.UnescapeString(string(body)), want) {
					t.Errorf("%s, %s: no %s in %s", name, header, want, body)
				}
			}
		}
		if response := f.get("/redirect"+link.path, "User-Agent: "+phoneAgent); response.StatusCode != http.StatusFound {
			t.Errorf("%s: a program on a phone gets HTTP %d", name, response.StatusCode)
		}
	}
}

// TestOwnClients has the pages lead where the operator says.
func TestOwnClients(t *testing.T) {
	clients := parsec.Clients{
		Parsec2: parsec.ClientPages{Download: "https://example.com/two?a=1&b=2", Documentation: "https://example.com/two-doc"},
		Parsec3: parsec.ClientPages{Download: "https://example.com/three", Documentation: "https://example.com/three-doc"},
	}
	f := newEmptyFixture(t, func(o *options) { o.Clients = clients })
	for target, want := range map[string][]string{
		"/":                               {"/get-parsec", clients.Parsec2.Documentation, clients.Parsec3.Documentation},
		"/nothing":                        {"/get-parsec"},
		"/get-parsec":                     {clients.Parsec2.Download, clients.Parsec3.Download, clients.Parsec2.Documentation, clients.Parsec3.Documentation},
		"/redirect/Org?action=claim_user": {clients.Parsec2.Download, clients.Parsec2.Documentation},
		"/redirect/Org?a=claim_user":      {clients.Parsec3.Download, clients.Parsec3.Documentation},
	} {
		body := f.read(f.get(target))
		for _, link := range want {
			if !strings.Contains(html.UnescapeString(body), `href="`+link+`"`) {
				t.Errorf("%s does not lead to %s: %s", target, link, body)
			}
		}
		if strings.Contains(body, "parsec.cloud") || strings.Contains(body, "github.com") {
			t.Errorf("%s leads to the project: %s", target, body)
		}
	}
}

// TestClientsWithWebApp offers the web application, which stays where links of Parsec 3
// lead; those of Parsec 2 are not its own.
func TestClientsWithWebApp(t *testing.T) {
	f := newEmptyFixture(t, withWebApp(webFolder(t)))
	if body := f.read(f.get("/get-parsec")); !strings.Contains(body, `href="/client/"`) {
		t.Errorf("no web application in %s", body)
	}
	for name, link := range generationLinks {
		response := f.get("/redirect"+link.path, "Accept: "+browserAccept, "User-Agent: "+phoneAgent)
		toApp := strings.Contains(response.Header.Get("Location"), "/client/webRedirect")
		if want := link.scheme == parsec.Parsec3Scheme; toApp != want || (response.StatusCode == http.StatusFound) != want {
			t.Errorf("%s: HTTP %d to %q", name, response.StatusCode, response.Header.Get("Location"))
		}
	}
}
