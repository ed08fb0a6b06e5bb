package parsec3_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/commands"
	"parsec-server/internal/testkit/vectors"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// raw returns the bytes of hexadecimal digits, with blanks between.
func raw(digits string) []byte {
	return must(hex.DecodeString(strings.ReplaceAll(digits, " ", "")))
}

// fields are what a map has, and may be spoilt.
type fields map[string]any

func (f fields) with(key string, value any) fields {
	changed := maps.Clone(f)
	changed[key] = value
	return changed
}

func (f fields) without(key string) fields {
	changed := maps.Clone(f)
	delete(changed, key)
	return changed
}

func (f fields) encode() []byte { return must(wire.Microseconds.Append(nil, map[string]any(f))) }

const (
	cmdPing = "a3636d64 a470696e67"                   // "cmd": "ping"
	ping    = "a470696e67 a26869"                     // "ping": "hi"
	hello   = "82 " + cmdPing + " " + ping            // a good request
	nested  = "a178"                                  // the key "x"
	binary  = "c410 00000000000000000000000000000001" // 16 bytes
	text    = "d920 3030303030303030303030303030303030303030303030303030303030303031"
)

// Bodies that are no request of the family, each by one thing (types.md §1).
func TestMalformedBodies(t *testing.T) {
	f := newFixture(t)
	vlob := fields{
		"cmd": "vlob_update", "realm_id": parsec.RealmID{1}, "vlob_id": parsec.VlobID{1}, "key_index": uint64(1), "timestamp": f.clock.Now(),
		"version": uint32(2), "blob": []byte("blob"),
	}
	read := fields{"cmd": "vlob_read_batch", "realm_id": parsec.RealmID{1}, "vlobs": []parsec.VlobID{}, "at": nil}
	for name, test := range map[string]struct {
		body   []byte
		status int
	}{
		"good":                         {raw(hello), 200},
		"empty":                        {nil, 415},
		"truncated":                    {raw(hello)[:10], 415},
		"bytes behind":                 {raw(hello + "c0"), 415},
		"no map":                       {raw("a470696e67"), 415},
		"positional form":              {raw("92 a470696e67 a26869"), 415},
		"no command":                   {raw("81 " + ping), 415},
		"command as bin":               {raw("82 a3636d64 c40470696e67 " + ping), 415},
		"command as number":            {raw("82 a3636d64 05 " + ping), 415},
		"command as key of bin":        {raw("82 c403636d64 a470696e67 " + ping), 415},
		"command twice":                {raw("83 " + cmdPing + cmdPing + ping), 415},
		"field twice":                  {raw("83 " + cmdPing + ping + ping), 415},
		"unknown key":                  {raw("83 " + cmdPing + ping + nested + "01"), 200},
		"unknown key twice":            {raw("84 " + cmdPing + ping + nested + "01" + nested + "02"), 200},
		"unknown command":              {raw("82 a3636d64 a470696e68 " + ping), 415},
		"command of another family":    {fields{"cmd": "tos_get"}.encode(), 415},
		"command in capitals":          {raw("82 a3636d64 a450494e47 " + ping), 415},
		"text as bin":                  {raw("82 " + cmdPing + "a470696e67 c4026869"), 415},
		"text as nil":                  {raw("82 " + cmdPing + "a470696e67 c0"), 415},
		"text that is no UTF-8":        {raw("82 " + cmdPing + "a470696e67 a2ff68"), 415},
		"text with U+0000":             {raw("82 " + cmdPing + "a470696e67 a20068"), 415},
		"a byte that is never used":    {raw("82 " + cmdPing + "a470696e67 c1"), 415},
		"64 deep":                      {raw("83 " + cmdPing + ping + nested + strings.Repeat("91", 63) + "c0"), 200},
		"65 deep":                      {raw("83 " + cmdPing + ping + nested + strings.Repeat("91", 64) + "c0"), 415},
		"100000 deep":                  {raw("83 " + cmdPing + ping + nested + strings.Repeat("91", 100_000) + "c0"), 415},
		"length of 4 GiB":              {raw("82 " + cmdPing + "a470696e67 dbffffffff 6869"), 415},
		"array of 4 Gi":                {raw("82 " + cmdPing + "a470696e67 ddffffffff"), 415},
		"vlob":                         {vlob.encode(), 200},
		"bin as text":                  {vlob.with("blob", "blob").encode(), 415},
		"bin as array":                 {vlob.with("blob", []uint16{1, 2}).encode(), 415},
		"bin as nil":                   {vlob.with("blob", nil).encode(), 415},
		"missing field":                {vlob.without("blob").encode(), 415},
		"number as text":               {vlob.with("key_index", "1").encode(), 415},
		"number as float":              {vlob.with("key_index", 1.0).encode(), 415},
		"number below 0":               {vlob.with("key_index", -1).encode(), 415},
		"largest number":               {vlob.with("key_index", uint64(math.MaxInt64)).encode(), 200},
		"number above 2^63-1":          {vlob.with("key_index", uint64(math.MaxInt64)+1).encode(), 415},
		"largest version":              {vlob.with("version", uint64(math.MaxUint32)).encode(), 200},
		"version above 2^32-1":         {vlob.with("version", uint64(math.MaxUint32)+1).encode(), 415},
		"date as number":               {vlob.with("timestamp", 1).encode(), 415},
		"date as float":                {vlob.with("timestamp", 1.5).encode(), 415},
		"date as id":                   {vlob.with("timestamp", parsec.UUID{1}).encode(), 415},
		"id as bin":                    {bytes.Replace(vlob.encode(), raw("d802 01000000000000000000000000000000"), raw(binary), 1), 415},
		"id as text":                   {bytes.Replace(vlob.encode(), raw("d802 01000000000000000000000000000000"), raw(text), 1), 415},
		"id of 15 bytes":               {bytes.Replace(vlob.encode(), raw("d802 01000000000000000000000000000000"), raw("c70f02 000000000000000000000000000001"), 1), 415},
		"id in the other form":         {bytes.Replace(vlob.encode(), raw("d802 01000000000000000000000000000000"), raw("c71002 01000000000000000000000000000000"), 1), 200},
		"date after 9999":              {bytes.Replace(vlob.encode(), must(wire.Microseconds.Append(nil, f.clock.Now())), raw("d701 0384440ccc736000"), 1), 415},
		"date of API 3":                {bytes.Replace(vlob.encode(), must(wire.Microseconds.Append(nil, f.clock.Now())), must(wire.Seconds.Append(nil, f.clock.Now())), 1), 415},
		"nullable field":               {read.encode(), 200},
		"absent nullable field":        {read.without("at").encode(), 415},
		"list as map":                  {read.with("vlobs", map[string]bool{}).encode(), 415},
		"item of another type":         {read.with("vlobs", []string{"x"}).encode(), 415},
		"boolean as number":            {fields{"cmd": "realm_rename", "realm_name_certificate": []byte{}, "initial_name_or_fail": 1}.encode(), 415},
		"map with the keys of another": {fields{"cmd": "certificate_get", "common_after": nil, "sequester_after": nil, "shamir_recovery_after": nil, "realm_after": map[string]parsec.DateTime{"x": 1}}.encode(), 415},
		"tuple of too many":            {fields{"cmd": "vlob_read_versions", "realm_id": parsec.RealmID{1}, "items": [][]any{{parsec.VlobID{1}, 1, 2}}}.encode(), 415},
		"tuple of too few":             {fields{"cmd": "vlob_read_versions", "realm_id": parsec.RealmID{1}, "items": [][]any{{parsec.VlobID{1}}}}.encode(), 415},
		"keys bundle of more than 1 MiB": {fields{
			"cmd": "realm_rotate_key", "realm_key_rotation_certificate": []byte{}, "per_participant_keys_bundle_access": map[parsec3.UserID][]byte{},
			"per_sequester_service_keys_bundle_access": nil, "keys_bundle": make([]byte, 2<<20),
		}.encode(), 200},
	} {
		for _, chunked := range []bool{false, true} {
			r := f.newRequest(http.MethodPost, "/authenticated/CoolOrg", f.bob)
			r.body, r.chunked = test.body, chunked
			if got := f.send(r).status; got != test.status {
				t.Errorf("%s, chunked %t: status %d, want %d", name, chunked, got, test.status)
			}
		}
	}
}

