package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
)

const bearer = "Authorization: Bearer " + administrationToken

// administrate returns the status and the body of an administration request.
func (f *fixture) administrate(method, path, body string, headers ...string) (int, string) {
	f.t.Helper()
	response := f.do(method, "/administration/"+path, []byte(body), append(headers, bearer)...)
	answer, err := io.ReadAll(response.Body)
	f.ok(err)
	return response.StatusCode, string(answer)
}

// administrationStep is a request, and the answer it must have.
type administrationStep struct {
	method, path, body string
	status             int
	answer             string
}

// play sends bodies that do not say what they are, as scripts for API 1 to 3 may.
func (f *fixture) play(steps []administrationStep) {
	f.t.Helper()
	f.playWith(steps)
}

// playJSON sends bodies that say that they are JSON.
func (f *fixture) playJSON(steps []administrationStep) {
	f.t.Helper()
	f.playWith(steps, typeJSON)
}

const typeJSON = "Content-Type: application/json"

func (f *fixture) playWith(steps []administrationStep, headers ...string) {
	f.t.Helper()
	for _, step := range steps {
		status, answer := f.administrate(step.method, step.path, step.body, headers...)
		if status != step.status || answer != step.answer {
			f.t.Errorf("%s %s %s: HTTP %d %s, want %d %s", step.method, step.path, step.body, status, answer, step.status, step.answer)
		}
	}
}

// badData returns the body of a 400 about fields.
func badData(problems ...string) string {
	reason := must(json.Marshal("{" + strings.Join(problems, ", ") + "}"))
	return `{"error":"bad_data","reason":` + string(reason) + `}`
}

// withDetail returns the form of a 400 about a body that is of no organization yet.
func withDetail(refusal string) string {
	return `{"detail":` + strings.TrimPrefix(strings.TrimSuffix(refusal, "}"), `{"error":"bad_data","reason":`) + "," + strings.TrimPrefix(refusal, "{")
}

const (
	notFound     = `{"detail":"Organization not found","error":"not_found"}`
	noSuchID     = `{"detail":"Invalid organization ID","error":"not_found"}`
	noToken      = `{"detail":"Not authenticated","error":"not_allowed"}`
	badToken     = `{"detail":"Bad authorization token","error":"not_allowed"}`
	userNotFound = `{"error":"user_not_found"}`
	invalidJSON  = `{"error":"bad_data","reason":"Invalid JSON"}`
)

// administrationRoutes are all routes, each with a body that is fine.
var administrationRoutes = []struct{ method, path, body string }{
	{"POST", "organizations", `{"organization_id": "New"}`},
	{"GET", "organizations/CoolOrg", ""},
	{"PATCH", "organizations/CoolOrg", "{}"},
	{"GET", "organizations/CoolOrg/stats", ""},
	{"PATCH", "organizations/CoolOrg/stats", ""},
	{"GET", "organizations/CoolOrg/users", ""},
	{"POST", "organizations/CoolOrg/users/freeze", `{"frozen": false, "user_id": "bob"}`},
	{"GET", "stats?format=json", ""},
}

// The token is checked before the path, the query and the body.
func TestAdministrationWantsTheToken(t *testing.T) {
	f := newFixture(t)
	for _, route := range administrationRoutes {
		status, answer := f.administrate(route.method, route.path, route.body)
		if status != http.StatusOK {
			t.Errorf("%s %s: HTTP %d %s", route.method, route.path, status, answer)
		}
		path, _, _ := strings.Cut(strings.Replace(route.path, "CoolOrg", "not%20an%20id", 1), "?")
		response := f.do(route.method, "/administration/"+path, []byte("{"))
		answered, err := io.ReadAll(response.Body)
		f.ok(err)
		if response.StatusCode != http.StatusForbidden || string(answered) != noToken {
			t.Errorf("%s %s without token: HTTP %d %s", route.method, path, response.StatusCode, answered)
		}
		if response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("Content-Type %s", response.Header.Get("Content-Type"))
		}
	}
}

