package rules_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/parsec3/webhook"
)

var (
	storageID = parsec.SequesterServiceID(namedID("service", "storage"))
	webhookID = parsec.SequesterServiceID(namedID("service", "webhook"))
)

// service is the content of a service certificate, dated now.
func (f *fixture) service(id parsec.SequesterServiceID) certificate.SequesterService {
	return certificate.SequesterService{
		Timestamp: f.clock.now(), ServiceID: id, ServiceLabel: nameOf(parsec.UUID(id)), EncryptionKeyDER: serviceKeyDER(f.t),
	}
}

func (f *fixture) createService(id parsec.SequesterServiceID, webhookURL string) {
	f.t.Helper()
	f.ok(nil, f.CreateSequesterService(f.t.Context(), acme, must(f.service(id).Sign(authorityKey(f.t))), webhookURL))
	f.clock.advance(time.Second)
}

func (f *fixture) revokeService(id parsec.SequesterServiceID) {
	f.t.Helper()
	revoked := certificate.SequesterRevokedService{Timestamp: f.clock.now(), ServiceID: id}
	f.ok(nil, f.RevokeSequesterService(f.t.Context(), acme, must(revoked.Sign(authorityKey(f.t)))))
	f.clock.advance(time.Second)
}

// foreignKey is not that of an authority.
func foreignKey(t testing.TB) *rsa.PrivateKey {
	return must(x509.ParsePKCS8PrivateKey(sequesterKeys(t)["sequester_service"].Private)).(*rsa.PrivateKey)
}

// lastSequester is the date of the sequester topic.
func (f *fixture) lastSequester() (last parsec.DateTime) {
	f.t.Helper()
	f.ok(nil, f.store.Update(f.t.Context(), rules.Scope{Organization: acme, Sequester: rules.Shared}, func(tx rules.Tx) error {
		last = tx.Topics().Sequester
		return nil
	}))
	return last
}

// checkAsOfSequester wants a refusal with the date of the sequester topic.
func (f *fixture) checkAsOfSequester(err error) {
	f.t.Helper()
	if got := status(nil, err); got != protocol.StatusSequesterServiceMismatch {
		f.t.Errorf("got %s", got)
	}
	if got := detailsOf[protocol.LastSequesterDetails](err).Timestamp; got != f.lastSequester() {
		f.t.Errorf("as of %s, want %s", got, f.lastSequester())
	}
}

// managedService is one change of the services of Acme.
type managedService struct {
	*fixture
	organization parsec.OrganizationID
	id           parsec.SequesterServiceID
	date         parsec.DateTime
	// signed is sent instead of the certificate, if it is not nil.
	signed func(s *managedService) []byte
}

func (s *managedService) create() error {
	service := s.service(s.id)
	service.Timestamp = s.date
	return s.CreateSequesterService(s.t.Context(), s.organization, s.sign(must(service.Sign(authorityKey(s.t)))), "https://example.com/")
}

func (s *managedService) revokeIt() error {
	revoked := certificate.SequesterRevokedService{Timestamp: s.date, ServiceID: s.id}
	return s.RevokeSequesterService(s.t.Context(), s.organization, s.sign(must(revoked.Sign(authorityKey(s.t)))))
}

func (s *managedService) configure() error {
	return s.ConfigureSequesterService(s.t.Context(), s.organization, s.id, "https://example.com/other")
}

// sign spoils what is signed, if it is to be spoiled.
func (s *managedService) sign(signed []byte) []byte {
	if s.signed != nil {
		return s.signed(s)
	}
	return signed
}

// serviceRow is one row of docs/protocol/v5/administration.md §1.5.
type serviceRow struct {
	name    string
	violate func(s *managedService)
	want    error
}