// The limits of each family, with the length said before and without.
func TestBodyLimits(t *testing.T) {
	f := newFixture(t)
	for path, most := range map[string]int{
		"/anonymous/CoolOrg": 1<<20 + 64<<10, "/anonymous_server": 1<<20 + 64<<10, "/authenticated/CoolOrg/tos": 1<<20 + 64<<10,
		"/authenticated/CoolOrg": 8 << 20,
	} {
		for _, chunked := range []bool{false, true} {
			for length, status := range map[int]int{most: 415, most + 1: 413} {
				r := f.requestOf(http.MethodPost, path)
				r.body, r.chunked = make([]byte, length), chunked
				if got := f.send(r).status; got != status {
					t.Errorf("%s, %d bytes, chunked %t: status %d, want %d", path, length, chunked, got, status)
				}
			}
		}
	}
}

// What strangers are replied counts with what they have sent: they may be slow to read it.
func TestRepliesToStrangersShareABudget(t *testing.T) {
	// A network has a 32nd of the memory: room for the message, but not for as much again.
	f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Server.Memory = 40 << 20 })
	const large = 900 << 10
	send := func(command, text string) answer {
		t.Helper()
		r := f.requestOf(http.MethodPost, "/anonymous/CoolOrg")
		r.body = message(command, &protocol.PingRequest{Ping: text})
		return f.send(r)
	}
	for _, test := range []struct {
		what, command string
		length        int
		status        int
	}{
		{"a small reply", "ping", 1 << 10, http.StatusOK},
		{"no reply to a large message", "pong", large, http.StatusUnsupportedMediaType},
		{"a large reply", "ping", large, http.StatusServiceUnavailable},
		{"a small reply again", "ping", 1 << 10, http.StatusOK},
	} {
		got := send(test.command, strings.Repeat("x", test.length))
		if got.status != test.status || (got.status == http.StatusServiceUnavailable) != (got.header.Get("Retry-After") != "") {
			t.Errorf("%s: status %d, %v", test.what, got.status, got.header)
		}
	}
}