func TestAdministrationTokenForms(t *testing.T) {
	f := newFixture(t)
	token := administrationToken
	for _, item := range []struct{ header, want string }{
		{"", noToken}, {"Bearer", noToken}, {"Bearer ", noToken}, {"Bearer " + token + "x", badToken}, {"Bearer " + token[1:], badToken},
		{"Bearer" + token, noToken}, {"Bearer\t" + token, noToken}, {token, noToken}, {"Basic " + token, noToken}, {"Bearer " + token + " x", badToken},
	} {
		f.clock.Advance(time.Hour) // forgives the attempts before
		response := f.get("/administration/organizations/CoolOrg", "Authorization: "+item.header)
		answered, err := io.ReadAll(response.Body)
		f.ok(err)
		if response.StatusCode != http.StatusForbidden || string(answered) != item.want {
			t.Errorf("%q: HTTP %d %s", item.header, response.StatusCode, answered)
		}
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer   "} {
		if response := f.get("/administration/organizations/CoolOrg", "Authorization: "+scheme+token); response.StatusCode != http.StatusOK {
			t.Errorf("%q: HTTP %d", scheme, response.StatusCode)
		}
	}
}

// HEAD is answered as GET, without the body.
func TestAdministrationHead(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{
		"organizations/CoolOrg", "organizations/Unknown", "organizations/CoolOrg/stats", "organizations/CoolOrg/users",
		"stats?format=json", "stats?format=csv", "stats?format=xml",
	} {
		read := f.do(http.MethodGet, "/administration/"+path, nil, bearer)
		looked := f.do(http.MethodHead, "/administration/"+path, nil, bearer)
		body, err := io.ReadAll(looked.Body)
		f.ok(err)
		if looked.StatusCode != read.StatusCode || looked.Header.Get("Content-Type") != read.Header.Get("Content-Type") || len(body) > 0 {
			t.Errorf("%s: HTTP %d %s %q, want HTTP %d %s", path, looked.StatusCode, looked.Header.Get("Content-Type"), body,
				read.StatusCode, read.Header.Get("Content-Type"))
		}
	}
	if response := f.do(http.MethodHead, "/administration/organizations/CoolOrg", nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("without token: HTTP %d", response.StatusCode)
	}
}

// Wrong tokens slow the next ones down; another address is not concerned, nor
// the right token.
func TestAdministrationTokenAttempts(t *testing.T) {
	var elapsed atomic.Int64
	f := newFixture(t, func(o *options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.organizations.Elapsed = func() time.Duration { return time.Duration(elapsed.Load()) }
	})
	attempt := func(address, token string) *http.Response {
		return f.get("/administration/organizations/CoolOrg", "X-Forwarded-For: "+address, "Authorization: Bearer "+token)
	}
	for i := range 5 {
		if got := attempt("192.0.2.7", fmt.Sprint("wrong", i)).StatusCode; got != http.StatusForbidden {
			t.Fatalf("attempt %d: HTTP %d", i, got)
		}
		for range 2 {
			if got := attempt("127.0.0.1", fmt.Sprint("wrong", i)).StatusCode; got != http.StatusForbidden {
				t.Fatalf("attempt %d: HTTP %d", i, got)
			}
		}
	}
	f.clock.Advance(-24 * time.Hour) // What is slowed down is not for longer when the clock is set.
	refused := attempt("127.0.0.1", "wrong")
	body, err := io.ReadAll(refused.Body)
	f.ok(err)
	if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "6" || string(body) != `{"detail":"Too many attempts","error":"too_many_attempts"}` {
		t.Errorf("HTTP %d, Retry-After %s: %s", refused.StatusCode, refused.Header.Get("Retry-After"), body)
	}
	if got := attempt("127.0.0.1", administrationToken).StatusCode; got != http.StatusOK {
		t.Errorf("the right token: HTTP %d", got)
	}
	if got := attempt("192.0.2.8", "wrong").StatusCode; got != http.StatusForbidden {
		t.Errorf("another address: HTTP %d", got)
	}
	elapsed.Add(int64(6 * time.Second))
	for _, want := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		if got := attempt("127.0.0.1", "wrong").StatusCode; got != want {
			t.Errorf("after the wait: HTTP %d, want %d", got, want)
		}
	}
	if !strings.Contains(f.logs.String(), `"msg":"wrong administration token","address":"192.0.2.7"`) {
		t.Error("the attempts are not logged")
	}
	if strings.Contains(f.logs.String(), "wrong1") {
		t.Error("the tokens are logged")
	}
}

