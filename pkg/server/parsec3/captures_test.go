package parsec3_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/pipes"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
	wing "parsec-server/pkg/server/parsec3"
	"parsec-server/pkg/wire"
)

// captured are the exchanges with the official server that are recorded
// (docs/protocol/v5/vectors.md).
type captured struct {
	Keys map[string]struct {
		VerifyKey []byte `json:"verify_key"`
		Seed      []byte `json:"ed25519_seed"`
		ID        string `json:"id"`
	} `json:"keys"`
	AccountMethods map[string]struct {
		Key []byte `json:"mac_key"`
	} `json:"account_methods"`
	SequesterAuthorities map[string]struct {
		PublicDER []byte `json:"public_der"`
	} `json:"sequester_authorities"`
	SCWS struct {
		Services       string `json:"vendor_public_keys_pem"`
		WebApplication string `json:"web_application_public_key_pem"`
	} `json:"scws_keys"`
	Exchanges []*capturedExchange `json:"exchanges"`
	Streams   []*capturedStream   `json:"streams"`
}

type capturedExchange struct {
	Name    string          `json:"name"`
	Request capturedRequest `json:"request"`
	Reply   capturedReply   `json:"reply"`
}

type capturedRequest struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Raw     []byte            `json:"raw"`
	Text    *string           `json:"text"`
	JSON    json.RawMessage   `json:"json"`
	Decoded recordedValue     `json:"decoded"`
	// Certificates are those of Raw.
	Certificates []capturedCertificate `json:"certificates"`
}

// body returns what the request carries. A long text is only described.
func (r *capturedRequest) body() []byte {
	var zeros int
	switch {
	case r.Text == nil:
		return slices.Concat(r.Raw, r.JSON) // of which there is one
	case scanned(*r.Text, "(%d bytes of 00)", &zeros):
		return make([]byte, zeros)
	default:
		return []byte(*r.Text)
	}
}

func scanned(text, format string, into ...any) bool {
	_, err := fmt.Sscanf(text, format, into...)
	return err == nil
}

// command returns the name of the command of a request, "" for what is none.
func (r *capturedRequest) command() string {
	name, _ := wire.Microseconds.LookupString(r.Raw, "cmd")
	return name
}

type capturedReply struct {
	HTTP         int                   `json:"http"`
	Headers      map[string]string     `json:"headers"`
	Raw          []byte                `json:"raw"`
	Decoded      recordedValue         `json:"decoded"`
	JSON         json.RawMessage       `json:"json"`
	Text         *string               `json:"text"`
	Certificates []capturedCertificate `json:"certificates"`
}

type capturedCertificate struct {
	Path     string        `json:"path"`
	SignedBy string        `json:"signed_by"`
	Content  recordedValue `json:"content"`
}

// recordedValue is read when it is needed: some, of other commands, are no value of
// the profile.
type recordedValue struct{ json.RawMessage }

