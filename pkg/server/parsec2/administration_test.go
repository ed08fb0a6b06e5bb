package parsec2_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

const bearer = "Authorization: Bearer " + testkit.AdministrationToken

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

func (f *fixture) play(steps []administrationStep) {
	f.t.Helper()
	for _, step := range steps {
		status, answer := f.administrate(step.method, step.path, step.body)
		if status != step.status || answer != step.answer {
			f.t.Errorf("%s %s %s: HTTP %d %s, want %d %s", step.method, step.path, step.body, status, answer, step.status, step.answer)
		}
	}
}

const userNotFound = `{"error":"user_not_found"}`

// Wrong tokens slow the next ones down, whichever way they come; another
// address is not concerned, nor the right token.
func TestAdministrationTokenAttempts(t *testing.T) {
	var elapsed atomic.Int64
	f := newFixture(t, func(o *testkit.InstanceOptions) {
		o.Server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.Organizations.Token, o.Rules.InitialOutsiderAllowed = testkit.AdministrationToken, true
		o.Organizations.Elapsed = func() time.Duration { return time.Duration(elapsed.Load()) }
	})
	attempt := func(address, token string) *http.Response {
		return f.get("/administration/organizations/CoolOrg", "X-Forwarded-For: "+address, "Authorization: Bearer "+token)
	}
	for i := range 5 {
		if got := attempt("192.0.2.7", fmt.Sprint("wrong", i)).StatusCode; got != http.StatusForbidden {
			t.Fatalf("attempt %d: HTTP %d", i, got)
		}
		_, err := f.client.DialAdministration(f.ctx, fmt.Sprint("wrong", i))
		wantResult(t, err, protocol.HandshakeBadAdminToken, "Invalid administration token")
		if got := attempt("127.0.0.1", fmt.Sprint("wrong", i)).StatusCode; got != http.StatusForbidden {
			t.Fatalf("attempt %d: HTTP %d", i, got)
		}
	}
	f.clock.Advance(-24 * time.Hour) // What is slowed down is not for longer when the clock is set.
	refused := attempt("127.0.0.1", "wrong")
	body, err := io.ReadAll(refused.Body)
	f.ok(err)
	if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "6" || string(body) != `{"detail":"Too many attempts","error":"too_many_attempts"}` {
		t.Errorf("HTTP %d, Retry-After %s: %s", refused.StatusCode, refused.Header.Get("Retry-After"), body)
	}
	_, err = f.client.DialAdministration(f.ctx, "wrong")
	wantResult(t, err, protocol.HandshakeBadAdminToken, "Too many invalid administration tokens, try again later")
	if got := attempt("127.0.0.1", testkit.AdministrationToken).StatusCode; got != http.StatusOK {
		t.Errorf("the right token: HTTP %d", got)
	}
	administration, err := f.client.DialAdministration(f.ctx, testkit.AdministrationToken)
	f.ok(err)
	administration.CloseNow()
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

// A token that may only read opens no connection, whose commands change things, and reads by
// REST.
func TestReadingToken(t *testing.T) {
	f := newFixture(t, func(o *testkit.InstanceOptions) {
		o.Organizations.NamedTokens = func() ([]organization.NamedToken, error) {
			return []organization.NamedToken{{Name: "backup", Token: "backup-token", ReadOnly: true}, {Name: "zoe", Token: "zoe-token"}}, nil
		}
	})
	_, err := f.client.DialAdministration(f.ctx, "backup-token")
	wantResult(t, err, protocol.HandshakeBadAdminToken, "This administration token may only read, by REST")
	administration, err := f.client.DialAdministration(f.ctx, "zoe-token")
	f.ok(err)
	administration.CloseNow()
	if got := f.get("/administration/organizations/CoolOrg", "Authorization: Bearer backup-token").StatusCode; got != http.StatusOK {
		t.Errorf("by REST: HTTP %d", got)
	}
}

// The flag closes what is open and keeps everybody out, but the administrator.
func TestAdministrationExpiration(t *testing.T) {
	f := newFixture(t)
	alice, invited := f.connect("alice@dev1"), f.connectInvited()
	elsewhere := f.connectAs(f.deviceOf(otherOrg, "alice@dev1"))
	f.play([]administrationStep{{"PATCH", "organizations/CoolOrg", `{"is_expired": true}`, 200, "{}"}})
	f.wantClosed(alice, 1000)
	f.wantClosed(invited, 1000)
	f.wantPong(elsewhere)
	_, err := f.client.DialAuthenticated(f.ctx, f.device("alice@dev1"))
	wantResult(t, err, protocol.HandshakeOrganizationExpired, "")
	f.play([]administrationStep{{"GET", "organizations/CoolOrg/users", "", 200, coolUsers}, {"PATCH", "organizations/CoolOrg", `{"is_expired": false}`, 200, "{}"}})
	f.flush()
	f.wantPong(f.connect("alice@dev1"))
}

// Users are listed in order of creation, not of their ids.
func TestAdministrationUsersAreInOrderOfCreation(t *testing.T) {
	f := newFixture(t)
	add := func(id string, created parsec.DateTime) {
		f.update(coolOrg, func(tx rules.Tx) {
			tx.CreateUser(rules.User{
				ID: userID(id), Profile: parsec.ProfileStandard, CreatedOn: created, Certificate: []byte("x"), RedactedCertificate: []byte("x"),
				HumanHandle: must(parsec.ParseHumanHandle(id+"@example.com", id)),
			})
		})
	}
	add("aaron", reference)
	add("zoe", reference.Add(-48*time.Hour))
	_, answer := f.administrate("GET", "organizations/CoolOrg/users", "")
	var got []string
	for _, match := range regexp.MustCompile(`"user_id":"(\w+)"`).FindAllStringSubmatch(answer, -1) {
		got = append(got, match[1])
	}
	if want := []string{"zoe", "alice", "bob", "carol", "aaron"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

const coolUsers = `{"users":[` +
	`{"user_id":"alice","user_email":"alice@example.com","user_name":"alice","frozen":false},` +
	`{"user_id":"bob","user_email":"bob@example.com","user_name":"bob","frozen":false},` +
	`{"user_id":"carol","user_email":"carol@example.com","user_name":"carol","frozen":false}]}`

func TestAdministrationUsers(t *testing.T) {
	f := newFixture(t)
	f.update(coolOrg, func(tx rules.Tx) {
		tx.RevokeUser(userID("carol"), rules.Revocation{Certificate: []byte("revoked"), On: reference})
		tx.CreateUser(rules.User{ID: userID("nameless"), Profile: parsec.ProfileStandard, CreatedOn: reference, Certificate: []byte("x")})
	})
	const path = "organizations/CoolOrg/users/freeze"
	bob := func(frozen bool) string {
		return fmt.Sprintf(`{"user_id":"bob","user_email":"bob@example.com","user_name":"bob","frozen":%t}`, frozen)
	}
	connected := f.connect("bob@dev1")
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
		{"POST", path, `{"frozen": true, "user_id": "nameless"}`, 404, userNotFound},
	})
	f.wantClosed(connected, 1000)
	_, err := f.client.DialAuthenticated(f.ctx, f.device("bob@dev1"))
	wantResult(t, err, protocol.HandshakeFrozenUser, "User has been frozen by the server administrator")
	_, err = parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("bob@dev1"), api3), protocol.Ping, &protocol.PingRequest{})
	f.wantStatus(err, client.StatusUserFrozen)
}

