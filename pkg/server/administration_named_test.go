package server_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/server"
)

// TestNamedTokens has each administrator be known by its token, one that may only read
// change nothing, and the former tokens stay while those of now cannot be read.
func TestNamedTokens(t *testing.T) {
	tokens := []organization.NamedToken{{Name: "alice", Token: "alice-token"}, {Name: "backup", Token: "backup-token", ReadOnly: true}}
	var failure error
	f := newFixture(t, func(o *options) {
		o.organizations.NamedTokens = func() ([]organization.NamedToken, error) {
			if failure != nil {
				return nil, failure
			}
			return tokens, nil
		}
	})
	ask := func(token, method, path, body string, want int, text string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, f.Address.HTTPOrigin()+"/administration/"+path, strings.NewReader(body))
		f.ok(err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		f.ok(err)
		defer response.Body.Close()
		answer := make([]byte, 1<<10)
		n, _ := response.Body.Read(answer)
		if response.StatusCode != want || !strings.Contains(string(answer[:n]), text) {
			t.Errorf("%s %s by %s: %s %s, want %d %s", method, path, token, response.Status, answer[:n], want, text)
		}
	}
	ask("alice-token", http.MethodPost, "organizations", `{"organization_id": "New"}`, 200, "bootstrap_token")
	ask("backup-token", http.MethodGet, "organizations/New", "", 200, "is_bootstrapped")
	ask("backup-token", http.MethodPatch, "organizations/New", "{}", 403, `"detail":"This token may only read"`)
	failure = errors.New("line 2: wrong")
	ask("alice-token", http.MethodPatch, "organizations/New", `{"active_users_limit": 1}`, 200, "{}")
	ask("backup-token", http.MethodGet, "organizations/New", "", 200, "is_bootstrapped")
	failure, tokens = nil, tokens[:1]
	ask("backup-token", http.MethodGet, "organizations/New", "", 403, "Bad authorization token")
	logs := f.logs.String()
	if strings.Count(logs, `"level":"ERROR"`) != 1 || !strings.Contains(logs, "line 2: wrong") || strings.Contains(logs, "alice-token") {
		t.Errorf("logged %s", logs)
	}
	if strings.Count(logs, `"administrator":"alice"`) != 2 {
		t.Errorf("logged %s", logs)
	}
}

// TestReadingToken has a token that may only read be let in to read by every route, and
// refused by all that may change something: of organizations of both generations, and of
// none yet.
func TestReadingToken(t *testing.T) {
	f := newFormsFixture(t, func(o *options) {
		o.organizations.NamedTokens = func() ([]organization.NamedToken, error) {
			return []organization.NamedToken{{Name: "backup", Token: "backup-token", ReadOnly: true}}, nil
		}
	})
	read, refused := 0, 0
	for pattern, methods := range server.AdministrationPaths() {
		for _, method := range methods {
			for _, id := range organizationOfForm {
				path := strings.Replace(pattern, "{organization}", id.String(), 1)
				response := f.do(method, path, []byte("{}"), typeJSON, "Authorization: Bearer backup-token")
				answer, err := io.ReadAll(response.Body)
				f.ok(err)
				switch method {
				case http.MethodGet, http.MethodHead:
					read++
					if response.StatusCode == http.StatusForbidden {
						t.Errorf("%s %s: HTTP %d %s", method, path, response.StatusCode, answer)
					}
				default:
					refused++
					const want = `{"detail":"This token may only read","error":"not_allowed","reason":"This token may only read"}`
					if response.StatusCode != http.StatusForbidden || string(answer) != want {
						t.Errorf("%s %s: HTTP %d %s, want 403 %s", method, path, response.StatusCode, answer, want)
					}
				}
			}
		}
	}
	if read < 3*2*9 || refused < 3*10 {
		t.Errorf("%d requests to read and %d others: where are the routes?", read, refused)
	}
	if logs := f.logs.String(); strings.Contains(logs, `"msg":"audit"`) {
		t.Errorf("something is changed: %s", logs)
	}
}
