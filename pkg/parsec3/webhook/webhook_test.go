package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/webhook"
)

var (
	quiet   = slog.New(slog.DiscardHandler)
	service = rules.SequesterService{ID: parsec.SequesterServiceID{0xab, 15: 0x01}, Label: "Auditor"}
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func vlobQuestion() *rules.VlobQuestion {
	return &rules.VlobQuestion{
		Organization: must(parsec.ParseOrganizationID("Éire")),
		Realm:        parsec.RealmID{0x01, 15: 0x0a},
		Version: &rules.VlobVersion{
			Vlob: parsec.VlobID{0x02, 15: 0x0b}, Version: 3, KeyIndex: 7,
			Author: parsec3.DeviceID{0x03, 15: 0x0c}, Timestamp: 946_684_800_120_000, Blob: []byte("\x00blob"),
		},
	}
}

func rotationQuestion() *rules.KeyRotationQuestion {
	return &rules.KeyRotationQuestion{
		Organization: must(parsec.ParseOrganizationID("Éire")),
		Rotation: certificate.RealmKeyRotation{
			Author: parsec3.DeviceID{0x03, 15: 0x0c}, Timestamp: 946_684_800_000_000,
			RealmID: parsec.RealmID{0x01, 15: 0x0a}, KeyIndex: 8, KeyCanary: []byte{0xfb, 0xff},
		},
		KeysBundle: []byte("bundle"), Access: []byte{},
	}
}

const (
	vlobQuery = "type=vlob_create_or_update&service_id=ab000000000000000000000000000001&organization_id=%C3%89ire" +
		"&author=0300000000000000000000000000000c&realm_id=0100000000000000000000000000000a" +
		"&vlob_id=0200000000000000000000000000000b&key_index=7&version=3&timestamp=2000-01-01T00%3A00%3A00.120Z"
	rotationQuery = "type=realm_rotate_key&service_id=ab000000000000000000000000000001&organization_id=%C3%89ire" +
		"&author=0300000000000000000000000000000c&timestamp=2000-01-01T00%3A00%3A00Z" +
		"&realm_id=0100000000000000000000000000000a&key_index=8" +
		"&encryption_algorithm=BLAKE2_XSALSA20_POLY1305&hash_algorithm=SHA256" +
		"&key_canary=%2B%2F8%3D&keys_bundle=YnVuZGxl&keys_bundle_access="
)

// What a service is asked is exactly docs/protocol/v5/administration.md §7.2; what its
// address has comes first, unchanged.
func TestQuestions(t *testing.T) {
	type call struct{ method, uri, contentType, body string }
	for address, prefix := range map[string]string{
		"":                         "/?",
		"/hook":                    "/hook?",
		"/hook?token=a%26b&type=x": "/hook?token=a%26b&type=x&",
	} {
		t.Run(address, func(t *testing.T) {
			var got []call
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = append(got, call{r.Method, r.RequestURI, strings.Join(r.Header["Content-Type"], ","), string(body)})
			}))
			w := New("", quiet)
			s := service
			s.WebhookURL = server.URL + address
			errs := errors.Join(w.AskVlob(t.Context(), s, vlobQuestion()), w.AskKeyRotation(t.Context(), s, rotationQuestion()), w.Close(t.Context()))
			server.Close() // The handlers have ended.
			want := []call{{"POST", prefix + vlobQuery, "", "\x00blob"}, {"POST", prefix + rotationQuery, "", ""}}
			if errs != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %q, error %v, want %q", got, errs, want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	unavailable := protocol.RefuseWithoutSequester(service.ID)
	rejected := func(reason string) *protocol.Refusal { return protocol.RefuseForSequester(service.ID, &reason) }
	mute := protocol.RefuseForSequester(service.ID, nil)
	for name, test := range map[string]struct {
		status int
		body   string
		want   *protocol.Refusal
	}{
		"ok":                         {200, "ignored", nil},
		"no content":                 {204, "", nil},
		"last success":               {299, "", nil},
		"rejected":                   {400, `{"reason": "virus found"}`, rejected("virus found")},
		"rejected, more fields":      {400, `{"error": 1, "reason": "virus"}`, rejected("virus")},
		"rejected, reason empty":     {400, `{"reason": ""}`, rejected("")},
		"rejected, no reason":        {400, `{}`, mute},
		"rejected, no body":          {400, "", mute},
		"rejected, not JSON":         {400, "<html>", mute},
		"rejected, not an object":    {400, `["reason"]`, mute},
		"rejected, a text":           {400, `"reason"`, mute},
		"rejected, reason no string": {400, `{"reason": 3}`, mute},
		"rejected, reason null":      {400, `{"reason": null}`, mute},
		"rejected, trailing garbage": {400, `{"reason": "virus"} x`, mute},
		"rejected, endless body":     {400, `{"reason": "` + strings.Repeat("x", 64<<10) + `"}`, mute},
		"redirection":                {302, "", unavailable},
		"redirection with body":      {307, "", unavailable},
		"not modified":               {304, "", unavailable},
		"unauthorized":               {401, `{"reason": "virus"}`, unavailable},
		"server error":               {500, "", unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			w := New("", quiet)
			s := service
			s.WebhookURL = server.URL
			checkRefusal(t, w.AskVlob(t.Context(), s, vlobQuestion()), test.want)
			checkRefusal(t, w.AskKeyRotation(t.Context(), s, rotationQuestion()), test.want)
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
			server.Close()
			if calls != 2 {
				t.Errorf("%d calls instead of one a question", calls)
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, want *protocol.Refusal) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Errorf("got %v, want success", err)
		}
		return
	}
	got, found := errors.AsType[*protocol.Refusal](err)
	if !found || got.Status != want.Status || !reflect.DeepEqual(got.Details, want.Details) {
		t.Errorf("got %v with %+v, want %v with %+v", err, got, want, want.Details)
	}
}

func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, address := range map[string]string{
		"nobody listens":  closed.URL,
		"no address":      "::",
		"unknown scheme":  "gopher://localhost",
		"no host":         "http://",
		"control in path": "http://localhost/\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			w := New("", quiet)
			s := service
			s.WebhookURL = address
			checkRefusal(t, w.AskVlob(t.Context(), s, vlobQuestion()), protocol.RefuseWithoutSequester(service.ID))
		})
	}
}

