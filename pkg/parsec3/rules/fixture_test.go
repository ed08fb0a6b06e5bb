package rules_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

func init() {
	if err := testkit.BeforeBubbles(); err != nil {
		panic(err)
	}
}

// fixture is the rules over a store with the organization Acme: alice (ADMIN, two
// devices), bob (STANDARD) and mallory (OUTSIDER).
type fixture struct {
	*rules.Rules
	administration *organization.Administration
	t              testing.TB
	store          rules.Store
	bus            *event.Bus
	blocks         blockstore.Store
	webhooks       *webhooks
	clock          *clock
	events         *recorder
}

// setup is what a test may change of a fixture.
type setup struct {
	options rules.Options
	store   func(t testing.TB, bus *event.Bus) rules.Store
	blocks  blockstore.Store
	// sequestered organizations have the authority of authorityKey.
	sequestered bool
	// empty leaves the rules without organization.
	empty bool
}

var (
	acme  = must(parsec.ParseOrganizationID("Acme"))
	other = must(parsec.ParseOrganizationID("Other"))

	aliceID, aliceLaptop, alicePhone = userID("alice"), deviceID("alice@laptop"), deviceID("alice@phone")
	bobID, bobLaptop                 = userID("bob"), deviceID("bob@laptop")
	malloryID, malloryLaptop         = userID("mallory"), deviceID("mallory@laptop")
)

// newFixture ends with the test.
func newFixture(t testing.TB, changes ...func(*setup)) *fixture {
	t.Helper()
	s := setup{
		options: rules.Options{Founding: organization.Founding{InitialOutsiderAllowed: true}},
		store:   testkit.NewParsec3Store,
		blocks:  blockstore.NewMemory(),
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
	f.administration = organization.New(f.Organizations(), organization.Wings{organization.Parsec3: f.Rules}, f.clock.now, discard,
		organization.Options{Founding: s.options.Founding})
	f.events.watch(event.OrganizationTopic(acme), notice.AdministratorsTopic(acme),
		notice.UserTopic(acme, aliceID), notice.UserTopic(acme, bobID), notice.UserTopic(acme, malloryID))
	if !s.empty {
		f.populate(s.sequestered)
		f.events.take()
	}
	return f
}

// withOptions changes the options of the rules.
func withOptions(change func(*rules.Options)) func(*setup) {
	return func(s *setup) { change(&s.options) }
}

// withoutOrganization leaves Acme out.
func withoutOrganization(s *setup) { s.empty = true }

// sequestered has Acme bootstrapped with a sequester authority.
func sequestered(s *setup) { s.sequestered = true }

// populate makes one step of a second per certificate.
func (f *fixture) populate(sequestered bool) {
	f.t.Helper()
	ctx := f.t.Context()
	f.createOrganization(acme)
	first := f.bootstrap(acme, aliceLaptop)
	if sequestered {
		first.withAuthority(f.t)
	}
	f.ok(f.OrganizationBootstrap(ctx, first.anonymous, first.request()))
	f.clock.advance(time.Second)
	f.ok(f.DeviceCreate(ctx, f.alice(), f.deviceCreation(f.alice(), alicePhone).request()))
	f.clock.advance(time.Second)
	f.createUser(f.alice(), bobLaptop, parsec.ProfileStandard)
	f.createUser(f.alice(), malloryLaptop, parsec.ProfileOutsider)
}

// createOrganization creates an organization whose bootstrap needs bootstrapToken.
func (f *fixture) createOrganization(id parsec.OrganizationID) {
	f.t.Helper()
	f.changeOrganization(id, func(o *organization.Organization) {
		*o = organization.Founding{InitialOutsiderAllowed: true}.New(id, f.clock.now())
		o.BootstrapToken = bootstrapToken.String()
	})
}

// changeOrganization stores an organization, or changes it.
func (f *fixture) changeOrganization(id parsec.OrganizationID, change func(*organization.Organization)) {
	f.t.Helper()
	f.ok(nil, f.store.ChangeOrganization(f.t.Context(), id, func(tx organization.Tx) error {
		var changed organization.Organization
		if stored, found := tx.Organization(); found {
			changed = *stored
		}
		change(&changed)
		tx.PutOrganization(changed)
		return nil
	}))
}

// expire closes Acme as of now.
func (f *fixture) expire() {
	f.t.Helper()
	now := f.clock.now()
	f.changeOrganization(acme, func(o *organization.Organization) { o.ExpirationDate = &now })
}

var (
	bootstrapToken = must(parsec3.ParseAccessToken(strings.Repeat("b0", 16)))
	otherToken     = must(parsec3.ParseAccessToken(strings.Repeat("b1", 16)))
)

// createUser creates the user of a first device, a second after everything before,
// and returns that device.
func (f *fixture) createUser(author *rules.Author, first parsec3.DeviceID, profile parsec.UserProfile) *rules.Author {
	f.t.Helper()
	f.ok(f.UserCreate(f.t.Context(), author, f.userCreation(author, first, profile).request()))
	f.clock.advance(time.Second)
	return f.author(first)
}

// revoke has alice revoke a user, a second after everything before.
func (f *fixture) revoke(user parsec3.UserID) {
	f.t.Helper()
	f.ok(f.UserRevoke(f.t.Context(), f.alice(), f.revocation(f.alice(), user).request()))
	f.clock.advance(time.Second)
}

// setProfile has alice change the profile of a user, a second after everything
// before.
func (f *fixture) setProfile(user parsec3.UserID, profile parsec.UserProfile) {
	f.t.Helper()
	f.ok(f.UserUpdate(f.t.Context(), f.alice(), f.userUpdate(f.alice(), user, profile).request()))
	f.clock.advance(time.Second)
}

var discard = slog.New(slog.DiscardHandler)

// latest is the newest version of the protocol.
var latest = parsec.APIVersion{Major: 5, Minor: 6}

// The authors, in Acme.
func (f *fixture) alice() *rules.Author   { return f.author(aliceLaptop) }
func (f *fixture) bob() *rules.Author     { return f.author(bobLaptop) }
func (f *fixture) mallory() *rules.Author { return f.author(malloryLaptop) }

// author is a device of Acme, as authenticated with the latest version.
func (f *fixture) author(id parsec3.DeviceID) *rules.Author {
	return &rules.Author{
		Organization: acme, Device: id, User: ownerOf(id), VerifyKey: verifyKey(signingKey(id)), API: latest,
	}
}

// names are those that userID and deviceID have made ids of.
var names sync.Map

// userID returns the id of whoever has the name.
func userID(name string) parsec3.UserID { return parsec3.UserID(namedID("user", name)) }

// deviceID returns the id of a device, whose name is its user's, "@" and more.
func deviceID(name string) parsec3.DeviceID { return parsec3.DeviceID(namedID("device", name)) }

// realmID returns the id of the realm with the name.
func realmID(name string) parsec.RealmID { return parsec.RealmID(namedID("realm", name)) }

func namedID(kind, name string) parsec.UUID {
	digest := sha256.Sum256([]byte(kind + " " + name))
	id := parsec.UUID(digest[:16])
	names.Store(id, name)
	return id
}

// nameOf returns the name of a user or a device.
func nameOf(id parsec.UUID) string {
	name, found := names.Load(id)
	if !found {
		panic("no name of " + id.Hex())
	}
	return name.(string)
}

// ownerOf returns whose the device is, by its name.
func ownerOf(id parsec3.DeviceID) parsec3.UserID {
	owner, _, _ := strings.Cut(nameOf(parsec.UUID(id)), "@")
	return userID(owner)
}

// signingKey is always the same for a device; the zero device has the root key.
func signingKey(id parsec3.DeviceID) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("signing key of " + id.String()))
	return ed25519.NewKeyFromSeed(seed[:])
}