func TestAdministrationCreate(t *testing.T) {
	f := newFixture(t)
	want := func(body, organization string) {
		t.Helper()
		status, answer := f.administrate("POST", "organizations", body)
		var reply map[string]string
		if err := json.Unmarshal([]byte(answer), &reply); status != http.StatusOK || err != nil || len(reply) != 1 || len(reply["bootstrap_token"]) != 32 {
			t.Errorf("%s: HTTP %d %s", body, status, answer)
		}
		f.play([]administrationStep{{"GET", "organizations/New", "", 200, organization}})
	}
	want(`{"organization_id": "New", "unknown": [1]}`,
		`{"is_bootstrapped":false,"is_expired":false,"user_profile_outsider_allowed":true,"active_users_limit":null,"realm_minimum_archiving_period_before_deletion":2592000,"tos":null,"minimum_archiving_period":2592000}`)
	want(`{"organization_id": "New", "user_profile_outsider_allowed": "false", "active_users_limit": "12", "minimum_archiving_period": 5.0}`,
		`{"is_bootstrapped":false,"is_expired":false,"user_profile_outsider_allowed":false,"active_users_limit":12,"realm_minimum_archiving_period_before_deletion":5,"tos":null,"minimum_archiving_period":5}`)
	f.play([]administrationStep{{"PATCH", "organizations/New", `{"is_expired": true}`, 200, "{}"}})
	want(`{"organization_id": "New", "active_users_limit": null}`,
		`{"is_bootstrapped":false,"is_expired":false,"user_profile_outsider_allowed":true,"active_users_limit":null,"realm_minimum_archiving_period_before_deletion":2592000,"tos":null,"minimum_archiving_period":2592000}`)
	const missing, null, id = "'organization_id': ['Missing data for required field.']", "'organization_id': ['Field may not be null.']", "'organization_id': ['Invalid data']"
	f.play([]administrationStep{
		{"POST", "organizations", `{"organization_id": "CoolOrg"}`, 400, `{"error":"already_exists"}`},
		{"POST", "organizations", ``, 400, withDetail(invalidJSON)},
		{"POST", "organizations", `{"organization_id": "A"`, 400, withDetail(invalidJSON)},
		{"POST", "organizations", "{\"organization_id\": \"A\xff\"}", 400, withDetail(badData(id))},
		{"POST", "organizations", `["organization_id"]`, 400, withDetail(badData("'_schema': ['Invalid input type.']"))},
		{"POST", "organizations", `{}`, 400, withDetail(badData(missing))},
		{"POST", "organizations", `{"organization_id": null}`, 400, withDetail(badData(null))},
		{"POST", "organizations", `{"organization_id": 7}`, 400, withDetail(badData("'organization_id': ['Not a valid string.']"))},
		{"POST", "organizations", `{"organization_id": ""}`, 400, withDetail(badData(id))},
		{"POST", "organizations", `{"organization_id": "not an id"}`, 400, withDetail(badData(id))},
		{"POST", "organizations", `{"organization_id": "A", "user_profile_outsider_allowed": null}`, 400, withDetail(badData("'user_profile_outsider_allowed': ['Field may not be null.']"))},
		{"POST", "organizations", `{"organization_id": "A", "user_profile_outsider_allowed": "maybe"}`, 400, withDetail(badData("'user_profile_outsider_allowed': ['Not a valid boolean.']"))},
		{"POST", "organizations", `{"organization_id": "A", "user_profile_outsider_allowed": 2}`, 400, withDetail(badData("'user_profile_outsider_allowed': ['Not a valid boolean.']"))},
		{"POST", "organizations", `{"organization_id": "A", "active_users_limit": -1}`, 400, withDetail(badData("'active_users_limit': ['Must be greater than or equal to 0.']"))},
		{"POST", "organizations", `{"organization_id": "A", "active_users_limit": 1.5}`, 400, withDetail(badData("'active_users_limit': ['Not a valid integer.']"))},
		{"POST", "organizations", `{"organization_id": "A", "active_users_limit": "many"}`, 400, withDetail(badData("'active_users_limit': ['Not a valid integer.']"))},
		{"POST", "organizations", `{"organization_id": "A", "minimum_archiving_period": null}`, 400, withDetail(badData("'minimum_archiving_period': ['Field may not be null.']"))},
		{"POST", "organizations", `{"active_users_limit": [], "minimum_archiving_period": -2}`, 400,
			withDetail(badData(missing, "'active_users_limit': ['Not a valid integer.']", "'minimum_archiving_period': ['Must be greater than or equal to 0.']"))},
		{"GET", "organizations/A", "", 404, notFound},
	})
}

