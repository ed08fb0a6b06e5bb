package server_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// The forms of docs/protocol/v5/administration.md §1.6, by an organization that is
// answered in each.
var organizationOfForm = map[string]parsec.OrganizationID{"none": emptyOrg, "2": otherOrg, "3": coolOrg}

const (
	adaID = "a11cebb7d9de4f5ca1ae1b8b0d2b6a01"
	bobID = "b0bcebb7d9de4f5ca1ae1b8b0d2b6a02"
)

// newFormsFixture has ada and bob, who is revoked, in an organization of each generation,
// and one of none.
func newFormsFixture(t *testing.T, changes ...func(*options)) *fixture {
	t.Helper()
	f := newEmptyFixture(t, append(changes, twoWings)...)
	f.organize(emptyOrg, 0)
	for _, wing := range f.wings {
		ada, bob := f.person("ada", parsec.ProfileAdmin), f.person("bob", parsec.ProfileStandard)
		bob.revokedOn = &reference
		id := otherOrg
		if wing.generation == organization.Parsec3 {
			id, ada.ID, bob.ID = coolOrg, adaID, bobID
		}
		f.organize(id, wing.generation)
		wing.people[id] = []person{ada, bob}
	}
	return f
}

// formRow is a request, in whose path and body ORG is the organization, and its answer in
// a form, whose values are those of JSON; nil is any.
type formRow struct {
	method, path, body string
	status             int
	want               map[string]any
}

var (
	anyText   any
	oneActive = map[string]any{"active": 1.0, "revoked": 0.0}
	oneGone   = map[string]any{"active": 0.0, "revoked": 1.0}
	noCount   = map[string]any{"active": 0.0, "revoked": 0.0}
)

func refused(detail string, more ...string) map[string]any {
	want := map[string]any{"detail": detail}
	for i := 0; i < len(more); i += 2 {
		want[more[i]] = more[i+1]
	}
	return want
}

// statisticsOf returns the statistics, of nobody without profiles.
func statisticsOf(profiles any, users, active float64) map[string]any {
	return map[string]any{
		"data_size": 0.0, "metadata_size": 0.0, "realms": 0.0, "users": users, "active_users": active, "users_per_profile_detail": profiles,
	}
}

// listed has a profile, as in the list of form 2.
func listed(profile string, counts map[string]any) map[string]any {
	with := maps.Clone(counts)
	with["profile"] = profile
	return with
}

func settingsOf(bootstrapped bool, names ...string) map[string]any {
	all := map[string]any{
		"is_bootstrapped": bootstrapped, "is_expired": false, "user_profile_outsider_allowed": true, "active_users_limit": nil,
		"realm_minimum_archiving_period_before_deletion": 2592000.0, "tos": nil, "minimum_archiving_period": 2592000.0,
	}
	for _, name := range names {
		delete(all, name)
	}
	return all
}

func userOf(id string, frozen bool) map[string]any {
	return map[string]any{"user_id": id, "user_email": "ada@example.com", "user_name": "ada", "frozen": frozen}
}

func resetOf(sent string) map[string]any {
	return map[string]any{
		"user_id": adaID, "user_email": "ada@example.com", "totp_reset_url": anyText, "totp_reset_url_as_http_redirection": anyText,
		"email_sent_status": sent,
	}
}

const (
	newPeriod = "realm_minimum_archiving_period_before_deletion"
	oldPeriod = "minimum_archiving_period"
)