func verifyKey(key ed25519.PrivateKey) parsec.VerifyKey {
	return parsec.VerifyKey(key.Public().(ed25519.PublicKey))
}

// rootKey signs the first user of every organization of the fixture.
func rootKey() ed25519.PrivateKey { return signingKey(parsec3.DeviceID{}) }

// keyPair is an RSA key of the vectors.
type keyPair struct {
	Public  []byte `json:"public_der"`
	Private []byte `json:"private_pkcs8_der"`
}

func sequesterKeys(t testing.TB) map[string]keyPair {
	t.Helper()
	return vectors.Load[struct {
		Keys struct {
			RSA map[string]keyPair `json:"rsa"`
		} `json:"keys"`
	}](t, "v5/certificates.json").Keys.RSA
}

// authorityKey signs the sequester services of every organization of the fixture.
func authorityKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	return must(x509.ParsePKCS8PrivateKey(sequesterKeys(t)["sequester_authority"].Private)).(*rsa.PrivateKey)
}

// serviceKeyDER is the public key of every sequester service.
func serviceKeyDER(t testing.TB) []byte {
	t.Helper()
	return sequesterKeys(t)["sequester_service"].Public
}

// human has the user's name as its label.
func human(user parsec3.UserID) parsec.HumanHandle {
	name := nameOf(parsec.UUID(user))
	return must(parsec3.ParseHumanHandle(name+"@example.com", name))
}

// userCreation is the content of the certificates of a new user; tests spoil it
// before request signs it with key.
type userCreation struct {
	user, redactedUser     certificate.User
	device, redactedDevice certificate.Device
	key                    ed25519.PrivateKey
}