// checkServices is checkTable for changes of services.
func checkServices(t *testing.T, change func(s *managedService) error, rows []serviceRow) {
	t.Helper()
	begin := func(t *testing.T) *managedService {
		f := newFixture(t, sequestered)
		f.createService(storageID, "")
		f.createService(webhookID, "https://example.com/")
		f.events.take()
		return &managedService{fixture: f, organization: acme, id: storageID, date: f.clock.now()}
	}
	check := func(t *testing.T, s *managedService, want error) {
		t.Helper()
		s.events.take()
		before := s.services()
		err := change(s)
		greater, isGreater := errors.AsType[*organization.GreaterTimestampError](err)
		if errors.Is(want, errGreater) && isGreater && greater.Last == s.lastSequester() {
			err = errGreater
		}
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if after := s.services(); !reflect.DeepEqual(before, after) {
			t.Errorf("what is refused has changed %+v to %+v", before, after)
		}
		s.checkEvents()
	}
	for i, violated := range rows {
		t.Run(violated.name, func(t *testing.T) {
			s := begin(t)
			violated.violate(s)
			check(t, s, violated.want)
		})
		if i+1 == len(rows) {
			continue
		}
		t.Run(violated.name+" before "+rows[i+1].name, func(t *testing.T) {
			s := begin(t)
			rows[i+1].violate(s)
			violated.violate(s)
			check(t, s, violated.want)
		})
	}
}

func (f *fixture) services() []rules.SequesterService {
	f.t.Helper()
	return must(f.store.SequesterServices(f.t.Context(), acme))
}

var (
	// errGreater stands for the *organization.GreaterTimestampError that names the last
	// date of the topic.
	errGreater error = &organization.GreaterTimestampError{}
)

// unsequester takes the authority of Acme, which nobody can do.
func (f *fixture) unsequester() {
	f.t.Helper()
	f.changeOrganization(acme, func(o *organization.Organization) { o.SequesterAuthorityCertificate = nil })
}

// The rows that the changes of services begin with.
func serviceRows(rest ...serviceRow) []serviceRow {
	return append([]serviceRow{
		{"unknown organization", func(s *managedService) { s.organization = other }, organization.ErrNotFound},
		{"not sequestered", func(s *managedService) { s.unsequester() }, organization.ErrNotSequestered},
	}, rest...)
}

func certificateRows(rest ...serviceRow) []serviceRow {
	return serviceRows(append([]serviceRow{
		{"invalid certificate", func(s *managedService) {
			s.signed = func(s *managedService) []byte {
				return must(certificate.SequesterService{Timestamp: s.date, ServiceID: s.id, EncryptionKeyDER: serviceKeyDER(s.t)}.Sign(foreignKey(s.t)))
			}
		}, organization.ErrInvalidCertificate},
		{"ahead", func(s *managedService) { s.date = s.clock.now().Add(300 * time.Second) }, organization.ErrDateAhead},
		{"not after the topic", func(s *managedService) { s.date = s.lastSequester() }, errGreater},
	}, rest...)...)
}

func TestCreateSequesterServiceTable(t *testing.T) {
	checkServices(t, (*managedService).create, certificateRows(
		serviceRow{"exists", func(*managedService) {}, organization.ErrServiceExists},
	))
}

func TestRevokeSequesterServiceTable(t *testing.T) {
	checkServices(t, (*managedService).revokeIt, certificateRows(
		serviceRow{"unknown", func(s *managedService) { s.id = parsec.SequesterServiceID{9} }, organization.ErrServiceNotFound},
	))
	checkServices(t, (*managedService).revokeIt, []serviceRow{
		{"revoked", func(s *managedService) { s.revokeService(s.id); s.date = s.clock.now() }, organization.ErrServiceRevoked},
	})
}

func TestConfigureSequesterServiceTable(t *testing.T) {
	checkServices(t, (*managedService).configure, serviceRows(
		serviceRow{"unknown", func(s *managedService) { s.id = parsec.SequesterServiceID{9} }, organization.ErrServiceNotFound},
	))
}