func (v recordedValue) fields(t testing.TB) map[any]any {
	t.Helper()
	var decoded vectors.Decoded
	if err := json.Unmarshal(v.RawMessage, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded.Value.(map[any]any)
}

// replay is a server whose clock is that of the recording, over pipes: it belongs into
// a bubble of synctest.
type replay struct {
	t              *testing.T
	ctx            context.Context
	captured       *captured
	clock          *testkit.Clock
	rules          *rules.Rules
	administration *organization.Administration
	store          rules.Store
	client         *http.Transport
	mails          *replayMailer
	// refusal is what webhooks of sequester services answer about vlobs, nil to accept.
	refusal error
	// ids are those of our events, by those of the recorded ones.
	ids map[string]string
	// played are the exchanges and the streams that were compared, and the sections by
	// which answers differ.
	played map[any]bool
}

// keepAlive is the longest silence of the recorded streams.
const keepAlive = 4 * time.Second

func newReplay(t *testing.T, recorded *captured, played map[any]bool, options server.Options, limit rules.MailLimit) *replay {
	t.Helper()
	r := &replay{
		t: t, ctx: t.Context(), captured: recorded, clock: testkit.NewClock(0), ids: map[string]string{}, played: played,
		mails: &replayMailer{codes: map[string]string{}},
	}
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	r.store = memory.New(organizationmemory.New(bus))
	logger := slog.New(slog.DiscardHandler)
	founding := organization.Founding{InitialOutsiderAllowed: true, SpontaneousBootstrap: true}
	r.rules = rules.New(r.store, blockstore.NewMemory(), bus, &replayWebhooks{r}, r.clock.Now, logger, recorded.configured(t, rules.Options{
		Founding: founding, Accounts: protocol.AccountEnabledWithVault, Mailer: r.mails, MailLimit: limit,
	}))
	r.administration = organization.New(r.store, organization.Wings{organization.Parsec3: r.rules}, r.clock.Now, logger,
		organization.Options{Founding: founding, Token: administrationToken})
	address, err := parsec.Parsec3Scheme.ParseServerAddress("parsec3://parsec.invalid?no_ssl=true")
	r.ok(err)
	options.Address, options.Scheme, options.CORSOrigins = &address, parsec.Parsec3Scheme, []parsec.Origin{"http://app.example"}
	options.EventStreamKeepAlive = cmp.Or(options.EventStreamKeepAlive, keepAlive)
	serving := server.New(r.administration, r.clock.Now, logger, options,
		func(s *server.Server) server.Wing { return wing.New(s, r.rules) })
	network, served := pipes.New(), make(chan error, 1)
	go func() { served <- serving.Serve(network) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), time.Minute)
		defer cancel()
		serving.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	r.client = &http.Transport{DialContext: network.Dial, DisableCompression: true}
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// replayedLimit is that of e-mails, where it is replayed.
var replayedLimit = rules.MailLimit{MinDelay: time.Minute, MaxPerHour: 3}

const administrationToken = "s3cr3t"

// replayWebhooks accept everything, unless the replay says otherwise.
type replayWebhooks struct{ of *replay }

func (replayWebhooks) Bootstrapped(parsec.OrganizationID, parsec3.DeviceID, parsec3.DeviceLabel, parsec.HumanHandle) {
}

func (w replayWebhooks) AskVlob(context.Context, rules.SequesterService, *rules.VlobQuestion) error {
	return w.of.refusal
}

func (replayWebhooks) AskKeyRotation(context.Context, rules.SequesterService, *rules.KeyRotationQuestion) error {
	return nil
}

// TestReplay replays what is recorded, and wants the same answers, but for what
// differences names, and the same events. What is missing between the exchanges is
// done by the test.
func TestReplay(t *testing.T) {
	recorded := vectors.Load[captured](t, "v5/captures.json")
	played := map[any]bool{}
	makeShared(t)
	for _, part := range []struct {
		name    string
		options server.Options
		limit   rules.MailLimit
		play    func(*replay)
	}{
		{"Captured446272c", server.Options{}, rules.MailLimit{}, replayOrganization},
		{"CaptureSeqd446272c", server.Options{}, rules.MailLimit{}, replaySequestered},
		{"Day6b0b44dc", server.Options{EventStreamKeepAlive: 30 * time.Second}, rules.MailLimit{}, replayDay},
		{"apart", server.Options{}, rules.MailLimit{}, replayApart},
		{"enrollments", server.Options{}, rules.MailLimit{}, replayEnrollments},
		{"accounts", server.Options{}, rules.MailLimit{}, replayAccounts},
		{"limit of e-mails", server.Options{}, replayedLimit, replayLimit},
	} {
		t.Run(part.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { part.play(newReplay(t, &recorded, played, part.options, part.limit)) })
		})
	}
	t.Run("all", func(t *testing.T) { checkAllPlayed(t, &recorded, played) })
}