// emptyStatistics are those of an organization without generation.
const emptyStatistics = `{"organization_id":"EmptyOrg","data_size":0,"metadata_size":0,"realms":0,"users":0,"active_users":0,` +
	`"users_per_profile_detail":{"ADMIN":{"active":0,"revoked":0},"OUTSIDER":{"active":0,"revoked":0},"STANDARD":{"active":0,"revoked":0}}}`

func TestAdministrationStatistics(t *testing.T) {
	f := newFixture(t)
	_, _ = f.administrate("POST", "organizations", `{"organization_id": "EmptyOrg"}`)
	f.createRealm(f.connect("alice@dev1"), f.device("alice@dev1"), realmID(1))
	f.update(coolOrg, func(tx rules.Tx) {
		tx.RevokeUser(userID("carol"), rules.Revocation{Certificate: []byte("revoked"), On: reference.Add(time.Hour)})
	})
	f.clock.Advance(2 * time.Hour)
	profiles := func(active, revoked int) string {
		return fmt.Sprintf(`[{"profile":"ADMIN","active":1,"revoked":0},{"profile":"STANDARD","active":%d,"revoked":%d},{"profile":"OUTSIDER","active":0,"revoked":0}]`, active, revoked)
	}
	organization := func(id string, realms, active int, profiles string) string {
		return fmt.Sprintf(`{"organization_id":"%s","data_size":0,"metadata_size":0,"realms":%d,"active_users":%d,"users_per_profile_detail":%s}`, id, realms, active, profiles)
	}
	empty, other := emptyStatistics, organization("OtherOrg", 0, 3, profiles(2, 0))
	stats := fmt.Sprintf(`{"data_size":0,"metadata_size":0,"realms":1,"users":3,"active_users":2,"users_per_profile_detail":%s}`, profiles(1, 1))
	f.play([]administrationStep{
		{"GET", "organizations/CoolOrg/stats", "", 200, stats},
		{"GET", "stats?format=json", "", 200, `{"stats": [` + organization("CoolOrg", 1, 2, profiles(1, 1)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2024-01-02T03:50:00Z", "", 200, `{"stats": [` + organization("CoolOrg", 1, 3, profiles(2, 0)) + ", " + empty + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2024-01-02T03:00:00Z", "", 200, `{"stats": [` + organization("CoolOrg", 0, 3, profiles(2, 0)) + ", " + other + `]}`},
		{"GET", "stats?format=json&at=2000-01-01T00:00:00Z", "", 200, `{"stats": []}`},
	})
}
