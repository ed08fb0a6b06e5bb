package parsec3_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// tokens are the vectors of devices and accounts.
type tokens struct {
	Now    time.Time `json:"now"`
	Device struct {
		ID    string `json:"device_id"`
		Seed  []byte `json:"signing_seed"`
		Token string `json:"token"`
	} `json:"device"`
	Account struct {
		Method string `json:"method_id"`
		Key    []byte `json:"mac_key"`
		Token  string `json:"token"`
	} `json:"account"`
}

func load(t *testing.T) (tokens, *client3.Device) {
	t.Helper()
	vector := vectors.Load[tokens](t, "v5/auth_tokens.json")
	return vector, &client3.Device{
		Organization: must(parsec.ParseOrganizationID("Orgé")),
		ID:           parsec3.DeviceID(must(parsec.ParseUUID(vector.Device.ID))),
		SigningKey:   ed25519.NewKeyFromSeed(vector.Device.Seed),
	}
}

// serve returns the client of a server, at the instant of the vectors.
func serve(t *testing.T, handler http.HandlerFunc) *client3.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	now := parsec.DateTimeOf(vectors.Load[tokens](t, "v5/auth_tokens.json").Now)
	address := must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://" + strings.TrimPrefix(server.URL, "http://") + "?no_ssl=true"))
	c := client3.New(address, client3.LatestVersion, client.Options{Now: func() parsec.DateTime { return now }})
	t.Cleanup(c.Close)
	return c
}

func TestToken(t *testing.T) {
	vector, device := load(t)
	if got := device.Token(parsec.DateTimeOf(vector.Now)); got != "Bearer "+vector.Device.Token {
		t.Errorf("token %s", got)
	}
	// Whole seconds, whatever comes after.
	if got := device.Token(parsec.DateTimeOf(vector.Now) + 999_999); got != "Bearer "+vector.Device.Token {
		t.Errorf("token %s", got)
	}
}

func TestAccountToken(t *testing.T) {
	vector, _ := load(t)
	method := client3.AuthMethod{ID: must(parsec.ParseUUID(vector.Account.Method)), MACKey: [32]byte(vector.Account.Key)}
	if got := method.Token(parsec.DateTimeOf(vector.Now)); got != "Bearer "+vector.Account.Token {
		t.Errorf("token %s", got)
	}
}

// TestRoutes are those of the families, with what each authenticates by.
func TestRoutes(t *testing.T) {
	_, device := load(t)
	token := must(parsec3.ParseAccessToken("d6f7b1c02a5e4f80a1b2c3d4e5f60718"))
	var path, kind string
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		kind, _, _ = strings.Cut(r.Header.Get("Authorization"), ".")
	})
	for _, tt := range []struct {
		rpc        *client3.RPC
		path, kind string
	}{
		{c.Server(), "/anonymous_server", ""},
		{c.Anonymous(device.Organization), "/anonymous/Org%C3%A9", ""},
		{c.Authenticated(device), "/authenticated/Org%C3%A9", "Bearer PARSEC-SIGN-ED25519"},
		{c.TOS(device), "/authenticated/Org%C3%A9/tos", "Bearer PARSEC-SIGN-ED25519"},
		{c.Invited(device.Organization, token), "/invited/Org%C3%A9", "Bearer d6f7b1c02a5e4f80a1b2c3d4e5f60718"},
		{c.AuthenticatedAccount(client3.AuthMethod{}), "/authenticated_account", "Bearer PARSEC-MAC-BLAKE2B"},
	} {
		_, _ = tt.rpc.RoundTrip(t.Context(), nil)
		if path != tt.path || kind != tt.kind {
			t.Errorf("%s by %q, want %s by %q", path, kind, tt.path, tt.kind)
		}
	}
}

// message is a reply of some fields.
func message(status protocol.Status, fields any) []byte {
	return must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "status", Value: status}}, fields))
}

// TestRequests has the routes and headers of each family
// (docs/protocol/v5/transport.md §2 and §3).
func TestRequests(t *testing.T) {
	vector, device := load(t)
	for path, ask := range map[string]func(*client3.Client) *client3.RPC{
		"/anonymous/Org%C3%A9":         func(c *client3.Client) *client3.RPC { return c.Anonymous(device.Organization) },
		"/authenticated/Org%C3%A9":     func(c *client3.Client) *client3.RPC { return c.Authenticated(device) },
		"/authenticated/Org%C3%A9/tos": func(c *client3.Client) *client3.RPC { return c.TOS(device) },
		"/anonymous_server":            func(c *client3.Client) *client3.RPC { return c.Server() },
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // a part is seen below
			token := ""
			if strings.HasPrefix(path, "/authenticated") {
				token = "Bearer " + vector.Device.Token
			}
			if r.URL.EscapedPath() != path || r.Method != http.MethodPost || r.Header.Get("Api-Version") != "5.5" ||
				r.Header.Get("Content-Type") != "application/msgpack" || r.Header.Get("Authorization") != token ||
				string(body) != "\x82\xa3cmd\xa4ping\xa4ping\xa3foo" {
				t.Errorf("%s: %s %s, %v, %q", path, r.Method, r.URL, r.Header, body)
			}
			w.Header().Set("Content-Type", "application/msgpack")
			_, _ = w.Write(message(protocol.StatusOK, &protocol.PingReply{Pong: "foo"}))
		})
		reply, err := client3.Call(t.Context(), ask(c), protocol.Ping, &protocol.PingRequest{Ping: "foo"})
		if err != nil || reply.Pong != "foo" {
			t.Errorf("%s: %+v, %v", path, reply, err)
		}
	}
}