// makeShared has made what certificates are read and written by, which is made once in
// the process: in a bubble it would be of that one.
func makeShared(t *testing.T) {
	t.Helper()
	signed, err := certificate.RealmRole{}.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err == nil {
		_, err = certificate.Unpack(signed[ed25519.SignatureSize:])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// composed is no stream that was: the test of the messages of events has it.
const composed = "one message of each kind, from several streams"

// checkAllPlayed wants everything to have been played, each difference included.
func checkAllPlayed(t *testing.T, recorded *captured, played map[any]bool) {
	for _, e := range recorded.Exchanges {
		if !played[e] {
			t.Errorf("%s is not played", e.Name)
		}
	}
	for _, s := range recorded.Streams {
		if !played[s] && s.Name != composed {
			t.Errorf("%s is not played", s.Name)
		}
	}
	checkDifferences(t, played)
}

// settle waits until nothing goes on but what waits.
func (r *replay) settle() { synctest.Wait() }

func (r *replay) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// at sets the clock to a date of the recording.
func (r *replay) at(date parsec.DateTime) { r.clock.Advance(date.Sub(r.clock.Now())) }

func organizationOf(request *capturedRequest) string { return strings.Split(request.Path, "/")[2] }

// exchange returns the first one with a name.
func (r *replay) exchange(name string) *capturedExchange {
	r.t.Helper()
	return r.exchangeOf("", name)
}

// exchangeOf returns the first one with a name whose path names an organization, "" for
// any.
func (r *replay) exchangeOf(organization, name string) *capturedExchange {
	r.t.Helper()
	for _, e := range r.captured.Exchanges {
		if e.Name == name && strings.Contains(e.Request.Path, organization) {
			return e
		}
	}
	r.t.Fatalf("no exchange is called %q", name)
	return nil
}

// setClock sets the clock to the last date that a request names, or else to that of
// its token: the recording was made as fast as that.
func (r *replay) setClock(request *capturedRequest) {
	r.t.Helper()
	date := r.clock.Now()
	if parts := strings.Split(request.Headers["authorization"], "."); len(parts) == 4 {
		seconds, err := strconv.ParseInt(parts[2], 10, 64)
		r.ok(err)
		date = max(date, parsec.DateTime(seconds*1_000_000))
	}
	for _, signed := range request.Certificates {
		if timestamp, ok := signed.Content.fields(r.t)["timestamp"].(parsec.DateTime); ok {
			date = max(date, timestamp)
		}
	}
	r.at(date)
}

// send sends a recorded request at its date. Administrators have our token, and streams
// resume after our event.
func (r *replay) send(ctx context.Context, recorded *capturedRequest) *http.Response {
	r.t.Helper()
	r.setClock(recorded)
	request, err := http.NewRequestWithContext(ctx, recorded.Method, "http://parsec.invalid"+recorded.Path, bytes.NewReader(recorded.body()))
	r.ok(err)
	for name, value := range recorded.Headers {
		request.Header.Set(name, value)
	}
	if strings.HasPrefix(recorded.Path, "/administration/") {
		request.Header.Set("Authorization", "Bearer "+administrationToken)
	}
	if after := request.Header.Get("Last-Event-Id"); r.ids[after] != "" {
		request.Header.Set("Last-Event-Id", r.ids[after])
	}
	response, err := r.client.RoundTrip(request)
	r.ok(err)
	r.t.Cleanup(func() { response.Body.Close() })
	return response
}

// play sends the request of an exchange, and compares the answer.
func (r *replay) play(e *capturedExchange) {
	r.t.Helper()
	r.played[e] = true
	response := r.send(r.ctx, &e.Request)
	body, err := io.ReadAll(response.Body)
	r.ok(err)
	want := r.wanted(e.Name, &e.Request, e.Reply)
	r.compareHead(e.Name, response, &want)
	if response.ContentLength != int64(len(body)) {
		r.t.Errorf("%s: a length of %d, of %d bytes", e.Name, response.ContentLength, len(body))
	}
	switch {
	case want.JSON != nil:
		r.compareJSON(e.Name, body, want.JSON)
	case want.Decoded.RawMessage != nil:
		r.compare(e.Name, body, want.Decoded.fields(r.t))
	}
}

// compareHead wants the status and the headers that are recorded, and the version of
// the API nowhere else.
func (r *replay) compareHead(name string, response *http.Response, want *capturedReply) {
	r.t.Helper()
	if response.StatusCode != want.HTTP {
		r.t.Fatalf("%s: HTTP %d, want %d", name, response.StatusCode, want.HTTP)
	}
	for header, value := range want.Headers {
		if got := response.Header.Get(header); got != value {
			r.t.Errorf("%s: %s %q, want %q", name, header, got, value)
		}
	}
	if got := response.Header.Get("Api-Version"); got != want.Headers["api-version"] {
		r.t.Errorf("%s: Api-Version %q, want %q", name, got, want.Headers["api-version"])
	}
}

// wanted returns the answer that ours must be.
func (r *replay) wanted(name string, request *capturedRequest, recorded capturedReply) capturedReply {
	r.t.Helper()
	recorded.Headers = maps.Clone(recorded.Headers)
	delete(recorded.Headers, "transfer-encoding")
	if recorded.Headers["content-length"] != "0" { // that of what the encoders write
		delete(recorded.Headers, "content-length")
	}
	for _, d := range differences() {
		if !d.of(name, request) {
			continue
		}
		before := recorded
		before.Headers = maps.Clone(recorded.Headers)
		d.change(r, &recorded)
		if !reflect.DeepEqual(before, recorded) {
			r.played[d.section] = true
		}
	}
	return recorded
}

func (r *replay) compareJSON(name string, body, recorded []byte) {
	r.t.Helper()
	var got, want any
	if json.Unmarshal(body, &got) != nil || json.Unmarshal(recorded, &want) != nil || !reflect.DeepEqual(got, want) {
		r.t.Errorf("%s: %s, want %s", name, body, recorded)
	}
}

// compare wants a message to say what is recorded, but for the time of the server.
func (r *replay) compare(name string, message []byte, recorded map[any]any) {
	r.t.Helper()
	decoded, err := msgpack.DecodeProfile(wire.Microseconds, message)
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	got, want := decoded.(map[any]any), maps.Clone(recorded)
	if _, dated := want["server_timestamp"]; dated {
		want["server_timestamp"] = r.clock.Now()
	}
	if !reflect.DeepEqual(got, want) {
		r.t.Errorf("%s:\n got %v\nwant %v", name, got, want)
	}
}

// author returns a recorded device, as its rules know it.
func (r *replay) author(name, organizationName string, user parsec3.UserID) *rules.Author {
	r.t.Helper()
	key := r.captured.Keys[name]
	id, err := parsec.ParseUUID(key.ID)
	r.ok(err)
	of, err := parsec.ParseOrganizationID(organizationName)
	r.ok(err)
	return &rules.Author{
		Organization: of, Device: parsec3.DeviceID(id), User: user, VerifyKey: parsec.VerifyKey(key.VerifyKey), API: parsec.APIVersion{Major: 5, Minor: 5},
	}
}

// signingKey returns that of a device whose seed is recorded.
func (r *replay) signingKey(name string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(r.captured.Keys[name].Seed)
}
