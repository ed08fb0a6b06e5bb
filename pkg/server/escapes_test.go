package server_test

import (
	"io"
	"net/http"
	"testing"
)

// A malformed escape in the path of an administration request names no
// organization; elsewhere it is a bad request.
func TestMalformedEscapes(t *testing.T) {
	f := newFixture(t)
	raw := f.dialTCP() // one connection, for the requests after the first too
	ask := func(method, target, headers string) (int, string) {
		t.Helper()
		_, err := io.WriteString(raw.conn, method+" "+target+" HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n")
		f.ok(err)
		response, err := http.ReadResponse(raw.read, nil)
		f.ok(err)
		body, err := io.ReadAll(response.Body)
		f.ok(err)
		return response.StatusCode, string(body)
	}
	for _, target := range []string{
		"/administration/organizations/%zz", "/administration/organizations/a%", "/administration/organizations/%4",
		"/administration/organizations/%zz/stats", "/administration/organizations/%%41/users", "/administration/organizations/%ff",
	} {
		if status, body := ask("GET", target, bearer+"\r\n"); status != http.StatusNotFound || body != noSuchID {
			t.Errorf("%s: HTTP %d %s", target, status, body)
		}
		if status, body := ask("GET", target, ""); status != http.StatusForbidden || body != noToken {
			t.Errorf("%s without token: HTTP %d %s", target, status, body)
		}
	}
	if status, _ := ask("GET", "/administration/organizations/%43oolOrg", bearer+"\r\n"); status != http.StatusOK {
		t.Errorf("escape that is right: HTTP %d", status)
	}
	if status, _ := ask("GET", "/administration/stats?format=json&x=%zz", bearer+"\r\n"); status != http.StatusOK {
		t.Errorf("query: HTTP %d", status)
	}
	if status, _ := ask("GET", "/redirect/%zz", ""); status != http.StatusBadRequest {
		t.Errorf("elsewhere: HTTP %d", status)
	}
}
