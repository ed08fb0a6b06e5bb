package rules_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// fixture is the rules over a store in memory with the organization Acme:
// alice (ADMIN, two devices), bob (STANDARD) and mallory (OUTSIDER), all with
// human handles and device labels.
type fixture struct {
	*rules.Rules
	rules.Administration
	t        testing.TB
	store    rules.Store
	bus      *event.Bus
	blocks   blockstore.Store
	webhooks *webhooks
	clock    *clock
	events   *recorder
}

// setup is what a test may change of a fixture.
type setup struct {
	options rules.Options
	token   string
	store   func(t testing.TB, bus *event.Bus) rules.Store
	blocks  blockstore.Store
	// bootstrap makes the request that bootstraps Acme; nil leaves the rules
	// without organization.
	bootstrap func(f *fixture, token string) *protocol.OrganizationBootstrapRequest
}

var (
	acme  = must(parsec.ParseOrganizationID("Acme"))
	other = must(parsec.ParseOrganizationID("Other"))

	aliceID   = deviceID("alice@laptop")
	alice2ID  = deviceID("alice@phone")
	bobID     = deviceID("bob@laptop")
	malloryID = deviceID("mallory@laptop")
)

// newFixture ends with the test. It works inside of a synctest bubble when its
// store is inMemory.
func newFixture(t testing.TB, changes ...func(*setup)) *fixture {
	t.Helper()
	s := setup{
		options:   rules.Options{Founding: organization.Founding{InitialOutsiderAllowed: true}},
		token:     "s3cr3t",
		store:     testkit.NewStore,
		blocks:    blockstore.NewMemory(),
		bootstrap: (*fixture).bootstrapRequest,
	}
	for _, change := range changes {
		change(&s)
	}
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	f := &fixture{
		t: t, store: s.store(t, bus), bus: bus, blocks: s.blocks, webhooks: &webhooks{},
		clock: newClock(), events: newRecorder(bus),
	}
	f.Rules = rules.New(f.store, f.blocks, bus, f.webhooks, f.clock.now, discard, s.options)
	f.Administration.Administration = organization.New(f.store, organization.Wings{organization.Parsec2: f.Rules}, f.clock.now, discard,
		organization.Options{Founding: s.options.Founding, Token: s.token, Elapsed: s.options.Elapsed})
	f.events.watch(event.OrganizationTopic(acme),
		notice.UserTopic(acme, aliceID.User()), notice.UserTopic(acme, bobID.User()), notice.UserTopic(acme, malloryID.User()))
	if s.bootstrap != nil {
		f.populate(s.bootstrap)
		f.events.take()
	}
	return f
}

// inMemory is for synctest bubbles, where no time passes while a database
// works.
func inMemory(s *setup) {
	s.store = func(_ testing.TB, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) }
}

// withOptions changes the options of the rules.
func withOptions(change func(*rules.Options)) func(*setup) {
	return func(s *setup) { change(&s.options) }
}

// withoutOrganization leaves Acme out.
func withoutOrganization(s *setup) { s.bootstrap = nil }

// populate makes one step of a second per certificate.
func (f *fixture) populate(bootstrap func(*fixture, string) *protocol.OrganizationBootstrapRequest) {
	f.t.Helper()
	ctx := f.t.Context()
	token := f.createOrganization(acme)
	f.ok(f.OrganizationBootstrap(ctx, &rules.Anonymous{Organization: acme, API: latest}, bootstrap(f, token)))
	f.clock.advance(time.Second)
	f.ok(f.DeviceCreate(ctx, f.alice(), f.deviceCreation(f.alice(), alice2ID).request()))
	f.clock.advance(time.Second)
	f.createUser(f.alice(), bobID, parsec.ProfileStandard)
	f.clock.advance(time.Second)
	f.createUser(f.alice(), malloryID, parsec.ProfileOutsider)
	f.clock.advance(time.Second)
}

// createOrganization returns the bootstrap token.
func (f *fixture) createOrganization(id parsec.OrganizationID) string {
	f.t.Helper()
	reply, err := f.AdministrationCreate(f.t.Context(), somebody, &protocol.AdministrationCreateRequest{OrganizationID: id})
	f.ok(reply, err)
	return reply.BootstrapToken
}

// createUser creates the user of a first device, and returns that device.
func (f *fixture) createUser(author *rules.Author, first parsec.DeviceID, profile parsec.UserProfile) *rules.Author {
	f.t.Helper()
	f.ok(f.UserCreate(f.t.Context(), author, f.userCreation(author, first, profile).request()))
	return f.author(author.Organization, first, profile)
}

// revoke has alice revoke a user.
func (f *fixture) revoke(user parsec.UserID) {
	f.t.Helper()
	f.ok(f.UserRevoke(f.t.Context(), f.alice(), f.revocation(f.alice(), user)))
}

// somebody administrates.
var somebody = organization.Administrator{Address: netip.MustParseAddr("192.0.2.1")}

