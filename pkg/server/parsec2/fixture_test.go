package parsec2_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// patience bounds how long a test waits for what must happen.
const patience = 60 * time.Second

// reference is the instant of the vectors.
var reference = must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z"))

var (
	api1 = parsec.APIVersion{Major: 1, Minor: 3}
	api2 = parsec.APIVersion{Major: 2, Minor: 10}
	api3 = parsec.APIVersion{Major: 3, Minor: 4}
)

var (
	coolOrg  = must(parsec.ParseOrganizationID("CoolOrg"))
	otherOrg = must(parsec.ParseOrganizationID("OtherOrg"))
	emptyOrg = must(parsec.ParseOrganizationID("EmptyOrg"))
)

// pendingToken is of a USER invitation in every organization of the fixture.
var pendingToken = parsec.InvitationToken(must(parsec.ParseUUID("9931e631-856b-4b26-8b66-05d5096c6e83")))

// fixture is an instance with two organizations that have the same ids: alice
// (ADMIN, two devices), bob and carol (STANDARD), and a pending invitation by
// alice.
type fixture struct {
	*testkit.Instance
	t      testing.TB
	ctx    context.Context // ends when patience does
	clock  *testkit.Clock
	client *parsec2.Client
	logs   *logs
}

// newFixture ends with the test.
func newFixture(t testing.TB, changes ...func(*testkit.InstanceOptions)) *fixture {
	t.Helper()
	f := newEmptyFixture(t, changes...)
	for _, id := range []parsec.OrganizationID{coolOrg, otherOrg} {
		f.populate(id, organizationSetup{
			Devices:     map[string]string{"alice@dev1": "alice_dev1", "alice@dev2": "alice_dev2", "bob@dev1": "bob_dev1", "carol@dev1": "adam_dev1"},
			Invitations: []invitationSetup{{Token: pendingToken.String(), Type: "USER", State: "pending"}},
		})
	}
	return f
}

// newEmptyFixture has no organization.
func newEmptyFixture(t testing.TB, changes ...func(*testkit.InstanceOptions)) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	f := &fixture{t: t, ctx: ctx, clock: testkit.NewClock(reference), logs: &logs{}}
	options := testkit.InstanceOptions{
		Now:    f.clock.Now,
		Logger: slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range changes {
		change(&options)
	}
	f.Instance = testkit.Start(t, options)
	f.client = parsec2.New(f.Address, client.Options{Now: f.clock.Now})
	t.Cleanup(f.client.Close)
	return f
}

// keyFile is keys.json.
type keyFile struct {
	Ed25519 map[string]struct {
		Seed      []byte `json:"seed"`
		VerifyKey []byte `json:"verify_key"`
	} `json:"ed25519"`
}

func (k keyFile) signing(name string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(k.Ed25519[name].Seed)
}

func (k keyFile) verifying(name string) parsec.VerifyKey {
	return parsec.VerifyKey(k.Ed25519[name].VerifyKey)
}

// organizationSetup is an organization of the vectors.
type organizationSetup struct {
	Devices      map[string]string `json:"devices"`
	RevokedUsers []string          `json:"revoked_users"`
	FrozenUsers  []string          `json:"frozen_users"`
	Expired      bool              `json:"expired"`
	Bootstrapped *bool             `json:"bootstrapped"`
	Invitations  []invitationSetup `json:"invitations"`
}

type invitationSetup struct {
	Token string `json:"token"`
	Type  string `json:"type"`
	State string `json:"state"`
}

// populate writes an organization into the store.
func (f *fixture) populate(id parsec.OrganizationID, setup organizationSetup) {
	f.t.Helper()
	keys := vectors.Load[keyFile](f.t, "keys.json")
	created := reference.Add(-24 * time.Hour)
	f.update(id, func(tx rules.Tx) {
		organization := rules.Organization{ID: id, CreatedOn: created, UserProfileOutsiderAllowed: true}
		if setup.Bootstrapped == nil {
			root := keys.verifying("root")
			organization.RootVerifyKey, organization.BootstrappedOn = &root, &created
		}
		if setup.Expired {
			organization.ExpirationDate = &created
		}
		tx.PutOrganization(organization)
		users := map[parsec.UserID]bool{}
		for text, key := range setup.Devices {
			device := must(parsec.ParseDeviceID(text))
			if user := device.User(); !users[user] {
				users[user] = true
				tx.CreateUser(rules.User{
					ID: user, Profile: profileOf(user), CreatedOn: created, Certificate: []byte(user.String()),
					HumanHandle: must(parsec.ParseHumanHandle(user.String()+"@example.com", user.String())),
				})
			}
			tx.CreateDevice(rules.Device{
				ID: device, VerifyKey: keys.verifying(key), CreatedOn: created, Certificate: []byte(text),
			})
		}
		for _, user := range setup.RevokedUsers {
			tx.RevokeUser(must(parsec.ParseUserID(user)), rules.Revocation{Certificate: []byte("revoked"), On: created})
		}
		for _, user := range setup.FrozenUsers {
			tx.FreezeUser(must(parsec.ParseUserID(user)), true)
		}
		for _, item := range setup.Invitations {
			invitation := rules.Invitation{
				Token: parsec.InvitationToken(must(parsec.ParseUUID(item.Token))), Type: parsec.InvitationType(item.Type),
				Greeter: userID("alice"), Greeters: []rules.InvitationGreeter{{User: userID("alice")}}, CreatedOn: created,
			}
			if item.State == "deleted" {
				invitation.DeletedOn = &created
			}
			tx.PutInvitation(invitation)
		}
	})
}