// formTable is every route in every form.
var formTable = map[string][]formRow{
	"none": {
		{"POST", "organizations", `{"organization_id": "ORG"}`, 200, map[string]any{
			"bootstrap_token": anyText, "bootstrap_url": anyText, "bootstrap_url_as_http_redirection": anyText,
		}},
		{"GET", "organizations/ORG", "", 200, settingsOf(false)},
		{"PATCH", "organizations/ORG", `{"tos": {"fr": "https://example.com/"}}`, 200, map[string]any{}},
		{"GET", "organizations/ORG/stats", "", 200, statisticsOf(map[string]any{"ADMIN": noCount, "STANDARD": noCount, "OUTSIDER": noCount}, 0, 0)},
		{"PATCH", "organizations/ORG/stats", "", 200, statisticsOf(map[string]any{"ADMIN": noCount, "STANDARD": noCount, "OUTSIDER": noCount}, 0, 0)},
		{"GET", "organizations/ORG/users", "", 404, refused("Organization not found", "error", "not_found")},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_id": "` + adaID + `"}`, 404, refused("Organization not found", "error", "not_found")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_id": "` + adaID + `"}`, 404, refused("Organization not found")},
		{"GET", "organizations/ORG/sequester/services", "", 404, refused("Organization not found")},
		{"POST", "organizations/ORG/sequester/services", newService("x"), 404, refused("Organization not found")},
		{"POST", "organizations/ORG/sequester/services/revoke", revocation("x"), 404, refused("Organization not found")},
		{"PUT", "organizations/ORG/sequester/services/config", serviceConfig("x"), 404, refused("Organization not found")},
	},
	"2": {
		{"POST", "organizations", `{"organization_id": "ORG"}`, 400, map[string]any{"error": "already_exists"}},
		{"GET", "organizations/ORG", "", 200, settingsOf(true, newPeriod, "tos")},
		{"PATCH", "organizations/ORG", `{"tos": 5}`, 200, map[string]any{}},
		{"GET", "organizations/ORG/stats", "", 200, statisticsOf([]any{listed("ADMIN", oneActive), listed("STANDARD", oneGone), listed("OUTSIDER", noCount)}, 2, 1)},
		{"PATCH", "organizations/ORG/stats", "", 200, statisticsOf([]any{listed("ADMIN", oneActive), listed("STANDARD", oneGone), listed("OUTSIDER", noCount)}, 2, 1)},
		{"GET", "organizations/ORG/users", "", 200, map[string]any{"users": []any{
			userOf("ada", false), map[string]any{"user_id": "bob", "user_email": "bob@example.com", "user_name": "bob", "frozen": false},
		}}},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": "1", "user_id": "ada"}`, 200, userOf("ada", true)},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_id": "bob"}`, 404, map[string]any{"error": "user_not_found"}},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_id": "` + adaID + `"}`, 404, refused("Not an organization of Parsec 3")},
		{"GET", "organizations/ORG/sequester/services", "", 404, refused("Not an organization of Parsec 3")},
		{"POST", "organizations/ORG/sequester/services", newService("x"), 404, refused("Not an organization of Parsec 3")},
		{"POST", "organizations/ORG/sequester/services/revoke", revocation("x"), 404, refused("Not an organization of Parsec 3")},
		{"PUT", "organizations/ORG/sequester/services/config", serviceConfig("x"), 404, refused("Not an organization of Parsec 3")},
	},
	"3": {
		{"POST", "organizations", `{"organization_id": "ORG"}`, 400, refused("Organization already exists")},
		{"GET", "organizations/ORG", "", 200, settingsOf(true, oldPeriod)},
		{"PATCH", "organizations/ORG", `{"tos": null}`, 200, map[string]any{}},
		{"GET", "organizations/ORG/stats", "", 200, statisticsOf(map[string]any{"ADMIN": oneActive, "STANDARD": oneGone, "OUTSIDER": noCount}, 2, 1)},
		{"PATCH", "organizations/ORG/stats", "", 200, statisticsOf(map[string]any{"ADMIN": oneActive, "STANDARD": oneGone, "OUTSIDER": noCount}, 2, 1)},
		{"GET", "organizations/ORG/users", "", 200, map[string]any{"users": []any{userOf(adaID, false)}}},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_id": "` + adaID + `", "user_email": null}`, 200, userOf(adaID, true)},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_email": "ada@example.com"}`, 200, userOf(adaID, true)},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": false, "user_id": "a11cebb7-d9de-4f5c-a1ae-1b8b0d2b6a01"}`, 200, userOf(adaID, false)},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_id": "` + bobID + `"}`, 404, refused("User has been revoked")},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_email": "bob@example.com"}`, 404, refused("User not found")},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_id": "` + strings.Repeat("0", 32) + `"}`, 404, refused("User not found")},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true}`, 400, refused("Missing either `user_id` or `user_email` field")},
		{"POST", "organizations/ORG/users/freeze", `{"frozen": true, "user_id": "` + adaID + `", "user_email": ""}`, 400, refused("Both `user_id` and `user_email` fields are provided")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_id": "` + adaID + `"}`, 200, resetOf("NOT_SENT_AS_REQUESTED")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_email": "ada@example.com", "send_email": true}`, 200, resetOf("BAD_SMTP_CONFIG")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_id": "` + bobID + `"}`, 404, refused("User has been revoked")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_email": "bob@example.com"}`, 404, refused("User not found")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_id": "` + strings.Repeat("0", 32) + `"}`, 404, refused("User not found")},
		{"POST", "organizations/ORG/users/reset_totp", `{}`, 400, refused("Missing either `user_id` or `user_email` field")},
		{"POST", "organizations/ORG/users/reset_totp", `{"user_id": "` + adaID + `", "user_email": ""}`, 400, refused("Both `user_id` and `user_email` fields are provided")},
		{"GET", "organizations/ORG/sequester/services", "", 200, map[string]any{"services": []any{}}},
		{"POST", "organizations/ORG/sequester/services", newService("invalid"), 400, refused("Invalid certificate")},
		{"POST", "organizations/ORG/sequester/services", newService("ahead"), 400, refused("Timestamp too far in the future")},
		{"POST", "organizations/ORG/sequester/services", newService("late"), 400, map[string]any{
			"detail": map[string]any{"msg": "Require greater timestamp", "strictly_greater_than": "2024-01-02T03:04:05Z"},
		}},
		{"POST", "organizations/ORG/sequester/services", newService("1"), 200, map[string]any{}},
		{"POST", "organizations/ORG/sequester/services", newService("1"), 400, refused("Sequester service already exists")},
		{"POST", "organizations/ORG/sequester/services", newService("2"), 200, map[string]any{}},
		{"POST", "organizations/ORG/sequester/services/revoke", revocation("invalid"), 400, refused("Invalid certificate")},
		{"POST", "organizations/ORG/sequester/services/revoke", revocation("3"), 404, refused("Sequester service not found")},
		{"POST", "organizations/ORG/sequester/services/revoke", revocation("2"), 200, map[string]any{}},
		{"POST", "organizations/ORG/sequester/services/revoke", revocation("2"), 400, refused("Sequester service already revoked")},
		{"PUT", "organizations/ORG/sequester/services/config", serviceConfig("3"), 404, refused("Sequester service not found")},
		{"PUT", "organizations/ORG/sequester/services/config", serviceConfig("2"), 200, map[string]any{}},
		{"GET", "organizations/ORG/sequester/services", "", 200, map[string]any{"services": []any{
			map[string]any{"service_id": serviceHex("1"), "service_label": "Label", "created_on": "2024-01-02T03:04:05Z", "revoked_on": nil, "type": "storage"},
			map[string]any{
				"service_id": serviceHex("2"), "service_label": "Label", "created_on": "2024-01-02T03:04:05Z",
				"revoked_on": "2024-01-02T03:04:05.678901Z", "type": "webhook", "webhook_url": "https://example.com/",
			},
		}}},
	},
}

func newService(certificate string) string {
	return fmt.Sprintf(`{"service_certificate": %q, "config": {"type": "storage"}}`, base64.StdEncoding.EncodeToString([]byte(certificate)))
}

func revocation(certificate string) string {
	return fmt.Sprintf(`{"revoked_service_certificate": %q}`, base64.StdEncoding.EncodeToString([]byte(certificate)))
}

func serviceHex(certificate string) string {
	var id parsec.UUID
	copy(id[:], certificate)
	return id.Hex()
}

func serviceConfig(certificate string) string {
	return fmt.Sprintf(`{"service_id": %q, "config": {"type": "webhook", "webhook_url": "https://example.com/"}}`, serviceHex(certificate))
}

// TestAdministrationForms has every route answer organizations of both generations, and of
// none yet, each in its form: status and keys exactly.
func TestAdministrationForms(t *testing.T) {
	for form, rows := range formTable {
		t.Run(form, func(t *testing.T) {
			f := newFormsFixture(t)
			name := organizationOfForm[form].String()
			for _, row := range rows {
				headers := []string{typeJSON}
				if form == "2" {
					headers = nil // is not checked
				}
				path, body := strings.ReplaceAll(row.path, "ORG", name), strings.ReplaceAll(row.body, "ORG", name)
				if strings.Contains(path, "sequester") || strings.Contains(path, "reset_totp") { // which are of Parsec 3 alone
					headers = []string{"Content-Type: application/json; charset=utf-8"}
				}
				status, answer := f.administrate(row.method, path, body, headers...)
				var got map[string]any
				f.ok(json.Unmarshal([]byte(answer), &got))
				if status != row.status || !sameAnswer(got, row.want) {
					t.Errorf("%s %s %s: HTTP %d %s, want %d %v", row.method, path, body, status, answer, row.status, row.want)
				}
			}
		})
	}
}

// sameAnswer has nil match any text.
func sameAnswer(got, want map[string]any) bool {
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		return false
	}
	for key, value := range want {
		if text, isText := got[key].(string); (value != nil || !isText || text == "") && !reflect.DeepEqual(got[key], value) {
			return false
		}
	}
	return true
}

// Every route is in the table in every form.
func TestAdministrationFormsAreComplete(t *testing.T) {
	routes := map[string]map[string]bool{}
	for form, rows := range formTable {
		for _, row := range rows {
			route := row.method + " " + row.path
			if routes[route] == nil {
				routes[route] = map[string]bool{}
			}
			routes[route][form] = true
		}
	}
	const all = 12
	if len(routes) != all {
		t.Errorf("%d routes, want %d", len(routes), all)
	}
	for route, forms := range routes {
		if len(forms) != len(organizationOfForm) {
			t.Errorf("%s: in forms %v", route, slices.Sorted(maps.Keys(forms)))
		}
	}
}

// The statistics of the server have each organization in its form.
func TestAdministrationSurveyForms(t *testing.T) {
	f := newFormsFixture(t)
	status, answer := f.administrate("GET", "stats", "")
	var got struct{ Stats []map[string]any }
	f.ok(json.Unmarshal([]byte(answer), &got))
	item := func(id string, statistics map[string]any, without ...string) map[string]any {
		statistics["organization_id"] = id
		for _, name := range without {
			delete(statistics, name)
		}
		return statistics
	}
	want := []map[string]any{
		item("CoolOrg", statisticsOf(map[string]any{"ADMIN": oneActive, "STANDARD": oneGone, "OUTSIDER": noCount}, 2, 1)),
		item("EmptyOrg", statisticsOf(map[string]any{"ADMIN": noCount, "STANDARD": noCount, "OUTSIDER": noCount}, 0, 0)),
		item("OtherOrg", statisticsOf([]any{listed("ADMIN", oneActive), listed("STANDARD", oneGone), listed("OUTSIDER", noCount)}, 2, 1), "users"),
	}
	if status != http.StatusOK || !reflect.DeepEqual(got.Stats, want) {
		t.Errorf("HTTP %d %s, want %v", status, answer, want)
	}
}

// The terms that an organization has before its bootstrap are shown, with their date, and
// kept for it.
func TestAdministrationTOS(t *testing.T) {
	f := newFormsFixture(t)
	f.clock.Advance(321_099 * time.Microsecond) // to a whole second
	show := func(id string, terms string) {
		t.Helper()
		status, answer := f.administrate("GET", "organizations/"+id, "")
		if status != http.StatusOK || !strings.Contains(answer, `"tos":`+terms) {
			t.Errorf("%s: HTTP %d %s, want %s", id, status, answer, terms)
		}
	}
	const given = `{"en_US":"https://example.com/a,b","fr_FR":"no address"}`
	terms := `{"per_locale_urls":` + given + `,"updated_on":"2024-01-02T03:04:06Z"}`
	f.playJSON([]administrationStep{{"POST", "organizations", `{"organization_id": "CoolOrg", "tos": ` + given + `}`, 400, `{"detail":"Organization already exists"}`}})
	for _, id := range []string{"EmptyOrg", "CoolOrg"} {
		f.playJSON([]administrationStep{{"PATCH", "organizations/" + id, `{"tos": ` + given + `}`, 200, "{}"}})
		show(id, terms)
		f.playJSON([]administrationStep{{"PATCH", "organizations/" + id, `{"is_expired": true}`, 200, "{}"}})
		show(id, terms)
		f.playJSON([]administrationStep{{"PATCH", "organizations/" + id, `{"tos": {}}`, 200, "{}"}})
		show(id, "null")
		f.playJSON([]administrationStep{{"PATCH", "organizations/" + id, `{"tos": ` + given + `}`, 200, "{}"}, {"PATCH", "organizations/" + id, `{"tos": null}`, 200, "{}"}})
		show(id, "null")
	}
	f.play([]administrationStep{{"PATCH", "organizations/EmptyOrg", `{"tos": ` + given + `}`, 200, "{}"}})
	show("EmptyOrg", terms)
	if !strings.Contains(f.logs.String(), `"before":{"tos":`) {
		t.Error("the change of the terms is not logged")
	}
}

// Both names of the archiving period are read; the new one counts.
func TestAdministrationArchivingPeriod(t *testing.T) {
	f := newFormsFixture(t)
	for form, id := range organizationOfForm {
		shown := newPeriod
		if form == "2" {
			shown = oldPeriod
		}
		for body, want := range map[string]string{
			`{"minimum_archiving_period": 7}`:                                                                     "7",
			`{"realm_minimum_archiving_period_before_deletion": 8}`:                                               "8",
			`{"minimum_archiving_period": "x", "realm_minimum_archiving_period_before_deletion": 9}`:              "9",
			`{"realm_minimum_archiving_period_before_deletion": 9223372036854775807, "active_users_limit": null}`: "9223372036854775807",
		} {
			f.playJSON([]administrationStep{{"PATCH", "organizations/" + id.String(), body, 200, "{}"}})
			if _, answer := f.administrate("GET", "organizations/"+id.String(), ""); !strings.Contains(answer, `"`+shown+`":`+want) {
				t.Errorf("%s of form %s: %s", body, form, answer)
			}
		}
	}
}

// strictBodies are wrong where types are strict.
var strictBodies = []struct{ method, path, body string }{
	{"PATCH", "organizations/ORG", `{`},
	{"PATCH", "organizations/ORG", `[]`},
	{"PATCH", "organizations/ORG", `{"is_expired": "true"}`},
	{"PATCH", "organizations/ORG", `{"is_expired": 1}`},
	{"PATCH", "organizations/ORG", `{"is_expired": null}`},
	{"PATCH", "organizations/ORG", `{"active_users_limit": "5"}`},
	{"PATCH", "organizations/ORG", `{"active_users_limit": 5.0}`},
	{"PATCH", "organizations/ORG", `{"active_users_limit": true}`},
	{"PATCH", "organizations/ORG", `{"active_users_limit": -1}`},
	{"PATCH", "organizations/ORG", `{"active_users_limit": 9223372036854775808}`},
	{"PATCH", "organizations/ORG", `{"minimum_archiving_period": null}`},
	{"PATCH", "organizations/ORG", `{"tos": ["fr"]}`},
	{"PATCH", "organizations/ORG", `{"tos": {"fr": 5}}`},
	{"PATCH", "organizations/ORG", `{"tos": {"fr": null}}`},
	{"POST", "organizations/ORG/users/freeze", `{"user_id": "` + adaID + `"}`},
	{"POST", "organizations/ORG/users/freeze", `{"user_id": "ada", "frozen": true}`},
	{"POST", "organizations/ORG/users/freeze", `{"user_email": "ada@example.com", "frozen": "true"}`},
	{"POST", "organizations/ORG/users/freeze", `{"user_email": 5, "frozen": true}`},
	{"POST", "organizations/ORG/sequester/services", `{"config": {"type": "storage"}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ==", "config": {}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ==", "config": {"type": "STORAGE"}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ==", "config": {"type": "webhook"}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ==", "config": {"type": "webhook", "webhook_url": "example"}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ==", "config": null}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ", "config": {"type": "storage"}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MR==", "config": {"type": "storage"}}`},
	{"POST", "organizations/ORG/sequester/services", `{"service_certificate": "MQ==\n", "config": {"type": "storage"}}`},
	{"POST", "organizations/ORG/sequester/services/revoke", `{}`},
	{"PUT", "organizations/ORG/sequester/services/config", `{"service_id": "1", "config": {"type": "storage"}}`},
	{"PUT", "organizations/ORG/sequester/services/config", `{"service_id": "` + adaID + `"}`},
}

// Services are of the types of the protocol.
func TestAdministrationServiceVectors(t *testing.T) {
	f := newFormsFixture(t)
	vectors.CheckEnum(t, "SequesterServiceType", func(text string) error {
		body := fmt.Sprintf(`{"service_id": %q, "config": {"type": %q, "webhook_url": "https://example.com/"}}`, serviceHex("unknown"), text)
		status, answer := f.administrate("PUT", "organizations/CoolOrg/sequester/services/config", body, typeJSON)
		if status == http.StatusUnprocessableEntity {
			return errors.New(answer)
		}
		return nil
	})
}

// Types are strict in form 3, and in form none where the body says that it is JSON: before
// an organization is not found, and after the token.
func TestAdministrationStrictBodies(t *testing.T) {
	f := newFormsFixture(t)
	for _, row := range strictBodies {
		for name, keys := range map[string]string{"CoolOrg": "detail", "Unknown": "detail error reason", "not%20an%20id": "detail error reason"} {
			if strings.Contains(row.path, "sequester") {
				keys = "detail"
			}
			path := strings.Replace(row.path, "ORG", name, 1)
			status, answer := f.administrate(row.method, path, row.body, typeJSON)
			var got map[string]any
			f.ok(json.Unmarshal([]byte(answer), &got))
			problems, _ := got["detail"].([]any)
			if status != http.StatusUnprocessableEntity || len(problems) == 0 || strings.Join(slices.Sorted(maps.Keys(got)), " ") != keys {
				t.Errorf("%s %s %s: HTTP %d %s", row.method, path, row.body, status, answer)
			}
			response := f.do(row.method, "/administration/"+path, []byte(row.body), typeJSON)
			answered, err := io.ReadAll(response.Body)
			f.ok(err)
			if response.StatusCode != http.StatusForbidden || string(answered) != noToken {
				t.Errorf("%s %s without token: HTTP %d %s", row.method, path, response.StatusCode, answered)
			}
			f.clock.Advance(1e9 * 3600) // forgives the attempt
		}
	}
	const unsaid = `{"detail":[{"type":"value_error","loc":["body"],"msg":"Content-Type must be application/json","input":null}]}`
	f.play([]administrationStep{
		{"PATCH", "organizations/CoolOrg", `{}`, 422, unsaid},
		{"POST", "organizations/CoolOrg/sequester/services", newService("1"), 422, unsaid},
	})
	const wrong = `{"detail":[{"type":"value_error","loc":["body","organization_id"],"msg":"Invalid data","input":"not an id"}],"error":"bad_data","reason":"{'organization_id': ['Invalid data']}"}`
	f.playJSON([]administrationStep{{"POST", "organizations", `{"organization_id": "not an id"}`, 422, wrong}})
	status, answer := f.administrate("POST", "organizations", `{"organization_id": "New", "tos": null}`, typeJSON)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("terms of nothing: HTTP %d %s", status, answer)
	}
}

// A method that a route has not is refused before the token.
func TestAdministrationMethodBeforeToken(t *testing.T) {
	f := newFormsFixture(t)
	for path, want := range map[string]string{
		"organizations/CoolOrg/users/reset_totp": "POST", "organizations/CoolOrg/sequester/services": "GET, HEAD, POST",
		"organizations/CoolOrg/sequester/services/revoke": "POST", "organizations/CoolOrg/sequester/services/config": "PUT", "organizations": "GET, HEAD, POST",
	} {
		response := f.do(http.MethodDelete, "/administration/"+path, nil)
		answered, err := io.ReadAll(response.Body)
		f.ok(err)
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != want || string(answered) != `{"detail":"Method Not Allowed"}` {
			t.Errorf("DELETE %s: HTTP %d, Allow %s: %s", path, response.StatusCode, response.Header.Get("Allow"), answered)
		}
	}
}

// The links of a new organization are of the configured address.
func TestAdministrationBootstrapLinks(t *testing.T) {
	f := newFormsFixture(t)
	_, answer := f.administrate("POST", "organizations", `{"organization_id": "New"}`, "Host: elsewhere.example", "X-Forwarded-Host: elsewhere.example")
	var got map[string]string
	f.ok(json.Unmarshal([]byte(answer), &got))
	location := f.Address.LocationOf(must(parsec.ParseOrganizationID("New")))
	link := f.wings[0].BootstrapLink(location, got["bootstrap_token"])
	if got["bootstrap_url"] != link.URL || got["bootstrap_url_as_http_redirection"] != link.HTTPRedirection || len(got["bootstrap_token"]) != 32 {
		t.Errorf("%s, want %+v", answer, link)
	}
}

// Without configured address the links are of what the client asked for.
func TestAdministrationBootstrapLinksOfTheRequest(t *testing.T) {
	for name, test := range map[string]struct {
		trusted bool
		headers []string
		want    string
	}{
		"host":                {false, nil, "http://HOST/redirect/"},
		"proxy not trusted":   {false, []string{"X-Forwarded-Host: parsec.example.com", "X-Forwarded-Proto: https"}, "http://HOST/redirect/"},
		"proxy":               {true, []string{"X-Forwarded-Host: parsec.example.com", "X-Forwarded-Proto: https"}, "https://parsec.example.com/redirect/"},
		"protocol alone":      {true, []string{"X-Forwarded-Proto: https"}, "https://HOST/redirect/"},
		"Forwarded":           {true, []string{`Forwarded: for=192.0.2.1;host="parsec.example.com:8443";proto=https`}, "https://parsec.example.com:8443/redirect/"},
		"what is no protocol": {true, []string{"X-Forwarded-Host: a b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newEmptyFixture(t, twoWings, func(o *options) {
				o.withoutAddress = true
				if test.trusted {
					o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
				}
			})
			status, answer := f.administrate("POST", "organizations", `{"organization_id": "New"}`, test.headers...)
			var got map[string]string
			f.ok(json.Unmarshal([]byte(answer), &got))
			host := strings.TrimPrefix(f.Address.HTTPOrigin(), "http://")
			if want := strings.Replace(test.want, "HOST", host, 1); want == "" {
				if status != http.StatusBadRequest {
					t.Errorf("HTTP %d %s", status, answer)
				}
			} else if !strings.HasPrefix(got["bootstrap_url_as_http_redirection"], want) {
				t.Errorf("HTTP %d %s, want %s", status, answer, want)
			}
		})
	}
}