var discard = slog.New(slog.DiscardHandler)

// latest is the newest version of the protocol.
var latest = parsec.APIVersion{Major: 3, Minor: 4}

// The authors, as authenticated with the latest version.
func (f *fixture) alice() *rules.Author   { return f.author(acme, aliceID, parsec.ProfileAdmin) }
func (f *fixture) alice2() *rules.Author  { return f.author(acme, alice2ID, parsec.ProfileAdmin) }
func (f *fixture) bob() *rules.Author     { return f.author(acme, bobID, parsec.ProfileStandard) }
func (f *fixture) mallory() *rules.Author { return f.author(acme, malloryID, parsec.ProfileOutsider) }

func (f *fixture) author(organization parsec.OrganizationID, id parsec.DeviceID, profile parsec.UserProfile) *rules.Author {
	return &rules.Author{
		Organization: organization, Device: id, Profile: profile, VerifyKey: verifyKey(signingKey(id)), API: latest,
	}
}

// signingKey is always the same for a device; the zero device has the root
// key.
func signingKey(id parsec.DeviceID) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("signing key of " + id.String()))
	return ed25519.NewKeyFromSeed(seed[:])
}

func verifyKey(key ed25519.PrivateKey) parsec.VerifyKey {
	return parsec.VerifyKey(key.Public().(ed25519.PublicKey))
}

// rootKey signs the first user of every organization of the fixture.
func rootKey() ed25519.PrivateKey { return signingKey(parsec.DeviceID{}) }

// userCreation is the content of the certificates of a new user; tests spoil
// it before request signs it with key.
type userCreation struct {
	user, redactedUser     certificate.User
	device, redactedDevice certificate.Device
	key                    ed25519.PrivateKey
}

// userCreation is by the root key when author is nil.
func (f *fixture) userCreation(author *rules.Author, first parsec.DeviceID, profile parsec.UserProfile) *userCreation {
	f.t.Helper()
	devices := f.deviceCreation(author, first)
	user := certificate.User{
		Author:      devices.device.Author,
		Timestamp:   devices.device.Timestamp,
		UserID:      first.User(),
		HumanHandle: human(first.User()),
		PublicKey:   parsec.PublicKey(sha256.Sum256([]byte("public key of " + first.User().String()))),
		Profile:     profile,
	}
	return &userCreation{
		user: user, redactedUser: user.Redacted(),
		device: devices.device, redactedDevice: devices.redacted, key: devices.key,
	}
}

// human has the user's name as its label.
func human(user parsec.UserID) parsec.HumanHandle {
	return must(parsec.ParseHumanHandle(user.String()+"@example.com", user.String()))
}

func (c *userCreation) request() *protocol.UserCreateRequest {
	return &protocol.UserCreateRequest{
		UserCertificate:           must(c.user.Sign(c.key)),
		DeviceCertificate:         must(c.device.Sign(c.key)),
		RedactedUserCertificate:   must(c.redactedUser.Sign(c.key)),
		RedactedDeviceCertificate: must(c.redactedDevice.Sign(c.key)),
	}
}

// requestV1 leaves the redacted certificates out.
func (c *userCreation) requestV1() *protocol.UserCreateV1Request {
	return &protocol.UserCreateV1Request{
		UserCertificate: must(c.user.Sign(c.key)), DeviceCertificate: must(c.device.Sign(c.key)),
	}
}

// deviceCreation is the content of the certificates of a new device; tests
// spoil it before request signs it with key.
type deviceCreation struct {
	device, redacted certificate.Device
	key              ed25519.PrivateKey
}

// deviceCreation is by the root key when author is nil.
func (f *fixture) deviceCreation(author *rules.Author, id parsec.DeviceID) *deviceCreation {
	var by parsec.DeviceID
	if author != nil {
		by = author.Device
	}
	created := certificate.Device{
		Author:      by,
		Timestamp:   f.clock.now(),
		DeviceID:    id,
		DeviceLabel: must(parsec.ParseDeviceLabel("label of " + id.String())),
		VerifyKey:   verifyKey(signingKey(id)),
	}
	return &deviceCreation{device: created, redacted: created.Redacted(), key: signingKey(by)}
}

func (c *deviceCreation) request() *protocol.DeviceCreateRequest {
	return &protocol.DeviceCreateRequest{
		DeviceCertificate: must(c.device.Sign(c.key)), RedactedDeviceCertificate: must(c.redacted.Sign(c.key)),
	}
}

// requestV1 is without label, as API 1 clients send it.
func (c *deviceCreation) requestV1(encryptedAnswer []byte) *protocol.DeviceCreateV1Request {
	return &protocol.DeviceCreateV1Request{
		DeviceCertificate: must(c.redacted.Sign(c.key)), EncryptedAnswer: encryptedAnswer,
	}
}

func (f *fixture) revocation(author *rules.Author, user parsec.UserID) *protocol.UserRevokeRequest {
	revoked := certificate.RevokedUser{Author: author.Device, Timestamp: f.clock.now(), UserID: user}
	return &protocol.UserRevokeRequest{RevokedUserCertificate: must(revoked.Sign(signingKey(author.Device)))}
}