func profileOf(user parsec.UserID) parsec.UserProfile {
	if user == userID("alice") {
		return parsec.ProfileAdmin
	}
	return parsec.ProfileStandard
}

// update writes to the store, under the lock of the organization.
func (f *fixture) update(id parsec.OrganizationID, effects func(tx rules.Tx)) {
	f.t.Helper()
	f.ok(f.Store.Update(f.ctx, rules.Scope{Organization: id, LockOrganization: true}, func(tx rules.Tx) error {
		effects(tx)
		return nil
	}))
}

// device is one of CoolOrg, by its text.
func (f *fixture) device(text string) *parsec2.Device { return f.deviceOf(coolOrg, text) }

func (f *fixture) deviceOf(organization parsec.OrganizationID, text string) *parsec2.Device {
	f.t.Helper()
	keys := vectors.Load[keyFile](f.t, "keys.json")
	name := map[string]string{
		"alice@dev1": "alice_dev1", "alice@dev2": "alice_dev2", "bob@dev1": "bob_dev1", "carol@dev1": "adam_dev1",
	}[text]
	id := must(parsec.ParseDeviceID(text))
	secret := sha256.Sum256([]byte(text))
	return &parsec2.Device{
		Organization:  organization,
		ID:            id,
		Profile:       profileOf(id.User()),
		SigningKey:    keys.signing(name),
		PrivateKey:    must(ecdh.X25519().NewPrivateKey(secret[:])),
		RootVerifyKey: keys.verifying("root"),
	}
}

// connect returns an authenticated connection of a device of CoolOrg.
func (f *fixture) connect(device string, versions ...parsec.APIVersion) *parsec2.Conn {
	f.t.Helper()
	return f.connectAs(f.device(device), versions...)
}

func (f *fixture) connectAs(device *parsec2.Device, versions ...parsec.APIVersion) *parsec2.Conn {
	f.t.Helper()
	conn, err := f.client.DialAuthenticated(f.ctx, device, versions...)
	f.ok(err)
	f.t.Cleanup(conn.CloseNow)
	return conn
}

// connectInvited returns a connection of the pending invitation of CoolOrg.
func (f *fixture) connectInvited(versions ...parsec.APIVersion) *parsec2.Conn {
	f.t.Helper()
	conn, err := f.client.DialInvited(f.ctx, f.invitation(), versions...)
	f.ok(err)
	f.t.Cleanup(conn.CloseNow)
	return conn
}

// connectAnonymous returns an anonymous connection of CoolOrg.
func (f *fixture) connectAnonymous() *parsec2.Conn {
	f.t.Helper()
	conn, err := f.client.DialAnonymous(f.ctx, coolOrg, nil)
	f.ok(err)
	f.t.Cleanup(conn.CloseNow)
	return conn
}

func (f *fixture) invitation() parsec.InvitationAddress {
	return f.Address.InvitationAddress(coolOrg, parsec.InvitationUser, pendingToken)
}

// dial returns a connection that has read nothing yet.
func (f *fixture) dial() *parsec2.Conn {
	f.t.Helper()
	conn, err := f.client.Dial(f.ctx)
	f.ok(err)
	f.t.Cleanup(conn.CloseNow)
	return conn
}

