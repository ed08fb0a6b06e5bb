package parsec3_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// patience bounds how long a test waits for what must happen.
const patience = 60 * time.Second

// reference is the instant at which a test begins.
var reference = must(parsec.ParseDateTime("2025-04-20T12:12:00Z"))

var (
	coolOrg  = must(parsec.ParseOrganizationID("CoolOrg"))
	emptyOrg = must(parsec.ParseOrganizationID("EmptyOrg"))
)

func init() {
	if err := testkit.BeforeBubbles(); err != nil {
		panic(err)
	}
}

// fixture is a server of both generations with CoolOrg, bootstrapped by alice, an
// ADMIN, who has created bob, and EmptyOrg, which is not bootstrapped.
type fixture struct {
	*testkit.Generations
	t          testing.TB
	ctx        context.Context // ends when patience does
	clock      *testkit.Clock
	client     *clientparsec3.Client
	alice, bob *clientparsec3.Device
	token      parsec3.AccessToken
	http       *http.Client
}

// newFixture ends with the test.
func newFixture(t testing.TB, changes ...func(*testkit.GenerationsOptions)) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return newFixtureOver(ctx, t, nil, changes...)
}

// newFixtureOver has clients dial another network, unless it is nil.
func newFixtureOver(ctx context.Context, t testing.TB, dial func(context.Context, string, string) (net.Conn, error), changes ...func(*testkit.GenerationsOptions)) *fixture {
	t.Helper()
	f := &fixture{t: t, ctx: ctx, clock: testkit.NewClock(reference), token: must(parsec3.ParseAccessToken(parsec.NewUUID().Hex()))}
	options := testkit.GenerationsOptions{
		Now:     f.clock.Now,
		Parsec3: rules.Options{Founding: organization.Founding{InitialOutsiderAllowed: true}},
	}
	for _, change := range changes {
		change(&options)
	}
	f.Generations = testkit.StartGenerations(t, options)
	f.client = clientparsec3.New(f.Address, latest, client.Options{Now: f.clock.Now, DialContext: dial})
	t.Cleanup(f.client.Close)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if dial != nil {
		transport.DialContext = dial
	}
	t.Cleanup(transport.CloseIdleConnections)
	f.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	f.create(coolOrg)
	f.create(emptyOrg)
	f.alice = f.bootstrap(coolOrg, "alice")
	f.clock.Advance(time.Second)
	var creation *protocol.UserCreateRequest
	f.bob, creation = must2(f.alice.NewUser(person("bob"), parsec.ProfileStandard, f.clock.Now()))
	call(f, f.client.Authenticated(f.alice), protocol.UserCreate, creation)
	f.clock.Advance(time.Second)
	f.settle()
	return f
}

// settle waits until the events published before are delivered: one of them may
// come to a stream that is opened after it.
func (f *fixture) settle() {
	f.t.Helper()
	delivered := make(chan struct{})
	subscription := f.Bus.Subscribe(func(event.Event) { close(delivered) }, event.OrganizationTopic(emptyOrg))
	defer subscription.Close()
	f.ok(f.Store3.Publish(f.ctx, event.Event{Organization: emptyOrg, Body: notice.Pinged{ID: notice.NewID()}}))
	select {
	case <-delivered:
	case <-f.ctx.Done():
		f.t.Fatal(f.ctx.Err())
	}
}

var latest = parsec.APIVersion{Major: 5, Minor: 6}

func person(name string) clientparsec3.Person {
	return clientparsec3.Person{
		Label: must(parsec3.ParseDeviceLabel("laptop of " + name)), HumanHandle: must(parsec3.ParseHumanHandle(name+"@example.com", name)),
	}
}

// create creates an organization whose bootstrap needs the token of the fixture.
func (f *fixture) create(id parsec.OrganizationID) {
	f.t.Helper()
	f.change(id, func(o *organization.Organization) {
		*o = organization.Founding{InitialOutsiderAllowed: true}.New(id, f.clock.Now())
		o.BootstrapToken = f.token.String()
	})
}

// change stores an organization, or changes it.
func (f *fixture) change(id parsec.OrganizationID, change func(*organization.Organization)) {
	f.t.Helper()
	f.ok(f.Store3.ChangeOrganization(f.ctx, id, func(tx organization.Tx) error {
		var changed organization.Organization
		if stored, found := tx.Organization(); found {
			changed = *stored
		}
		change(&changed)
		tx.PutOrganization(changed)
		return nil
	}))
}

// bootstrap returns the first device of an organization.
func (f *fixture) bootstrap(id parsec.OrganizationID, name string) *clientparsec3.Device {
	f.t.Helper()
	device, request, err := clientparsec3.NewOrganization(clientparsec3.Founding{Organization: id, Token: &f.token}, person(name), f.clock.Now())
	f.ok(err)
	call(f, f.client.Anonymous(id), protocol.OrganizationBootstrap, request)
	return device
}

// call wants an ok reply.
func call[Request, Reply any](f *fixture, to *clientparsec3.RPC, command *rpc.Command[Request, Reply], request *Request) *Reply {
	f.t.Helper()
	reply, err := clientparsec3.Call(f.ctx, to, command, request)
	f.ok(err)
	return reply
}

// answer is what the server says.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request is an HTTP request, which tests spoil.
type request struct {
	method, path string
	header       http.Header
	body         []byte
	// chunked has the body sent without its length.
	chunked bool
	// through is the origin of a proxy, "" for none.
	through string
}

// newRequest returns a request that is right: a ping, or the opening of a stream.
func (f *fixture) newRequest(method, path string, device *clientparsec3.Device) *request {
	r := &request{method: method, path: path, header: http.Header{
		"Api-Version": {"5.5"}, "Content-Type": {"application/msgpack"}, "Accept": {"text/event-stream"},
	}}
	if method == http.MethodPost {
		r.body = message(protocol.Ping.Name, &protocol.PingRequest{Ping: "hello"})
	}
	if device != nil {
		r.header.Set("Authorization", device.Token(f.clock.Now()))
	}
	return r
}

// message is a request of a command.
func message(command string, fields any) []byte {
	return must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: command}}, fields))
}

// emptyRequest has zero values, but for variants, which are not written without a kind.
func emptyRequest(form *rpc.Form) any {
	request := form.NewRequest()
	switch r := request.(type) {
	case *protocol.AccountCreateProceedRequest:
		r.AccountCreateStep.Step = protocol.AccountCheckCode
	case *protocol.AsyncEnrollmentSubmitRequest:
		r.SubmitPayloadSignature.Kind = protocol.SignedByPKI
	case *protocol.AsyncEnrollmentAcceptRequest:
		r.AcceptPayloadSignature.Kind = protocol.SignedByPKI
	}
	return request
}

// open sends the request and returns the response, whose body ends with the test.
func (f *fixture) open(r *request) *http.Response {
	f.t.Helper()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	if r.chunked {
		body = io.MultiReader(bytes.NewReader(r.body))
	}
	sent, err := http.NewRequestWithContext(f.ctx, r.method, cmp.Or(r.through, f.Address.HTTPOrigin())+r.path, body)
	f.ok(err)
	sent.Header = r.header
	response, err := f.http.Do(sent)
	f.ok(err)
	f.t.Cleanup(func() { response.Body.Close() })
	return response
}

// send sends the request and reads the whole answer.
func (f *fixture) send(r *request) answer {
	f.t.Helper()
	response := f.open(r)
	body, err := io.ReadAll(response.Body)
	f.ok(err)
	return answer{response.StatusCode, response.Header, body}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}