// The body comes before what the path says not to exist.
func TestAdministrationOfUnknownOrganizations(t *testing.T) {
	f := newFixture(t)
	for _, route := range administrationRoutes {
		if !strings.Contains(route.path, "CoolOrg") {
			continue
		}
		for organization, missing := range map[string]string{
			"Unknown": notFound, "not%20an%20id": noSuchID, "%ff": noSuchID, strings.Repeat("x", 33): noSuchID,
		} {
			path := strings.Replace(route.path, "CoolOrg", organization, 1)
			f.play([]administrationStep{{route.method, path, route.body, 404, missing}})
			if route.body != "" {
				f.play([]administrationStep{{route.method, path, "{", 400, withDetail(invalidJSON)}})
			}
		}
	}
}

func TestAdministrationChange(t *testing.T) {
	f := newFixture(t)
	show := func(expired, outsiders bool, limit string, period int) administrationStep {
		return administrationStep{"GET", "organizations/CoolOrg", "", 200, fmt.Sprintf(
			`{"is_bootstrapped":true,"is_expired":%t,"user_profile_outsider_allowed":%t,"active_users_limit":%s,"minimum_archiving_period":%d}`,
			expired, outsiders, limit, period)}
	}
	patch := func(body string) administrationStep {
		return administrationStep{"PATCH", "organizations/CoolOrg", body, 200, "{}"}
	}
	refuse := func(body, answer string) administrationStep {
		return administrationStep{"PATCH", "organizations/CoolOrg", body, 400, answer}
	}
	f.play([]administrationStep{
		patch(`{"minimum_archiving_period": 7}`), show(false, true, "null", 7),
		patch(`{}`), show(false, true, "null", 7),
		patch(`{"user_profile_outsider_allowed": 0}`), show(false, false, "null", 7),
		patch(`{"active_users_limit": 0}`), show(false, false, "0", 7),
		patch(`{"is_expired": "1"}`), show(true, false, "0", 7),
		patch(`{"active_users_limit": null, "user_profile_outsider_allowed": "TRUE"}`), show(true, true, "null", 7),
		patch(`{"is_expired": false}`), show(false, true, "null", 7),
		refuse(`{"is_expired": null}`, badData("'is_expired': ['Field may not be null.']")),
		refuse(`{"is_expired": true, "active_users_limit": -5}`, badData("'active_users_limit': ['Must be greater than or equal to 0.']")),
		refuse(`{"minimum_archiving_period": null}`, badData("'minimum_archiving_period': ['Field may not be null.']")),
		refuse(`7`, badData("'_schema': ['Invalid input type.']")),
		refuse(``, invalidJSON),
		show(false, true, "null", 7),
	})
}

const coolUsers = `{"users":[` +
	`{"user_id":"alice","user_email":"alice@example.com","user_name":"alice","frozen":false},` +
	`{"user_id":"bob","user_email":"bob@example.com","user_name":"bob","frozen":false},` +
	`{"user_id":"carol","user_email":"carol@example.com","user_name":"carol","frozen":false}]}`

func TestAdministrationUsers(t *testing.T) {
	f := newFixture(t)
	f.wing.people[coolOrg][2].revokedOn = &reference
	const path = "organizations/CoolOrg/users/freeze"
	bob := func(frozen bool) string {
		return fmt.Sprintf(`{"user_id":"bob","user_email":"bob@example.com","user_name":"bob","frozen":%t}`, frozen)
	}
	f.play([]administrationStep{
		{"GET", "organizations/CoolOrg/users", "", 200, coolUsers},
		{"POST", path, `{"frozen": true, "user_id": "bob"}`, 200, bob(true)},
		{"POST", path, `{"frozen": true, "user_id": "bob"}`, 200, bob(true)},
		{"GET", "organizations/CoolOrg/users", "", 200, strings.Replace(coolUsers, bob(false), bob(true), 1)},
		{"POST", path, `{"frozen": "false", "user_email": "bob@example.com"}`, 200, bob(false)},
		{"POST", path, `{"frozen": true, "user_email": "bob@example.com"}`, 200, bob(true)},
		{"POST", path, `{"frozen": true, "user_id": "nobody"}`, 404, userNotFound},
		{"POST", path, `{"frozen": true, "user_email": "nobody@example.com"}`, 404, userNotFound},
		{"POST", path, `{"frozen": true, "user_email": ""}`, 404, userNotFound},
		{"POST", path, `{"frozen": true, "user_email": "no e-mail"}`, 404, userNotFound},
		{"POST", path, `{"frozen": true, "user_id": "carol"}`, 404, userNotFound},
		{"POST", path, `{"frozen": true, "user_email": "carol@example.com"}`, 404, userNotFound},
		{"POST", path, ``, 400, invalidJSON},
		{"POST", path, `{"user_id": "bob"}`, 400, badData("'frozen': ['Missing data for required field.']")},
		{"POST", path, `{"user_id": "bob", "frozen": null}`, 400, badData("'frozen': ['Field may not be null.']")},
		{"POST", path, `{"user_id": "b b", "frozen": 3}`, 400, badData("'frozen': ['Not a valid boolean.']", "'user_id': ['Invalid data']")},
		{"POST", path, `{"user_id": "bob", "user_email": null, "frozen": true}`, 400, badData("'user_email': ['Field may not be null.']")},
		{"POST", path, `{"frozen": true}`, 400, `{"error":"bad_data","reason":"Missing either ` + "`user_id` or `user_email`" + ` field"}`},
		{"POST", path, `{"frozen": true, "user_id": "bob", "user_email": "bob@example.com"}`, 400, `{"error":"bad_data","reason":"Both ` + "`user_id` and `user_email`" + ` fields are provided"}`},
	})
}

