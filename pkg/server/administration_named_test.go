package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"parsec-server/pkg/organization"
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
	for _, method := range []string{http.MethodPatch, http.MethodDelete} {
		ask("backup-token", method, "organizations/New", "{}", 403, `"detail":"This token may only read"`)
	}
	ask("backup-token", http.MethodPost, "organizations/New/bootstrap_link", "", 403, `"detail":"This token may only read"`)
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