// TestRefusals reads the fields of a status, and finds them missing.
func TestRefusals(t *testing.T) {
	_, device := load(t)
	var body []byte
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/msgpack")
		_, _ = w.Write(body)
	})
	call := func() error {
		_, err := client3.Call(t.Context(), c.Authenticated(device), protocol.RealmShare, new(protocol.RealmShareRequest))
		return err
	}
	const date parsec.DateTime = 1704164645_678901
	for status, details := range map[protocol.Status]any{
		protocol.StatusAuthorNotAllowed:        nil,
		"invented":                             nil,
		protocol.StatusRequireGreaterTimestamp: &protocol.RequireGreaterTimestampDetails{StrictlyGreaterThan: date},
		protocol.StatusBadKeyIndex:             &protocol.LastRealmDetails{Timestamp: date},
		protocol.StatusRoleAlreadyGranted:      &protocol.LastRealmDetails{Timestamp: date},
		protocol.StatusTimestampOutOfBallpark: &protocol.OutOfBallparkDetails{
			BallparkClientEarlyOffset: 300, BallparkClientLateOffset: 320, ServerTimestamp: date, ClientTimestamp: date,
		},
	} {
		fields := details
		if fields == nil {
			fields = &struct{}{}
		}
		body = message(status, fields)
		refusal, is := errors.AsType[*protocol.Refusal](call())
		if !is || refusal.Status != status || string(message("", orNothing(refusal.Details))) != string(message("", fields)) {
			t.Errorf("%s: %+v", status, refusal)
		}
		if details == nil {
			continue
		}
		body = message(status, &struct{}{})
		if err := call(); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s without its fields: %v", status, err)
		}
	}
	for name, broken := range map[string][]byte{
		"nothing": nil, "no map": {0xc0}, "no status": {0x80}, "cut": message(protocol.StatusOK, &struct{}{})[:5],
	} {
		body = broken
		if err := call(); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func orNothing(details any) any {
	if details == nil {
		return &struct{}{}
	}
	return details
}

// TestStatuses has every answer that is no 200 be an error that says it.
func TestStatuses(t *testing.T) {
	_, device := load(t)
	for _, status := range []int{201, 204, 307, 401, 403, 404, 413, 415, 422, 460, 461, 462, 463, 498, 500, 503} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Supported-Api-Versions", "5.6")
			w.WriteHeader(status)
		})
		_, err := client3.Call(t.Context(), c.Authenticated(device), protocol.Ping, new(protocol.PingRequest))
		if failure, is := errors.AsType[*client.HTTPError](err); !is || failure.Status != status || failure.SupportedAPIVersions != "5.6" {
			t.Errorf("ping, HTTP %d: %v", status, err)
		}
		_, err = c.Authenticated(device).Events(t.Context(), "")
		if failure, is := errors.AsType[*client.HTTPError](err); !is || failure.Status != status {
			t.Errorf("events, HTTP %d: %v", status, err)
		}
	}
}

// TestEvents reads a stream, and resumes it.
func TestEvents(t *testing.T) {
	vector, device := load(t)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/authenticated/Org%C3%A9/events" || r.Header.Get("Accept") != "text/event-stream" ||
			r.Header.Get("Authorization") != "Bearer "+vector.Device.Token || r.Header.Get("Last-Event-Id") != "2a" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		// {"status": "ok", "event": "PINGED", "ping": "x"}
		_, _ = io.WriteString(w, "event:keepalive\ndata:\n\ndata:g6ZzdGF0dXOib2ulZXZlbnSmUElOR0VEpHBpbmeheA==\nid:2b\n\nevent:missed_events\ndata:\nid:2c\n\n")
	})
	stream, err := c.Authenticated(device).Events(t.Context(), "2a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }() // it is read to its end
	message, err := stream.Next()
	if ping, is := message.Event.(*protocol.PingedEvent); !is || ping.Ping != "x" || message.ID != "2b" || err != nil {
		t.Errorf("%+v, %v", message, err)
	}
	if message, err := stream.Next(); message != (client3.Message{ID: "2c"}) || err != nil {
		t.Errorf("%+v, %v", message, err)
	}
	if message, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%+v, %v", message, err)
	}
}