// The life of a service, with what everybody is told of it. Its certificates are made
// offline: they may be as old as the topic lets them.
func TestSequesterServices(t *testing.T) {
	f := newFixture(t, sequestered)
	f.expire() // It may be managed all the same.
	old := f.lastSequester() + 1
	f.clock.advance(24 * time.Hour)
	service := f.service(webhookID)
	service.Timestamp = old
	signed := must(service.Sign(authorityKey(f.t)))
	f.ok(nil, f.CreateSequesterService(t.Context(), acme, signed, "https://example.com/"))
	f.checkEvents(notice.SequesterCertificate{Timestamp: old})
	err := f.CreateSequesterService(t.Context(), acme, signed, "")
	if greater, ok := errors.AsType[*organization.GreaterTimestampError](err); !ok || greater.Last != old {
		t.Errorf("got %v, want a date after %s", err, old)
	}
	f.createService(storageID, "")
	f.events.take()
	f.revokeService(storageID)
	revoked := f.clock.now().Add(-time.Second)
	f.checkEvents(notice.SequesterCertificate{Timestamp: revoked})
	f.ok(nil, f.ConfigureSequesterService(t.Context(), acme, storageID, "https://example.com/late")) // Revoked or not.
	f.ok(nil, f.ConfigureSequesterService(t.Context(), acme, webhookID, ""))
	f.checkEvents()
	got := must(f.SequesterServices(t.Context(), acme))
	want := []rules.SequesterService{
		{ID: webhookID, Label: "webhook", CreatedOn: old},
		{ID: storageID, Label: "storage", WebhookURL: "https://example.com/late", CreatedOn: revoked.Add(-time.Second), RevokedOn: &revoked},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_, certificates, err := f.store.Certificates(t.Context(), acme, aliceLaptop, rules.CertificatesAfter{}, 1<<30)
	f.ok(nil, err)
	if len(certificates.Sequester) != 4 || !slices.Equal(certificates.Sequester[1], signed) {
		t.Errorf("got %d certificates", len(certificates.Sequester))
	}
	for name, test := range map[parsec.OrganizationID]error{other: organization.ErrNotFound} {
		if _, err := f.SequesterServices(t.Context(), name); !errors.Is(err, test) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// asking is a question that a webhook was asked.
type asking struct {
	service  parsec.SequesterServiceID
	question any
}

// record has the webhooks accept, after a test has done something.
func (c *realmCommand) record(asked *[]asking, meanwhile func()) {
	c.webhooks.vlob = func(_ context.Context, service rules.SequesterService, question *rules.VlobQuestion) error {
		*asked = append(*asked, asking{service.ID, *question})
		meanwhile()
		return nil
	}
	c.webhooks.keyRotation = func(_ context.Context, service rules.SequesterService, question *rules.KeyRotationQuestion) error {
		*asked = append(*asked, asking{service.ID, *question})
		meanwhile()
		return nil
	}
}

// Every active webhook is asked once, in order of creation, by what writes vlobs or
// rotates keys; storage services are not.
func TestWebhooksAreAsked(t *testing.T) {
	c := newRealmCommand(t, sequestered)
	second, revoked := parsec.SequesterServiceID(namedID("service", "second")), parsec.SequesterServiceID(namedID("service", "revoked"))
	c.createService(webhookID, "https://example.com/1")
	c.createService(storageID, "")
	c.createService(revoked, "https://example.com/2")
	c.createService(second, "https://example.com/3")
	c.revokeService(revoked)
	var asked []asking
	c.record(&asked, func() {})
	creation, update, rotation := c.vlobCreation("vlob"), c.vlobUpdate("vlob", 2), c.keyRotation(c.alice())
	c.ok(c.VlobCreate(t.Context(), c.bob(), creation))
	c.ok(c.VlobUpdate(t.Context(), c.alice(), update))
	c.ok(c.RealmRotateKey(t.Context(), c.alice(), rotation.request()))
	var got []asking
	for _, a := range asked {
		if vlob, isVlob := a.question.(rules.VlobQuestion); isVlob {
			a.question = *vlob.Version
			if vlob.Organization != acme || vlob.Realm != c.realm {
				t.Errorf("asked %+v", vlob)
			}
		}
		got = append(got, a)
	}
	var want []asking
	for _, version := range []rules.VlobVersion{
		{Vlob: creation.VlobID, Version: 1, KeyIndex: 1, Author: bobLaptop, Timestamp: creation.Timestamp, Blob: creation.Blob},
		{Vlob: update.VlobID, Version: 2, KeyIndex: 1, Author: aliceLaptop, Timestamp: update.Timestamp, Blob: update.Blob},
	} {
		want = append(want, asking{webhookID, version}, asking{second, version})
	}
	for _, id := range []parsec.SequesterServiceID{webhookID, second} {
		want = append(want, asking{id, rules.KeyRotationQuestion{
			Organization: acme, Rotation: rotation.RealmKeyRotation, KeysBundle: rotation.bundle, Access: rotation.services[id],
		}})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("asked\n%+v, want\n%+v", got, want)
	}
}

// What a webhook refuses, or cannot be asked about, is not stored; the others are not
// asked any more.
func TestInvariant47WebhookRefuses(t *testing.T) {
	for name, refusal := range map[string]*protocol.Refusal{
		"rejected":           protocol.RefuseForSequester(webhookID, new("virus")),
		"rejected, silently": protocol.RefuseForSequester(webhookID, nil),
		"unavailable":        protocol.RefuseWithoutSequester(webhookID),
	} {
		t.Run(name, func(t *testing.T) {
			c := newRealmCommand(t, sequestered, impatient)
			c.createService(webhookID, "https://example.com/1")
			c.createService(storageID, "https://example.com/2")
			c.events.take()
			calls := 0
			c.webhooks.vlob = func(context.Context, rules.SequesterService, *rules.VlobQuestion) error { calls++; return refusal }
			c.webhooks.keyRotation = func(context.Context, rules.SequesterService, *rules.KeyRotationQuestion) error {
				calls++
				return refusal
			}
			before := c.facts()
			for command, err := range map[string]error{
				"create": failure(c.VlobCreate(t.Context(), c.bob(), c.vlobCreation("vlob"))),
				"rotate": failure(c.RealmRotateKey(t.Context(), c.alice(), c.keyRotation(c.alice()).request())),
			} {
				var got *protocol.Refusal
				if !errors.As(err, &got) || !reflect.DeepEqual(got, refusal) {
					t.Errorf("%s: got %v", command, err)
				}
			}
			if after := c.facts(); after != before || calls != 2 {
				t.Errorf("got %+v after %d calls, was %+v", after, calls, before)
			}
			c.checkEvents()
		})
	}
}

// While webhooks are asked nothing is locked, and what has changed then counts: no
// service is asked twice.
func TestMeanwhileWebhooksAreAsked(t *testing.T) {
	third := parsec.SequesterServiceID(namedID("service", "third"))
	for name, test := range map[string]struct {
		meanwhile func(c *realmCommand)
		vlob      protocol.Status
		rotation  protocol.Status
		// asked is how many webhooks a vlob is shown to.
		asked int
	}{
		"nothing":         {func(*realmCommand) {}, protocol.StatusOK, protocol.StatusOK, 1},
		"role":            {func(c *realmCommand) { c.forceRole(aliceID, parsec.RoleReader) }, protocol.StatusAuthorNotAllowed, protocol.StatusAuthorNotAllowed, 1},
		"archived":        {func(c *realmCommand) { c.forceArchiving(parsec.ArchivingArchived) }, protocol.StatusRealmArchived, protocol.StatusRequireGreaterTimestamp, 1},
		"deleted":         {func(c *realmCommand) { c.delete() }, protocol.StatusRealmDeleted, protocol.StatusRealmDeleted, 1},
		"author revoked":  {func(c *realmCommand) { c.forceRevoked(aliceID) }, aborted(rules.UserRevoked), aborted(rules.UserRevoked), 1},
		"expired":         {func(c *realmCommand) { c.expire() }, aborted(rules.OrganizationExpired), aborted(rules.OrganizationExpired), 1},
		"vlob written":    {func(c *realmCommand) { c.webhooks.vlob = nil; c.createVlob("vlob", 1) }, protocol.StatusVlobAlreadyExists, protocol.StatusOK, 1},
		"webhook created": {func(c *realmCommand) { c.createService(third, "https://example.com/3") }, protocol.StatusOK, protocol.StatusSequesterServiceMismatch, 2},
		"webhook revoked": {func(c *realmCommand) { c.revokeService(webhookID) }, protocol.StatusOK, protocol.StatusSequesterServiceMismatch, 1},
	} {
		t.Run(name, func(t *testing.T) {
			begin := func() (realmCommand, *[]asking) {
				c := newRealmCommand(t, sequestered)
				c.createService(webhookID, "https://example.com/")
				asked, done := new([]asking), false
				c.record(asked, func() {
					if !done {
						done = true
						test.meanwhile(&c)
					}
				})
				return c, asked
			}
			c, asked := begin()
			if got := status(c.VlobCreate(t.Context(), c.alice(), c.vlobCreation("vlob"))); got != test.vlob || len(*asked) != test.asked {
				t.Errorf("vlob: got %s after %d questions, want %s after %d", got, len(*asked), test.vlob, test.asked)
			}
			c, asked = begin()
			if got := status(c.RealmRotateKey(t.Context(), c.alice(), c.keyRotation(c.alice()).request())); got != test.rotation || len(*asked) != 1 {
				t.Errorf("rotation: got %s after %d questions, want %s after 1", got, len(*asked), test.rotation)
			}
		})
	}
}

// A service that comes with rotations of many realms is in those that are later, and in
// no other.
func TestInvariant48ServiceAgainstRotations(t *testing.T) {
	for round := range 20 {
		c := newRealmCommand(t, sequestered)
		rotation, created := c.keyRotation(c.alice()), c.service(storageID)
		got := parallel(
			func() error { return failure(c.RealmRotateKey(t.Context(), c.alice(), rotation.request())) },
			func() error {
				return c.CreateSequesterService(t.Context(), acme, must(created.Sign(authorityKey(t))), "")
			},
		)
		// The rotation has no access for the service: it is the first, or refused.
		if got[protocol.StatusOK]+got[protocol.StatusSequesterServiceMismatch] != 2 || got[protocol.StatusOK] == 0 {
			t.Fatal(fmt.Sprint("round ", round, ": ", got))
		}
	}
}

// The rules ask a real server, and tell what it answers.
func TestWebhookOverHTTP(t *testing.T) {
	answer := func(http.ResponseWriter) {}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	defer server.Close()
	c := newRealmCommand(t, sequestered)
	c.createService(webhookID, server.URL+"/hook?token=secret")
	calls := webhook.New("", discard)
	c.Rules = rules.New(c.store, c.blocks, c.bus, calls, c.clock.now, discard, rules.Options{Patience: time.Nanosecond})
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   *protocol.Refusal
	}{
		{"rejected", func(w http.ResponseWriter) { http.Error(w, `{"reason": "virus"}`, http.StatusBadRequest) }, protocol.RefuseForSequester(webhookID, new("virus"))},
		{"broken", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, protocol.RefuseWithoutSequester(webhookID)},
	} {
		answer = test.answer
		for command, err := range map[string]error{
			"vlob_create":      failure(c.VlobCreate(t.Context(), c.bob(), c.vlobCreation("vlob"))),
			"realm_rotate_key": failure(c.RealmRotateKey(t.Context(), c.alice(), c.keyRotation(c.alice()).request())),
		} {
			var got *protocol.Refusal
			if !errors.As(err, &got) || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s, %s: got %v", command, test.name, err)
			}
		}
	}
	answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }
	c.ok(c.VlobCreate(t.Context(), c.bob(), c.vlobCreation("vlob")))
	c.rotate()
	c.ok(nil, calls.Close(t.Context()))
}