// connectAll returns a connection of every kind and API major, by name.
func (f *fixture) connectAll(visit func(name string, kind protocol.Kind, api parsec.APIVersion, conn *parsec2.Conn)) {
	f.t.Helper()
	for _, api := range []parsec.APIVersion{api1, api2, api3} {
		visit("authenticated "+api.String(), protocol.Authenticated, api, f.connect("alice@dev1", api))
	}
	for _, api := range []parsec.APIVersion{api2, api3} {
		visit("invited "+api.String(), protocol.Invited, api, f.connectInvited(api))
	}
	visit("anonymous", protocol.Anonymous, api1, f.connectAnonymous())
	administration, err := f.client.DialAdministration(f.ctx, testkit.AdministrationToken)
	f.ok(err)
	f.t.Cleanup(administration.CloseNow)
	visit("administration", protocol.Administration, api1, administration)
}

// message returns a request of any fields.
func message(command string, fields ...wire.Field) []byte {
	return must(wire.AppendMap(nil, append([]wire.Field{{Key: "cmd", Value: command}}, fields...), nil))
}

// send sends a request and returns at once.
func (f *fixture) send(conn *parsec2.Conn, command string, fields ...wire.Field) {
	f.t.Helper()
	f.ok(conn.Send(f.ctx, message(command, fields...)))
}

// receive returns the next message, decoded.
func (f *fixture) receive(conn *parsec2.Conn) map[any]any {
	f.t.Helper()
	received, err := conn.Receive(f.ctx)
	f.ok(err)
	return decodeMap(f.t, received)
}

func decodeMap(t testing.TB, message []byte) map[any]any {
	t.Helper()
	value, err := msgpack.Decode(message)
	if err != nil {
		t.Fatalf("decode %x: %v", message, err)
	}
	fields, isMap := value.(map[any]any)
	if !isMap {
		t.Fatalf("%x is not a map", message)
	}
	return fields
}

// wantPong checks that the connection serves.
func (f *fixture) wantPong(conn *parsec2.Conn) {
	f.t.Helper()
	reply, err := parsec2.Call(f.ctx, conn, protocol.Ping, &protocol.PingRequest{Ping: "still there"})
	f.ok(err)
	if reply.Pong != "still there" {
		f.t.Fatalf("pong %q", reply.Pong)
	}
}

// wantClosed checks that the server closes the connection with a code, and
// sends nothing before.
func (f *fixture) wantClosed(conn *parsec2.Conn, code websocket.StatusCode) {
	f.t.Helper()
	received, err := conn.Receive(f.ctx)
	if err == nil {
		f.t.Fatalf("received %v instead of the end", decodeMap(f.t, received))
	}
	if found := websocket.CloseStatus(err); found != code {
		f.t.Fatalf("closed with %d (%v), want %d", found, err, code)
	}
}

// flush returns once every event published before is delivered to the queues.
func (f *fixture) flush() {
	f.t.Helper()
	nobody := must(parsec.ParseOrganizationID("flush"))
	delivered := make(chan struct{})
	barrier := f.Bus.Subscribe(func(event.Event) { close(delivered) }, event.OrganizationTopic(nobody))
	defer barrier.Close()
	f.Bus.Publish([]event.Event{{Organization: nobody, Body: notice.Pinged{}}})
	f.await(delivered)
}

func (f *fixture) await(done <-chan struct{}) {
	f.t.Helper()
	select {
	case <-done:
	case <-f.ctx.Done():
		f.t.Fatal("it did not happen")
	}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) get(target string, headers ...string) *http.Response {
	f.t.Helper()
	return f.do(http.MethodGet, target, nil, headers...)
}

// do sends a request whose headers are "Name: value", and follows nothing.
func (f *fixture) do(method, target string, body []byte, headers ...string) *http.Response {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.ctx, method, f.Address.HTTPOrigin()+target, bytes.NewReader(body))
	f.ok(err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	f.ok(err)
	f.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// wantStatus compares the HTTP status of an error of the client.
func (f *fixture) wantStatus(err error, status int) {
	f.t.Helper()
	var answer *client.HTTPError
	if !errors.As(err, &answer) || answer.Status != status {
		f.t.Fatalf("%v, want HTTP %d", err, status)
	}
}

// logs keeps the log of a server.
type logs struct {
	mu      sync.Mutex
	written bytes.Buffer
	waiting []wait
}

type wait struct {
	text string
	seen chan struct{}
}

// Write implements io.Writer, for one record a call.
func (l *logs) Write(record []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written.Write(record)
	for i, wait := range l.waiting {
		if wait.seen != nil && bytes.Contains(record, []byte(wait.text)) {
			close(wait.seen)
			l.waiting[i].seen = nil
		}
	}
	return len(record), nil
}

// next is closed by the next record that holds a text.
func (l *logs) next(text string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(chan struct{})
	l.waiting = append(l.waiting, wait{text, seen})
	return seen
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.String()
}

// must is for what does not depend on the code under test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func userID(text string) parsec.UserID { return must(parsec.ParseUserID(text)) }
