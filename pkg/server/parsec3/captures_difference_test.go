package parsec3_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// difference is how some answers of ours are not as recorded.
type difference struct {
	// section of docs/protocol/v5 says so.
	section string
	of      func(name string, request *capturedRequest) bool
	change  func(r *replay, want *capturedReply)
}

// differences returns all of them, beside what the server makes, and the ids of messages
// of streams (events.md §4, Improve).
func differences() []difference {
	return []difference{
		{"overview.md §2: the version is that of the server", at("/"), func(_ *replay, want *capturedReply) {
			for _, header := range []string{"api-version", "supported-api-versions"} {
				if want.Headers[header] == "5.5" {
					want.Headers[header] = "5.6"
				}
			}
		}},
		{"transport.md §1: administration and pages are of no generation", at("/administration/", "/redirect/"), isOfNone},
		{"transport.md §1: so are preflights", called("CORS preflight"), isOfNone},
		{"transport.md §5, Improve: a body of a device may have 8 MiB", called("413 body of 1 MiB + 1"), func(r *replay, want *capturedReply) {
			notRead := r.exchange("415 unknown command")
			*want = r.wanted(notRead.Name, &notRead.Request, notRead.Reply)
		}},
		{"transport.md §6, Improve: nothing keeps a stream back", at("/authenticated/Captured446272c/events", "/authenticated/Day6b0b44dc/events"), func(_ *replay, want *capturedReply) {
			if want.HTTP == http.StatusOK {
				want.Headers["cache-control"] = "no-cache, no-transform"
				want.Headers["x-accel-buffering"] = "no"
				want.Headers["api-version"] = "5.6"
			}
		}},
		{"transport.md §7: a page says where it leads", called("redirect"), func(_ *replay, want *capturedReply) {
			delete(want.Headers, "content-length")
		}},
		{"transport.md §8: methods, and no body", called("CORS preflight"), func(_ *replay, want *capturedReply) {
			want.Headers["access-control-allow-methods"] += ", PUT"
			delete(want.Headers, "content-type")
		}},
		{"administration.md §1.6: the token, which is ours", called("organization create by the command line"), func(r *replay, want *capturedReply) {
			ours := r.stored("Day6b0b44dc").BootstrapToken
			theirs := r.bootstrapTokenOf(&r.exchange("organization_bootstrap, not sequestered").Request)
			links := strings.ReplaceAll(string(want.JSON), r.linkToken(theirs), r.linkToken(ours))
			want.JSON = json.RawMessage(strings.Replace(links, "{", `{"bootstrap_token": "`+ours+`", `, 1))
		}},
		{"account.md §4, Improve: mails go in the background", called("account_email_recipient_refused"), func(_ *replay, want *capturedReply) {
			want.Decoded = recordedValue{json.RawMessage(`{"status": "ok"}`)}
		}},
		{"account.md §2: a pipe has no address", called("vault_item_recovery_list"), func(r *replay, want *capturedReply) {
			r.edit(want, func(reply map[string]any) {
				vault := reply["current_vault"].(map[string]any)
				vault["auth_methods"].([]any)[0].(map[string]any)["created_by_ip"] = ""
			})
		}},
		{"account.md §5, Improve: two fields for older clients, by organization", called("organization_self_list"), func(r *replay, want *capturedReply) {
			r.edit(want, func(reply map[string]any) {
				active := reply["active"].([]any)
				slices.Reverse(active)
				for _, listed := range active {
					config := listed.(map[string]any)["organization_config"].(map[string]any)
					config["account_vault_strategy"], config["allowed_client_agent"] = "ALLOWED", "NATIVE_OR_WEB"
				}
			})
		}},
		{"account.md §5, Improve: by organization, and none that has expired", called("invite_self_list"), func(_ *replay, want *capturedReply) {
			want.Decoded = recordedValue{json.RawMessage(`{"status": "ok", "invitations": [
["Org05719a80e890", {"$bin": "tRKFAdaLbaL6ifuc9Boj5Q=="}, "USER"], ["Org2f4230a8c368", {"$bin": "YoC6eLOtcqqlIBJ2BEdsPQ=="}, "USER"],
["Orgb68877c370f5", {"$bin": "RSLQt/XUKjFhWuxGWulifQ=="}, "DEVICE"]]}`)}
		}},
		{"administration.md §1.4: the token of a reset, which is ours", called("REST: reset_totp"), withOurToken},
		{"enrollment.md §1.3, Improve: what was not sent does not come back", called("official client: async_enrollment_list"), withoutForeignIntermediates},
		{"enrollment.md §2.6: send_email may be absent", called("async_enrollment_accept_without_send_email"), func(r *replay, want *capturedReply) {
			accepted := r.exchange("async_enrollment_accept")
			*want = r.wanted(accepted.Name, &accepted.Request, accepted.Reply)
		}},
		{"account.md §7: the key of the web application is ours", called("scws_service_mutual_challenges"), func(r *replay, want *capturedReply) {
			var sent protocol.SCWSServiceMutualChallengesRequest
			r.ok(wire.Microseconds.Unmarshal(r.exchange("scws_service_mutual_challenges").Request.Raw, &sent))
			signature, err := rsa.SignPKCS1v15(nil, webApplicationKey(), 0, sent.WebApplicationChallengePayload)
			r.ok(err)
			want.Decoded = recordedValue{json.RawMessage(`{"status": "ok", "web_application_challenge_signature": {"$bin": "` +
				base64.StdEncoding.EncodeToString(signature) + `"}}`)}
		}},
	}
}

// edit changes a recorded reply, in the notation of the vectors.
func (r *replay) edit(want *capturedReply, change func(reply map[string]any)) {
	r.t.Helper()
	var reply map[string]any
	r.ok(json.Unmarshal(want.Decoded.RawMessage, &reply))
	change(reply)
	edited, err := json.Marshal(reply)
	r.ok(err)
	want.Decoded = recordedValue{edited}
}

// called is for the exchanges with these names.
func called(names ...string) func(string, *capturedRequest) bool {
	return func(name string, _ *capturedRequest) bool { return slices.Contains(names, name) }
}

// at is for the exchanges of the paths that begin with one of these.
func at(prefixes ...string) func(string, *capturedRequest) bool {
	return func(_ string, request *capturedRequest) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(request.Path, prefix) })
	}
}

func isOfNone(_ *replay, want *capturedReply) { want.Headers["server"] = "parsec" }

// checkDifferences wants each difference to be one, and its section to exist.
func checkDifferences(t *testing.T, found map[any]bool) {
	for _, d := range differences() {
		if !found[d.section] {
			t.Errorf("no answer differs by %s", d.section)
		}
		file, rest, _ := strings.Cut(d.section, " §")
		number := regexp.MustCompile(`^[0-9.]*[0-9]`).FindString(rest)
		text, err := os.ReadFile("../../../docs/protocol/v5/" + file)
		if err != nil || !regexp.MustCompile(`(?m)^##+ `+regexp.QuoteMeta(number)+`\.? `).Match(text) {
			t.Errorf("%s is no section: %v", d.section, err)
		}
	}
}