// TestSilence gives a stream up whose keepalives do not come in time, and no other.
func TestSilence(t *testing.T) {
	t.Parallel()
	_, device := load(t)
	for period, want := range map[*uint64]error{nil: io.EOF, new(uint64(1)): client3.ErrSilence} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			data := must(wire.Microseconds.AppendMap(nil, []wire.Field{
				{Key: "status", Value: protocol.StatusOK}, {Key: "event", Value: "ORGANIZATION_CONFIG"},
			}, &protocol.OrganizationConfigEvent{SSEKeepaliveSeconds: period}))
			_, _ = io.WriteString(w, "data:"+base64.StdEncoding.EncodeToString(data)+"\n\n")
			_ = http.NewResponseController(w).Flush()
			if period != nil {
				<-r.Context().Done()
			}
		})
		stream, err := c.Authenticated(device).Events(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if message, err := stream.Next(); err != nil {
			t.Fatalf("%+v, %v", message, err)
		}
		if message, err := stream.Next(); !errors.Is(err, want) {
			t.Errorf("%+v, %v, want %v", message, err, want)
		}
		_ = stream.Close() // its server may end now
	}
}

// TestFoundation verifies what official clients would, of the first user and of who
// it adds.
func TestFoundation(t *testing.T) {
	const now parsec.DateTime = 1704164645_678901
	person := client3.Person{
		Label:       must(parsec3.ParseDeviceLabel("laptop")),
		HumanHandle: must(parsec3.ParseHumanHandle("alice@example.com", "Alice")),
	}
	alice, founded, err := client3.NewOrganization(client3.Founding{Organization: must(parsec.ParseOrganizationID("CoolOrg"))}, person, now)
	if err != nil || founded.RootVerifyKey != alice.RootVerifyKey || founded.BootstrapToken != nil || founded.SequesterAuthorityCertificate != nil {
		t.Fatalf("%+v, %v", founded, err)
	}
	checkUser(t, alice, &protocol.UserCreateRequest{
		UserCertificate: founded.UserCertificate, RedactedUserCertificate: founded.RedactedUserCertificate,
		DeviceCertificate: founded.DeviceCertificate, RedactedDeviceCertificate: founded.RedactedDeviceCertificate,
	}, alice.RootVerifyKey, parsec3.DeviceID{}, parsec.ProfileAdmin)

	bob, created, err := alice.NewUser(person, parsec.ProfileOutsider, now)
	if err != nil || bob.User == alice.User || bob.RootVerifyKey != alice.RootVerifyKey {
		t.Fatal(err)
	}
	checkUser(t, bob, created, alice.VerifyKey(), alice.ID, parsec.ProfileOutsider)

	phone, added, err := bob.NewDevice(must(parsec3.ParseDeviceLabel("phone")), now)
	if err != nil || phone.User != bob.User || phone.ID == bob.ID || phone.PrivateKey != bob.PrivateKey {
		t.Fatal(err)
	}
	full, err := certificate.LoadDevice(added.DeviceCertificate, bob.VerifyKey(), bob.ID)
	redacted, redactedErr := certificate.LoadDevice(added.RedactedDeviceCertificate, bob.VerifyKey(), bob.ID)
	if err != nil || redactedErr != nil || !full.IsFullFormOf(redacted) || full.DeviceID != phone.ID || full.VerifyKey != phone.VerifyKey() || full.DeviceLabel != phone.Label {
		t.Errorf("%+v, %v, %v", full, err, redactedErr)
	}

	realm := parsec.RealmID(parsec.NewUUID())
	role, err := certificate.LoadRealmRole(must(phone.NewRealm(realm, now)).RealmRoleCertificate, phone.VerifyKey(), phone.ID)
	if err != nil || role.RealmID != realm || role.UserID != bob.User || role.Role != parsec.RoleOwner || role.Timestamp != now {
		t.Errorf("%+v, %v", role, err)
	}
}

func checkUser(t *testing.T, d *client3.Device, request *protocol.UserCreateRequest, key parsec.VerifyKey, author parsec3.DeviceID, profile parsec.UserProfile) {
	t.Helper()
	user, err := certificate.LoadUser(request.UserCertificate, key, author)
	redactedUser, redactedErr := certificate.LoadUser(request.RedactedUserCertificate, key, author)
	if err != nil || redactedErr != nil || !user.IsFullFormOf(redactedUser) || user.UserID != d.User ||
		user.PublicKey != d.PublicKey() || user.Profile != profile || user.HumanHandle != d.HumanHandle {
		t.Errorf("user %+v, %v, %v", user, err, redactedErr)
	}
	first, err := certificate.LoadDevice(request.DeviceCertificate, key, author)
	redacted, redactedErr := certificate.LoadDevice(request.RedactedDeviceCertificate, key, author)
	if err != nil || redactedErr != nil || !first.IsFullFormOf(redacted) || first.UserID != d.User || first.DeviceID != d.ID ||
		first.VerifyKey != d.VerifyKey() || first.DeviceLabel != d.Label || first.Timestamp != user.Timestamp {
		t.Errorf("device %+v, %v, %v", first, err, redactedErr)
	}
}