// userCreation is by the root key when author is nil.
func (f *fixture) userCreation(author *rules.Author, first parsec3.DeviceID, profile parsec.UserProfile) *userCreation {
	devices := f.deviceCreation(author, first)
	user := certificate.User{
		Author:      devices.device.Author,
		Timestamp:   devices.device.Timestamp,
		UserID:      ownerOf(first),
		HumanHandle: human(ownerOf(first)),
		PublicKey:   parsec.PublicKey(sha256.Sum256([]byte("public key of " + ownerOf(first).String()))),
		Profile:     profile,
	}
	return &userCreation{
		user: user, redactedUser: user.Redacted(),
		device: devices.device, redactedDevice: devices.redacted, key: devices.key,
	}
}

// at dates all the certificates.
func (c *userCreation) at(date parsec.DateTime) {
	c.user.Timestamp, c.redactedUser.Timestamp = date, date
	c.device.Timestamp, c.redactedDevice.Timestamp = date, date
}

func (c *userCreation) request() *protocol.UserCreateRequest {
	return &protocol.UserCreateRequest{
		UserCertificate:           must(c.user.Sign(c.key)),
		DeviceCertificate:         must(c.device.Sign(c.key)),
		RedactedUserCertificate:   must(c.redactedUser.Sign(c.key)),
		RedactedDeviceCertificate: must(c.redactedDevice.Sign(c.key)),
	}
}

// deviceCreation is the content of the certificates of a new device; tests spoil
// it before request signs it with key.
type deviceCreation struct {
	device, redacted certificate.Device
	key              ed25519.PrivateKey
}

// deviceCreation is by the root key when author is nil.
func (f *fixture) deviceCreation(author *rules.Author, id parsec3.DeviceID) *deviceCreation {
	var by parsec3.DeviceID
	if author != nil {
		by = author.Device
	}
	created := certificate.Device{
		Author:      by,
		Timestamp:   f.clock.now(),
		Purpose:     parsec3.PurposeStandard,
		UserID:      ownerOf(id),
		DeviceID:    id,
		DeviceLabel: must(parsec3.ParseDeviceLabel("label of " + nameOf(parsec.UUID(id)))),
		VerifyKey:   verifyKey(signingKey(id)),
	}
	return &deviceCreation{device: created, redacted: created.Redacted(), key: signingKey(by)}
}

// at dates both certificates.
func (c *deviceCreation) at(date parsec.DateTime) {
	c.device.Timestamp, c.redacted.Timestamp = date, date
}

func (c *deviceCreation) request() *protocol.DeviceCreateRequest {
	return &protocol.DeviceCreateRequest{
		DeviceCertificate: must(c.device.Sign(c.key)), RedactedDeviceCertificate: must(c.redacted.Sign(c.key)),
	}
}

// bootstrap is the content of an organization_bootstrap; tests spoil it before
// request signs it.
type bootstrap struct {
	userCreation
	anonymous *rules.Anonymous
	token     *parsec3.AccessToken
	root      parsec.VerifyKey
	// authority is nil for an organization that is not sequestered.
	authority *certificate.SequesterAuthority
}

// bootstrap makes the owner of the device the first user, with bootstrapToken.
func (f *fixture) bootstrap(id parsec.OrganizationID, first parsec3.DeviceID) *bootstrap {
	token := bootstrapToken
	return &bootstrap{
		userCreation: *f.userCreation(nil, first, parsec.ProfileAdmin),
		anonymous:    &rules.Anonymous{Organization: id, API: latest},
		token:        &token,
		root:         verifyKey(rootKey()),
	}
}

// withAuthority has the organization sequestered.
func (b *bootstrap) withAuthority(t testing.TB) {
	t.Helper()
	b.authority = &certificate.SequesterAuthority{
		Timestamp: b.user.Timestamp, VerifyKeyDER: sequesterKeys(t)["sequester_authority"].Public,
	}
}

func (b *bootstrap) request() *protocol.OrganizationBootstrapRequest {
	first := b.userCreation.request()
	request := &protocol.OrganizationBootstrapRequest{
		BootstrapToken:            b.token,
		RootVerifyKey:             b.root,
		UserCertificate:           first.UserCertificate,
		DeviceCertificate:         first.DeviceCertificate,
		RedactedUserCertificate:   first.RedactedUserCertificate,
		RedactedDeviceCertificate: first.RedactedDeviceCertificate,
	}
	if b.authority != nil {
		request.SequesterAuthorityCertificate = must(b.authority.Sign(b.key))
	}
	return request
}

// revocation is the content of a revoked user certificate; tests spoil it before
// request signs it with key.
type revocation struct {
	revoked certificate.RevokedUser
	key     ed25519.PrivateKey
}

func (f *fixture) revocation(author *rules.Author, user parsec3.UserID) *revocation {
	return &revocation{
		certificate.RevokedUser{Author: author.Device, Timestamp: f.clock.now(), UserID: user}, signingKey(author.Device),
	}
}