// A body without length is read only once it is known who sends it.
func TestBodyIsReadAfterTheToken(t *testing.T) {
	f := newFixture(t)
	for path := range map[string]bool{"/authenticated/CoolOrg": true, "/authenticated/CoolOrg/tos": true} {
		r := f.requestOf(http.MethodPost, path)
		r.body, r.chunked = make([]byte, 9<<20), true
		badSignature.spoil(f, r)
		if got := f.send(r).status; got != http.StatusForbidden {
			t.Errorf("%s: status %d", path, got)
		}
	}
}

// What fails inside is 503 if it may pass, 500 if not.
func TestFailuresOfCommands(t *testing.T) {
	for failure, status := range map[error]int{outage.ErrUnavailable: 503, io.ErrUnexpectedEOF: 500, errPanic: 500} {
		f := newFixture(t, func(o *testkit.GenerationsOptions) {
			o.WrapStore3 = func(store rules.Store) rules.Store { return &failingStore{store, failure} }
		})
		r := f.requestOf(http.MethodPost, "/authenticated/CoolOrg")
		r.body = message("organization_info", nil)
		response := f.open(r)
		if response.StatusCode != status || (status == 503) != (response.Header.Get("Retry-After") != "") {
			t.Errorf("%v: status %d, %v", failure, response.StatusCode, response.Header)
		}
		checkHeaders(t, response)
	}
}