// roundTripper answers calls without network, so that time is that of the bubble of
// the test.
type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// hang never answers.
func hang(request *http.Request) (*http.Response, error) {
	<-request.Context().Done()
	return nil, request.Context().Err()
}

func TestHangingServiceIsUnavailableAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Webhooks{webhook.NewOver(roundTripper(hang), "", quiet)}
		begin := time.Now()
		checkRefusal(t, w.AskVlob(t.Context(), service, vlobQuestion()), protocol.RefuseWithoutSequester(service.ID))
		if lasted := time.Since(begin); lasted != 10*time.Second {
			t.Errorf("lasted %v", lasted)
		}
	})
}

func TestAbandonedQuestion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &Webhooks{webhook.NewOver(roundTripper(func(request *http.Request) (*http.Response, error) {
		cancel()
		return hang(request)
	}), "", quiet)}
	if err := w.AskVlob(ctx, service, vlobQuestion()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBootstrapped(t *testing.T) {
	var got map[string]any
	var contentType string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		contentType = r.Method + " " + r.Header.Get("Content-Type")
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	}))
	w := New(server.URL, quiet)
	w.Bootstrapped(must(parsec.ParseOrganizationID("Acme")), parsec3.DeviceID{0xab},
		must(parsec3.ParseDeviceLabel("laptop")), must(parsec3.ParseHumanHandle("alice@example.com", "Alice")))
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	want := map[string]any{
		"organization_id": "Acme", "device_id": "ab000000000000000000000000000000", "device_label": "laptop",
		"human_email": "alice@example.com", "human_label": "Alice",
	}
	if contentType != "POST application/json; charset=utf-8" || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s %v, want %v", contentType, got, want)
	}
}