func (r *revocation) request() *protocol.UserRevokeRequest {
	return &protocol.UserRevokeRequest{RevokedUserCertificate: must(r.revoked.Sign(r.key))}
}

// userUpdate is the content of a user update certificate; tests spoil it before
// request signs it with key.
type userUpdate struct {
	update certificate.UserUpdate
	key    ed25519.PrivateKey
}

func (f *fixture) userUpdate(author *rules.Author, user parsec3.UserID, profile parsec.UserProfile) *userUpdate {
	return &userUpdate{
		certificate.UserUpdate{Author: author.Device, Timestamp: f.clock.now(), UserID: user, NewProfile: profile},
		signingKey(author.Device),
	}
}

func (u *userUpdate) request() *protocol.UserUpdateRequest {
	return &protocol.UserUpdateRequest{UserUpdateCertificate: must(u.update.Sign(u.key))}
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

// bodies is take without organizations, and with zero for the ids of events.
func (r *recorder) bodies() []event.Body {
	var bodies []event.Body
	for _, e := range r.take() {
		body := reflect.New(reflect.TypeOf(e.Body)).Elem()
		body.Set(reflect.ValueOf(e.Body))
		if id := body.FieldByName("ID"); id.IsValid() {
			id.SetZero()
		}
		bodies = append(bodies, body.Interface().(event.Body))
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

// webhooks accepts everything unless it is told otherwise, and keeps what it is told
// of bootstraps.
type webhooks struct {
	// vlob and keyRotation are set before use.
	vlob        func(ctx context.Context, service rules.SequesterService, question *rules.VlobQuestion) error
	keyRotation func(ctx context.Context, service rules.SequesterService, question *rules.KeyRotationQuestion) error

	mu           sync.Mutex
	bootstrapped []bootstrapped
}

// bootstrapped is one call of Bootstrapped.
type bootstrapped struct {
	organization parsec.OrganizationID
	device       parsec3.DeviceID
	label        parsec3.DeviceLabel
	human        parsec.HumanHandle
}

func (w *webhooks) AskVlob(ctx context.Context, service rules.SequesterService, question *rules.VlobQuestion) error {
	if w.vlob == nil {
		return nil
	}
	return w.vlob(ctx, service, question)
}

func (w *webhooks) AskKeyRotation(ctx context.Context, service rules.SequesterService, question *rules.KeyRotationQuestion) error {
	if w.keyRotation == nil {
		return nil
	}
	return w.keyRotation(ctx, service, question)
}

func (w *webhooks) Bootstrapped(organization parsec.OrganizationID, device parsec3.DeviceID, label parsec3.DeviceLabel, human parsec.HumanHandle) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bootstrapped = append(w.bootstrapped, bootstrapped{organization, device, label, human})
}

// aborted is how status shows an Abort.
func aborted(abort rules.Abort) protocol.Status {
	return protocol.Status(fmt.Sprintf("abort %d", int(abort)))
}

// status shows the outcome of a command, as in status(f.UserCreate(…)).
func status(_ any, err error) protocol.Status {
	var refusal *protocol.Refusal
	var abort rules.Abort
	switch {
	case err == nil:
		return protocol.StatusOK
	case errors.As(err, &refusal):
		return refusal.Status
	case errors.As(err, &abort):
		return aborted(abort)
	default:
		return protocol.Status("failure: " + err.Error())
	}
}

// detailsOf returns the fields of a refusal, zero if there are none of this type.
func detailsOf[Details any](err error) Details {
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		if details, ok := refusal.Details.(*Details); ok {
			return *details
		}
	}
	var none Details
	return none
}

// ok ends the test when a command is refused, as in f.ok(f.UserCreate(…)).
func (f *fixture) ok(_ any, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// parallel runs each call in a goroutine of its own, all at once, and counts the
// outcomes.
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

// stored is what the store has of Acme that its commands may change; tests compare
// it before and after a command that is refused.
func (f *fixture) stored(ctx context.Context) any {
	f.t.Helper()
	found, exists, err := f.store.Organization(ctx, acme)
	f.ok(nil, err)
	if !exists {
		found = nil
	}
	standing, certificates, err := f.store.Certificates(ctx, acme, aliceLaptop, rules.CertificatesAfter{}, 1<<30)
	f.ok(nil, err)
	users, err := f.store.Users(ctx, acme)
	f.ok(nil, err)
	_, invitations, err := f.store.Invitations(ctx, acme, aliceLaptop, 0)
	f.ok(nil, err)
	_, enrollments, err := f.store.PendingEnrollments(ctx, acme, aliceLaptop)
	f.ok(nil, err)
	return []any{found, standing, certificates, users, invitations, enrollments}
}