// While no command can run, clients of this generation are told so in its own form,
// and others in theirs (docs/protocol/v5/transport.md §1 and §3).
func TestWhileNoCommandCanRun(t *testing.T) {
	var store *fadingStore
	f := newFixture(t, func(o *testkit.GenerationsOptions) {
		o.WrapStore3 = func(lasting rules.Store) rules.Store {
			store = &fadingStore{Store: lasting}
			return store
		}
	})
	var requests []*request
	for _, route := range routes {
		requests = append(requests, f.requestOf(route.method, route.path))
	}
	store.fade(0)
	if got := f.send(f.newRequest(http.MethodGet, "/readyz", nil)).status; got != http.StatusServiceUnavailable {
		t.Fatalf("the server is ready: status %d", got)
	}
	for _, r := range requests {
		response := f.open(r)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: status %d, %v", r.method, r.path, response.StatusCode, response.Header)
		}
		checkHeaders(t, response)
	}
	for path, version := range map[string]string{"/authenticated/CoolOrg": "3.4", "/anonymous/CoolOrg": "", "/administration/stats": "5.6"} {
		r := f.newRequest(http.MethodPost, path, nil)
		r.header.Set("Api-Version", version)
		got := f.send(r)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Server") != "parsec" || got.header.Get("Api-Version") != "" {
			t.Errorf("%s for %q: status %d, %v", path, version, got.status, got.header)
		}
	}
	r := f.requestOf(http.MethodPost, "/anonymous_server")
	r.header.Del("Api-Version")
	if got := f.send(r); got.status != http.StatusServiceUnavailable || got.header.Get("Server") != "parsec/3" || got.header.Get("Api-Version") != "" {
		t.Errorf("without version: status %d, %v", got.status, got.header)
	}
}

var errPanic = errors.New("panic")

type failingStore struct {
	rules.Store
	failure error
}

func (s *failingStore) Usage(context.Context, parsec.OrganizationID, parsec3.DeviceID) (rules.Standing, rules.Usage, error) {
	if errors.Is(s.failure, errPanic) {
		panic(s.failure)
	}
	return rules.Standing{}, rules.Usage{}, s.failure
}

// A device of one organization is unknown in another, whatever the ids.
func TestTokenOfAnotherOrganization(t *testing.T) {
	f := newFixture(t)
	otherOrg := must(parsec.ParseOrganizationID("OtherOrg"))
	f.create(otherOrg)
	f.bootstrap(otherOrg, "carol")
	for _, path := range []string{"/authenticated/OtherOrg", "/authenticated/OtherOrg/tos"} {
		if got := f.send(f.newRequest(http.MethodPost, path, f.bob)).status; got != http.StatusForbidden {
			t.Errorf("%s: status %d", path, got)
		}
	}
}

// FuzzCommands sends bodies to each family: none of them fails inside.
func FuzzCommands(f *testing.F) {
	for _, form := range commands.Parsec3() {
		f.Add(message(form.Name, emptyRequest(form)))
	}
	loaded := vectors.Load[struct {
		Current []struct {
			Requests []struct{ Raw []byte } `json:"requests"`
		} `json:"current"`
	}](f, "v5/commands.json")
	for _, command := range loaded.Current {
		for _, item := range command.Requests {
			f.Add(item.Raw)
		}
	}
	failures := &failureLog{}
	s := newFixture(f, func(o *testkit.GenerationsOptions) { o.Logger = slog.New(failures) })
	f.Fuzz(func(t *testing.T, body []byte) {
		for path, device := range map[string]*clientparsec3.Device{
			"/authenticated/CoolOrg": s.alice, "/authenticated/CoolOrg/tos": s.alice, "/anonymous/CoolOrg": nil, "/anonymous/EmptyOrg": nil,
			"/anonymous_server": nil,
		} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
			r.Header = s.newRequest(http.MethodPost, path, device).header
			answer := httptest.NewRecorder()
			s.Server.Handler().ServeHTTP(answer, r)
			// Some ask in an organization that is not bootstrapped, or too often.
			if !slices.Contains([]int{http.StatusOK, http.StatusUnsupportedMediaType, http.StatusNotFound, http.StatusServiceUnavailable}, answer.Code) || failures.some {
				t.Fatalf("%s: status %d", path, answer.Code)
			}
			if answer.Code != http.StatusOK {
				continue
			}
			if status, _ := wire.LookupString(answer.Body.Bytes(), "status"); wire.Microseconds.ScanReply(answer.Body.Bytes()) != nil || status == "" {
				t.Errorf("%s: reply %x", path, answer.Body.Bytes())
			}
		}
	})
}