// emptyStatistics are those of an organization without generation.
const emptyStatistics = `{"organization_id":"EmptyOrg","data_size":0,"metadata_size":0,"realms":0,"users":0,"active_users":0,` +
	`"users_per_profile_detail":{"ADMIN":{"active":0,"revoked":0},"OUTSIDER":{"active":0,"revoked":0},"STANDARD":{"active":0,"revoked":0}}}`

func TestAdministrationStatistics(t *testing.T) {
	f := newFixture(t)
	_, _ = f.administrate("POST", "organizations", `{"organization_id": "EmptyOrg"}`)
	f.wing.people[coolOrg][0].realms = []parsec.DateTime{reference}
	f.wing.people[coolOrg][2].revokedOn = new(reference.Add(time.Hour))
	f.clock.Advance(2 * time.Hour)
	profiles := func(active, revoked int) string {
		return fmt.Sprintf(`[{"profile":"ADMIN","active":1,"revoked":0},{"profile":"STANDARD","active":%d,"revoked":%d},{"profile":"OUTSIDER","active":0,"revoked":0}]`, active, revoked)
	}
	organization := func(id string, realms, active int, profiles string) string {
		return fmt.Sprintf(`{"organization_id":"%s","data_size":0,"metadata_size":0,"realms":%d,"active_users":%d,"users_per_profile_detail":%s}`, id, realms, active, profiles)
	}
	empty, other := emptyStatistics, organization("OtherOrg", 0, 3, profiles(2, 0))
	const header = "organization_id,data_size,metadata_size,realms,active_users,admin_users_active,admin_users_revoked," +
		"standard_users_active,standard_users_revoked,outsider_users_active,outsider_users_revoked\r\n"
	badFormat := func(input string) string {
		const reason = `"Invalid ` + "`format` query argument (expected `csv` or `json`)" + `"`
		return fmt.Sprintf(`{"detail":[{"type":"value_error","loc":["query","format"],"msg":%s,"input":%q}],"error":"bad_data","reason":%s}`, reason, input, reason)
	}
	badAt := withDetail(`{"error":"bad_data","reason":"Invalid ` + "`at`" + ` query argument (expected RFC3339 datetime)"}`)
	all := `{"stats": [` + organization("CoolOrg", 1, 2, profiles(1, 1)) + ", " + empty + ", " + other + `]}`
	stats := fmt.Sprintf(`{"data_size":0,"metadata_size":0,"realms":1,"users":3,"active_users":2,"users_per_profile_detail":%s}`, profiles(1, 1))
	f.play([]administrationStep{
		{"GET", "organizations/CoolOrg/stats", "", 200, stats},
		{"PATCH", "organizations/CoolOrg/stats", "", 200, stats},
		{"GET", "stats?format=json", "", 200, `{"stats": [` + organization("CoolOrg", 1, 2, profiles(1, 1)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2024-01-02T03:50:00Z", "", 200, `{"stats": [` + organization("CoolOrg", 1, 3, profiles(2, 0)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2024-01-02T05:50:00%2b02:00", "", 200, `{"stats": [` + organization("CoolOrg", 1, 3, profiles(2, 0)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2024-01-02T05:50:00+02:00", "", 200, `{"stats": [` + organization("CoolOrg", 1, 3, profiles(2, 0)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2024-01-02T03:00:00Z", "", 200, `{"stats": [` + organization("CoolOrg", 0, 3, profiles(2, 0)) + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2000-01-01T00:00:00Z", "", 200, `{"stats": []}`},
		{"GET", "stats?format=csv&at=2000-01-01T00:00:00Z", "", 200, header},
		{"GET", "stats?format=json&at=", "", 200, `{"stats": [` + organization("CoolOrg", 1, 2, profiles(1, 1)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=csv", "", 200, header + "CoolOrg,0,0,1,2,1,0,1,1,0,0\r\nEmptyOrg,0,0,0,0,0,0,0,0,0,0\r\nOtherOrg,0,0,0,3,1,0,2,0,0,0\r\n"},
		{"GET", "stats", "", 200, all},
		{"GET", "stats?format=", "", 422, badFormat("")},
		{"GET", "stats?format=CSV", "", 422, badFormat("CSV")},
		{"GET", "stats?format=CSV&at=x", "", 422, badFormat("CSV")},
		{"GET", "stats?at=x", "", 400, badAt},
		{"GET", "stats?format=csv&at=2024-01-02", "", 400, badAt},
	})
	for query, want := range map[string]string{"json": "application/json", "csv": "text/csv; charset=utf-8"} {
		if got := f.get("/administration/stats?format="+query, bearer).Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
}

func TestAdministrationMethods(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]string{
		"organizations": "GET, HEAD, POST", "organizations/CoolOrg": "DELETE, GET, HEAD, PATCH", "organizations/CoolOrg/stats": "GET, HEAD, PATCH",
		"organizations/CoolOrg/users": "GET, HEAD", "organizations/CoolOrg/users/freeze": "POST", "stats": "GET, HEAD",
	} {
		response := f.do("PROPFIND", "/administration/"+path, nil, bearer)
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != want {
			t.Errorf("PROPFIND %s: HTTP %d, Allow %s", path, response.StatusCode, response.Header.Get("Allow"))
		}
	}
}

func TestAdministrationBodyTooLarge(t *testing.T) {
	f := newFixture(t)
	body := `{"organization_id": "` + strings.Repeat("x", 64<<10) + `"}`
	f.play([]administrationStep{{"POST", "organizations", body, 413, withDetail(`{"error":"bad_data","reason":"Request Entity Too Large"}`)}})
}

// Each change is one line, and no more.
func TestAdministrationAudit(t *testing.T) {
	f := newFixture(t)
	_, _ = f.administrate("POST", "organizations", `{"organization_id": "New", "active_users_limit": 3}`)
	_, _ = f.administrate("PATCH", "organizations/New", `{"active_users_limit": null, "user_profile_outsider_allowed": true}`)
	_, _ = f.administrate("PATCH", "organizations/New", `{}`)
	_, _ = f.administrate("PATCH", "organizations/Unknown", `{"is_expired": true}`)
	_, _ = f.administrate("POST", "organizations/CoolOrg/users/freeze", `{"frozen": true, "user_id": "bob"}`)
	_, _ = f.administrate("POST", "organizations/CoolOrg/users/freeze", `{"frozen": true, "user_id": "bob"}`)
	var audit []map[string]any
	for line := range strings.Lines(f.logs.String()) {
		var record map[string]any
		f.ok(json.Unmarshal([]byte(line), &record))
		if record["msg"] == "audit" {
			delete(record, "time")
			audit = append(audit, record)
		}
	}
	want := []map[string]any{
		{"level": "INFO", "msg": "audit", "action": "create_organization", "administrator": "administrator", "address": "127.0.0.1", "organization": "New", "after": map[string]any{
			"expiration_date": "none", "user_profile_outsider_allowed": true, "active_users_limit": 3.0, "minimum_archiving_period": 2592000.0}},
		{"level": "INFO", "msg": "audit", "action": "update_organization", "administrator": "administrator", "address": "127.0.0.1", "organization": "New",
			"before": map[string]any{"active_users_limit": 3.0}, "after": map[string]any{"active_users_limit": "none"}},
		{"level": "INFO", "msg": "audit", "action": "freeze_user", "administrator": "administrator", "address": "127.0.0.1", "organization": "CoolOrg", "user": "bob",
			"before": map[string]any{"frozen": false}, "after": map[string]any{"frozen": true}},
	}
	if !reflect.DeepEqual(audit, want) {
		t.Errorf("audit %v, want %v", audit, want)
	}
	if strings.Contains(f.logs.String(), administrationToken) {
		t.Error("the token is logged")
	}
}
