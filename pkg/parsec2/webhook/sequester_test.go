package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/webhook"
)

// The bounds of calls out of the server.
const (
	callLimit        = 30 * time.Second
	maxAnswerBytes   = 64 << 10
	maxBootstraps    = 256
	genericRejection = "File rejected (no reason)"
)

var quiet = slog.New(slog.DiscardHandler)

func newWebhooks(bootstrapURL string, transport http.RoundTripper) *Webhooks {
	return &Webhooks{webhook.NewOver(transport, bootstrapURL, quiet)}
}

func organizationID(t testing.TB, text string) parsec.OrganizationID {
	t.Helper()
	id, err := parsec.ParseOrganizationID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var service = rules.SequesterService{
	ID:    parsec.SequesterServiceID{0xab, 15: 0x01},
	Label: "Auditor",
}

func TestSequesterAnswers(t *testing.T) {
	timeout := protocol.Refuse(protocol.StatusTimeout, "The sequester service Auditor is not available.")
	rejected := func(reason string) *protocol.Refusal {
		return &protocol.Refusal{
			Status: protocol.StatusRejectedBySequester, Reason: reason,
			Details: &protocol.RejectedBySequesterDetails{ServiceID: service.ID, ServiceLabel: "Auditor"},
		}
	}
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
		"rejected, no body":          {400, "", rejected(genericRejection)},
		"rejected, not JSON":         {400, "<html>", rejected(genericRejection)},
		"rejected, not an object":    {400, `["reason"]`, rejected(genericRejection)},
		"rejected, reason no string": {400, `{"reason": 3}`, rejected(genericRejection)},
		"rejected, reason null":      {400, `{"reason": null}`, rejected(genericRejection)},
		"rejected, reason empty":     {400, `{"reason": ""}`, rejected(genericRejection)},
		"rejected, trailing garbage": {400, `{"reason": "virus"} x`, rejected(genericRejection)},
		"rejected, endless body":     {400, `{"reason": "` + strings.Repeat("x", maxAnswerBytes) + `"}`, rejected(genericRejection)},
		"redirection":                {307, "", timeout},
		"not modified":               {304, "", timeout},
		"unauthorized":               {401, `{"reason": "virus"}`, timeout},
		"server error":               {500, "", timeout},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			c := New("", quiet)
			s := service
			s.WebhookURL = server.URL
			checkRefusal(t, c.Sequester(t.Context(), organizationID(t, "Acme"), s, []byte("blob")), test.want)
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			server.Close() // The handler has ended.
			if calls != 1 {
				t.Errorf("%d calls instead of one", calls)
			}
		})
	}
}

func TestSequesterRequest(t *testing.T) {
	var got struct {
		method, path, organization, service, token, body string
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		got.method, got.path, got.token = r.Method, r.URL.Path, query.Get("token")
		got.organization, got.service = query.Get("organization_id"), query.Get("service_id")
		body, _ := io.ReadAll(r.Body)
		got.body = string(body)
	}))
	c := New("", quiet)
	s := service
	s.WebhookURL = server.URL + "/hook?token=a%26b&service_id=forged"
	err := c.Sequester(t.Context(), organizationID(t, "Éire"), s, []byte("\x00blob"))
	server.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := got
	want.method, want.path, want.token, want.body = "POST", "/hook", "a&b", "\x00blob"
	want.organization, want.service = "Éire", "ab000000000000000000000000000001"
	if got != want {
		t.Errorf("got %+q, want %+q", got, want)
	}
}

func TestSequesterUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	closed := server.URL
	server.Close()
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, "SSH-2.0-OpenSSH\r\n")
	}))
	defer garbage.Close()
	for name, address := range map[string]string{
		"nobody listens":  closed,
		"garbage":         garbage.URL,
		"no address":      "::",
		"unknown scheme":  "gopher://localhost",
		"no host":         "http://",
		"control in path": "http://localhost/\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			c := New("", quiet)
			s := service
			s.WebhookURL = address
			err := c.Sequester(t.Context(), organizationID(t, "Acme"), s, []byte("blob"))
			if !errors.Is(err, &protocol.Refusal{Status: protocol.StatusTimeout}) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// roundTripper answers calls without network, so that time is that of the
// bubble of the test.
type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// hang never answers.
func hang(request *http.Request) (*http.Response, error) {
	<-request.Context().Done()
	return nil, request.Context().Err()
}

// hangingBody gives a start, then nothing until ctx is done.
type hangingBody struct {
	ctx   context.Context
	start io.Reader
}

func (b *hangingBody) Read(p []byte) (int, error) {
	if n, _ := b.start.Read(p); n > 0 {
		return n, nil
	}
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func (*hangingBody) Close() error { return nil }

// hangAfter returns a status and the start of a body.
func hangAfter(status int, start string) roundTripper {
	return func(request *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{}, Request: request,
			Body: &hangingBody{request.Context(), strings.NewReader(start)},
		}, nil
	}
}

func TestSequesterHanging(t *testing.T) {
	for name, test := range map[string]struct {
		transport roundTripper
		want      protocol.Status // "" is accepted
		lasts     time.Duration
	}{
		"no answer":                    {hang, protocol.StatusTimeout, callLimit},
		"accepted, body never ends":    {hangAfter(200, "x"), "", 0},
		"rejected, body never ends":    {hangAfter(400, `{"reason": `), protocol.StatusRejectedBySequester, callLimit},
		"server error, body never end": {hangAfter(500, ""), protocol.StatusTimeout, callLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWebhooks("", test.transport)
				begin := time.Now()
				err := c.Sequester(t.Context(), organizationID(t, "Acme"), service, []byte("blob"))
				if lasted := time.Since(begin); lasted != test.lasts {
					t.Errorf("lasted %v, want %v", lasted, test.lasts)
				}
				if test.want == "" && err != nil || test.want != "" && !errors.Is(err, &protocol.Refusal{Status: test.want}) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		})
	}
}

func TestSequesterAbandoned(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newWebhooks("", roundTripper(func(request *http.Request) (*http.Response, error) {
		cancel()
		return hang(request)
	}))
	err := c.Sequester(ctx, organizationID(t, "Acme"), service, []byte("blob"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
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
	if !found || got.Status != want.Status || got.Reason != want.Reason {
		t.Fatalf("got %v, want %v", err, want)
	}
	details, _ := got.Details.(*protocol.RejectedBySequesterDetails)
	wanted, _ := want.Details.(*protocol.RejectedBySequesterDetails)
	if (details == nil) != (wanted == nil) || details != nil && *details != *wanted {
		t.Errorf("got details %+v, want %+v", got.Details, want.Details)
	}
}