// failureLog keeps whether something was logged as an error.
type failureLog struct{ some bool }

func (l *failureLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

func (l *failureLog) Handle(context.Context, slog.Record) error {
	l.some = true
	return nil
}

func (l *failureLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *failureLog) WithGroup(string) slog.Handler      { return l }

// What spoils a certificate is told as such, and changes nothing.
func TestBadCertificates(t *testing.T) {
	f := newFixture(t)
	device, good := must2(f.bob.NewDevice(must(parsec3.ParseDeviceLabel("phone")), f.clock.Now()))
	user := must(clientUpdate(f))
	for name, certificate := range map[string][]byte{
		"empty": {}, "short": make([]byte, 63), "zeros": make([]byte, 200), "another kind": user,
		"signature of another": append(bytes.Clone(user[:64]), good.DeviceCertificate[64:]...),
		"truncated":            good.DeviceCertificate[:len(good.DeviceCertificate)-1],
		"longer":               append(bytes.Clone(good.DeviceCertificate), 0),
		"redacted":             good.RedactedDeviceCertificate,
	} {
		_, err := clientparsec3.Call(f.ctx, f.client.Authenticated(f.bob), protocol.DeviceCreate, &protocol.DeviceCreateRequest{
			DeviceCertificate: certificate, RedactedDeviceCertificate: good.RedactedDeviceCertificate,
		})
		if !errors.Is(err, protocol.Refuse(protocol.StatusInvalidCertificate)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := f.send(f.newRequest(http.MethodPost, "/authenticated/CoolOrg", device)).status; got != http.StatusForbidden {
		t.Errorf("the device exists: status %d", got)
	}
}

// clientUpdate is a certificate that is right, of a kind that no field of a device
// takes.
func clientUpdate(f *fixture) ([]byte, error) {
	_, request, err := f.bob.NewUser(person("carol"), parsec.ProfileStandard, f.clock.Now())
	if err != nil {
		return nil, err
	}
	return request.UserCertificate, nil
}

// Strangers who write too often are told to try later, in the one way that clients
// understand.
func TestSpontaneousBootstrapsAreLimited(t *testing.T) {
	f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Parsec3.SpontaneousBootstrap = true })
	_, bootstrap := must2(clientparsec3.NewOrganization(clientparsec3.Founding{Organization: coolOrg}, person("carol"), f.clock.Now()))
	r := f.newRequest(http.MethodPost, "/anonymous/CoolOrg", nil)
	r.body = message("organization_bootstrap", bootstrap)
	answered := 0
	for ; answered < 200; answered++ {
		if got := f.send(r); got.status != http.StatusOK {
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("status %d, %v", got.status, got.header)
			}
			break
		}
	}
	if answered < 50 || answered == 200 {
		t.Errorf("%d bootstraps of one address are answered", answered)
	}
	if got := f.send(f.newRequest(http.MethodPost, "/anonymous/CoolOrg", nil)).status; got != http.StatusOK {
		t.Errorf("ping: status %d", got)
	}
}