// bootstrapRequest makes alice the first user.
func (f *fixture) bootstrapRequest(token string) *protocol.OrganizationBootstrapRequest {
	first := f.userCreation(nil, aliceID, parsec.ProfileAdmin).request()
	return &protocol.OrganizationBootstrapRequest{
		BootstrapToken:            token,
		RootVerifyKey:             verifyKey(rootKey()),
		UserCertificate:           first.UserCertificate,
		DeviceCertificate:         first.DeviceCertificate,
		RedactedUserCertificate:   first.RedactedUserCertificate,
		RedactedDeviceCertificate: first.RedactedDeviceCertificate,
	}
}

// clock moves only when told to. It begins at the instant of the vectors.
type clock struct{ instant atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.instant.Store(int64(must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z"))))
	return c
}

func (c *clock) now() parsec.DateTime { return parsec.DateTime(c.instant.Load()) }

func (c *clock) advance(by time.Duration) { c.instant.Add(by.Microseconds()) }

// recorder keeps the events of the topics that it watches.
type recorder struct {
	bus          *event.Bus
	subscription *event.Subscription

	mu       sync.Mutex
	recorded []event.Event
}

func newRecorder(bus *event.Bus) *recorder {
	r := &recorder{bus: bus}
	r.subscription = bus.Subscribe(func(e event.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.recorded = append(r.recorded, e)
	})
	return r
}

func (r *recorder) watch(topics ...event.Topic) {
	for _, topic := range topics {
		r.subscription.Add(topic)
	}
}

// take returns the events published since the last call, in order.
func (r *recorder) take() []event.Event {
	r.flush()
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.recorded
	r.recorded = nil
	return taken
}

// bodies is take without organizations and authors.
func (r *recorder) bodies() []event.Body {
	var bodies []event.Body
	for _, e := range r.take() {
		bodies = append(bodies, e.Body)
	}
	return bodies
}

// flush returns once the events already published are delivered.
func (r *recorder) flush() {
	nobody := must(parsec.ParseOrganizationID("flush"))
	delivered := make(chan struct{}, 1)
	barrier := r.bus.Subscribe(func(event.Event) {
		select {
		case delivered <- struct{}{}:
		default:
		}
	}, event.OrganizationTopic(nobody))
	defer barrier.Close()
	r.bus.Publish([]event.Event{{Organization: nobody, Body: notice.Pinged{}}})
	<-delivered
}

// webhooks accepts every blob unless sequester is set, and keeps what it is
// told of bootstraps.
type webhooks struct {
	// sequester is set before use.
	sequester func(ctx context.Context, organization parsec.OrganizationID, service rules.SequesterService, blob []byte) error

	mu           sync.Mutex
	bootstrapped []bootstrapped
}

// bootstrapped is one call of Bootstrapped.
type bootstrapped struct {
	organization parsec.OrganizationID
	device       parsec.DeviceID
	label        parsec.DeviceLabel
	human        parsec.HumanHandle
}

func (w *webhooks) Sequester(ctx context.Context, organization parsec.OrganizationID, service rules.SequesterService, blob []byte) error {
	if w.sequester == nil {
		return nil
	}
	return w.sequester(ctx, organization, service, blob)
}

func (w *webhooks) Bootstrapped(organization parsec.OrganizationID, device rules.Device, human parsec.HumanHandle) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bootstrapped = append(w.bootstrapped, bootstrapped{organization, device.ID, device.Label, human})
}

// sessionOver is how status shows rules.ErrSessionOver.
const sessionOver protocol.Status = "session over"

// status shows the outcome of a command, as in status(f.UserGet(…)).
func status(_ any, err error) protocol.Status {
	var refusal *protocol.Refusal
	switch {
	case err == nil:
		return protocol.StatusOK
	case errors.As(err, &refusal):
		return refusal.Status
	case errors.Is(err, rules.ErrSessionOver):
		return sessionOver
	default:
		return protocol.Status("failure: " + err.Error())
	}
}

// ok ends the test when a command is refused, as in f.ok(f.UserCreate(…)).
func (f *fixture) ok(_ any, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// parallel runs each call in a goroutine of its own, all at once, and counts
// the outcomes.
func parallel(calls ...func() error) map[protocol.Status]int {
	outcomes := make(chan protocol.Status, len(calls))
	start := make(chan struct{})
	for _, call := range calls {
		go func() {
			<-start
			outcomes <- status(nil, call())
		}()
	}
	close(start)
	counts := map[protocol.Status]int{}
	for range calls {
		counts[<-outcomes]++
	}
	return counts
}

// must is for what does not depend on the code under test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func deviceID(text string) parsec.DeviceID { return must(parsec.ParseDeviceID(text)) }

func userID(text string) parsec.UserID { return must(parsec.ParseUserID(text)) }
