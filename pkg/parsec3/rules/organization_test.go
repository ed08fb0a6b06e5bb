package rules_test

import (
	"context"
	"reflect"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// founding is a bootstrap of Acme, sequestered.
type founding struct {
	command
	*bootstrap
	// spoil changes the request, unless it is nil.
	spoil func(*protocol.OrganizationBootstrapRequest)
}

func newFounding(t *testing.T) *founding {
	t.Helper()
	f := newFixture(t, withoutOrganization)
	f.createOrganization(acme)
	s := &founding{command{f, f.alice()}, f.bootstrap(acme, aliceLaptop), nil}
	s.withAuthority(t)
	return s
}

func (s *founding) run() error {
	request := s.request()
	if s.spoil != nil {
		s.spoil(request)
	}
	_, err := s.OrganizationBootstrap(s.t.Context(), s.anonymous, request)
	return err
}

func TestOrganizationBootstrapTable(t *testing.T) {
	checkTable(t, "organization_bootstrap", newFounding, []row[*founding]{
		{"1", "another root key", func(s *founding) { s.root = verifyKey(signingKey(aliceLaptop)) }, protocol.StatusInvalidCertificate},
		{"1", "no ADMIN", func(s *founding) {
			s.user.Profile, s.redactedUser.Profile = parsec.ProfileStandard, parsec.ProfileStandard
		}, protocol.StatusInvalidCertificate},
		{"1", "dates differ", func(s *founding) { s.device.Timestamp++; s.redactedDevice.Timestamp++ }, protocol.StatusInvalidCertificate},
		{"1", "user ids differ", func(s *founding) { s.device.UserID, s.redactedDevice.UserID = bobID, bobID }, protocol.StatusInvalidCertificate},
		{"2", "out of the ballpark", func(s *founding) { s.at(s.clock.now().Add(outOfBallpark)) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "not redacted", func(s *founding) { s.redactedUser = s.user }, protocol.StatusInvalidCertificate},
		{"4", "authority does not load", func(s *founding) {
			s.spoil = func(r *protocol.OrganizationBootstrapRequest) { r.SequesterAuthorityCertificate = r.UserCertificate }
		}, protocol.StatusInvalidCertificate},
		{"4", "authority out of the ballpark", func(s *founding) { s.authority.Timestamp = s.clock.now().Add(outOfBallpark) }, protocol.StatusTimestampOutOfBallpark},
		{"4", "another date of the authority", func(s *founding) { s.authority.Timestamp++ }, protocol.StatusInvalidCertificate},
		{"5", "organization unknown", func(s *founding) { s.anonymous.Organization = other }, aborted(rules.OrganizationNotFound)},
		{"5", "organization expired", func(s *founding) { s.expire() }, aborted(rules.OrganizationExpired)},
		{"6", "bootstrapped", func(s *founding) {
			s.ok(s.OrganizationBootstrap(t.Context(), s.anonymous, s.fixture.bootstrap(acme, bobLaptop).request()))
		}, protocol.StatusOrganizationAlreadyBootstrapped},
		{"7", "another token", func(s *founding) { s.token = new(otherToken) }, protocol.StatusInvalidBootstrapToken},
	},
		// What does not exist has not expired.
		[2]string{"organization unknown", "organization expired"},
	)
}

// TestOrganizationBootstrap stores what the certificates say, and tells of it.
func TestOrganizationBootstrap(t *testing.T) {
	s := newFounding(t)
	s.ok(nil, s.run())
	found, _, err := s.store.Organization(t.Context(), acme)
	s.ok(nil, err)
	request := s.request()
	want := organization.Organization{
		ID: acme, BootstrapToken: bootstrapToken.String(), RootVerifyKey: new(verifyKey(rootKey())),
		UserProfileOutsiderAllowed: true, MinimumArchivingPeriod: found.MinimumArchivingPeriod,
		SequesterAuthorityCertificate: found.SequesterAuthorityCertificate,
		SequesterVerifyKeyDER:         s.authority.VerifyKeyDER,
		CreatedOn:                     s.clock.now(), BootstrappedOn: new(s.user.Timestamp), Generation: organization.Parsec3,
	}
	if !reflect.DeepEqual(*found, want) {
		t.Errorf("stored %+v\nwant %+v", *found, want)
	}
	reply, _, err := s.CertificateGet(t.Context(), s.alice(), &protocol.CertificateGetRequest{})
	s.ok(reply, err)
	if got, want := reply.CommonCertificates, [][]byte{request.UserCertificate, request.DeviceCertificate}; !reflect.DeepEqual(got, want) {
		t.Errorf("got common certificates %x, want %x", got, want)
	}
	if got, want := reply.SequesterCertificates, [][]byte{request.SequesterAuthorityCertificate}; !reflect.DeepEqual(got, want) {
		t.Errorf("got sequester certificates %x, want %x", got, want)
	}
	told := []bootstrapped{{acme, aliceLaptop, s.device.DeviceLabel, human(aliceID)}}
	if got := s.webhooks.bootstrapped; !reflect.DeepEqual(got, told) {
		t.Errorf("announced %v, want %v", got, told)
	}
	if got := s.events.bodies(); len(got) > 0 {
		t.Errorf("told %v", got)
	}
}

// TestBootstrapLoadsEveryCertificate spoils each of the four, and names an author
// where there is none (docs/protocol/v5/certificates.md §2).
func TestBootstrapLoadsEveryCertificate(t *testing.T) {
	for name, spoil := range map[string]func(s *founding){
		"user": func(s *founding) {
			s.spoil = func(r *protocol.OrganizationBootstrapRequest) { r.UserCertificate = nil }
		},
		"device": func(s *founding) {
			s.spoil = func(r *protocol.OrganizationBootstrapRequest) { r.DeviceCertificate = r.UserCertificate }
		},
		"redacted user": func(s *founding) {
			s.spoil = func(r *protocol.OrganizationBootstrapRequest) { r.RedactedUserCertificate = r.DeviceCertificate }
		},
		"redacted device": func(s *founding) {
			s.spoil = func(r *protocol.OrganizationBootstrapRequest) { r.RedactedDeviceCertificate = r.UserCertificate }
		},
		"author of the user":        func(s *founding) { s.user.Author, s.redactedUser.Author = aliceLaptop, aliceLaptop },
		"author of the device":      func(s *founding) { s.device.Author, s.redactedDevice.Author = aliceLaptop, aliceLaptop },
		"redacted device has label": func(s *founding) { s.redactedDevice = s.device },
		"full user has no handle":   func(s *founding) { s.user = s.redactedUser },
	} {
		s := newFounding(t)
		spoil(s)
		if got := status(nil, s.run()); got != protocol.StatusInvalidCertificate {
			t.Errorf("%s: got %s", name, got)
		}
		if len(s.webhooks.bootstrapped) > 0 {
			t.Errorf("%s: announced", name)
		}
	}
}

// TestBootstrapTokens compares what is stored with what is given, none included.
func TestBootstrapTokens(t *testing.T) {
	for name, item := range map[string]struct {
		stored string
		given  *parsec3.AccessToken
		want   protocol.Status
	}{
		"right":          {bootstrapToken.String(), new(bootstrapToken), protocol.StatusOK},
		"none given":     {bootstrapToken.String(), nil, protocol.StatusInvalidBootstrapToken},
		"zero given":     {bootstrapToken.String(), new(parsec3.AccessToken), protocol.StatusInvalidBootstrapToken},
		"none stored":    {"", new(bootstrapToken), protocol.StatusInvalidBootstrapToken},
		"zero for none":  {"", new(parsec3.AccessToken), protocol.StatusInvalidBootstrapToken},
		"none on either": {"", nil, protocol.StatusOK},
	} {
		s := newFounding(t)
		s.changeOrganization(acme, func(o *organization.Organization) { o.BootstrapToken = item.stored })
		s.token = item.given
		if got := status(nil, s.run()); got != item.want {
			t.Errorf("%s: got %s, want %s", name, got, item.want)
		}
	}
}

// TestSpontaneousBootstrap creates an organization only if it succeeds, and if the
// settings allow it.
func TestSpontaneousBootstrap(t *testing.T) {
	limit := uint64(7)
	f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) {
		o.SpontaneousBootstrap, o.InitialActiveUsersLimit = true, &limit
	}))
	ctx := t.Context()
	anonymous := &rules.Anonymous{Organization: acme, API: latest}
	f.ok(nil, f.AdmitAnonymous(ctx, acme))
	if got := status(f.PingAnonymous(ctx, anonymous, &protocol.PingRequest{})); got != aborted(rules.OrganizationNotFound) {
		t.Errorf("a ping of what does not exist: got %s", got)
	}
	spoiled := f.bootstrap(acme, aliceLaptop)
	for name, want := range map[string]protocol.Status{"with a token": protocol.StatusInvalidBootstrapToken, "of nobody": protocol.StatusInvalidCertificate} {
		request := spoiled.request()
		if want == protocol.StatusInvalidCertificate {
			request.UserCertificate, request.BootstrapToken = nil, nil
		}
		if got := status(f.OrganizationBootstrap(ctx, anonymous, request)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		if _, found, err := f.store.Organization(ctx, acme); found || err != nil {
			t.Fatalf("%s: the organization exists: %t, %v", name, found, err)
		}
	}
	right := f.bootstrap(acme, aliceLaptop)
	right.token = nil
	f.ok(f.OrganizationBootstrap(ctx, anonymous, right.request()))
	found, _, err := f.store.Organization(ctx, acme)
	f.ok(nil, err)
	if found.ActiveUsersLimit == nil || *found.ActiveUsersLimit != limit {
		t.Error("the organization has not the settings of new ones")
	}
	f.ok(f.PingAnonymous(ctx, anonymous, &protocol.PingRequest{}))
	if got := status(f.OrganizationBootstrap(ctx, anonymous, right.request())); got != protocol.StatusOrganizationAlreadyBootstrapped {
		t.Errorf("again: got %s", got)
	}
}

// TestConcurrentBootstraps leave one root key.
func TestConcurrentBootstraps(t *testing.T) {
	f := newFixture(t, withoutOrganization)
	f.createOrganization(acme)
	var calls []func() error
	for _, device := range []parsec3.DeviceID{aliceLaptop, bobLaptop, malloryLaptop, carolLaptop} {
		request := f.bootstrap(acme, device).request()
		calls = append(calls, func() error {
			_, err := f.OrganizationBootstrap(t.Context(), &rules.Anonymous{Organization: acme, API: latest}, request)
			return err
		})
	}
	counts := parallel(calls...)
	if counts[protocol.StatusOK] != 1 || counts[protocol.StatusOrganizationAlreadyBootstrapped] != len(calls)-1 {
		t.Errorf("got %v", counts)
	}
	if all, err := f.store.Users(t.Context(), acme); err != nil || len(all) != 1 {
		t.Errorf("there are %d users, error %v", len(all), err)
	}
}

// lockingStore counts the transactions.
type lockingStore struct {
	rules.Store
	transactions int
}

func (s *lockingStore) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	s.transactions++
	return s.Store.Update(ctx, scope, rule)
}

// Strangers, who need nothing for it but the name of an organization, do not hold up its
// members: what they ask for opens no transaction, and so locks nothing.
func TestBootstrapsOfStrangersLockNothing(t *testing.T) {
	for name, arrange := range map[string]func(s *founding){
		"bootstrapped":              func(s *founding) { s.ok(nil, s.run()) },
		"of the other generation":   func(s *founding) { s.bindToParsec2() },
		"expired":                   func(s *founding) { s.expire() },
		"an organization of nobody": func(s *founding) { s.anonymous.Organization = other },
		"an invalid certificate":    func(s *founding) { s.root = verifyKey(signingKey(aliceLaptop)) },
	} {
		s := newFounding(t)
		arrange(s)
		store := &lockingStore{Store: s.store}
		s.Rules = rules.New(store, s.blocks, s.bus, s.webhooks, s.clock.now, discard, rules.Options{})
		if got := status(nil, s.run()); got == protocol.StatusOK || store.transactions != 0 {
			t.Errorf("%s: got %s in %d transactions", name, got, store.transactions)
		}
	}
}

// TestBootstrapOfTheOtherGeneration finds it set.
func TestBootstrapOfTheOtherGeneration(t *testing.T) {
	s := newFounding(t)
	s.bindToParsec2()
	if got := status(nil, s.run()); got != aborted(rules.WrongGeneration) {
		t.Errorf("got %s", got)
	}
}

// bindToParsec2 has Acme bootstrapped by the other generation.
func (f *fixture) bindToParsec2() {
	f.t.Helper()
	now := f.clock.now()
	f.changeOrganization(acme, func(o *organization.Organization) {
		o.RootVerifyKey, o.BootstrappedOn, o.Generation = &parsec.VerifyKey{}, &now, organization.Parsec2
	})
}

// organizationInfo has bob ask.
type organizationInfo struct{ command }

func (s *organizationInfo) run() error {
	_, err := s.OrganizationInfo(s.t.Context(), s.author, &protocol.OrganizationInfoRequest{})
	return err
}

func TestOrganizationInfoTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *organizationInfo {
		f := newFixture(t)
		return &organizationInfo{command{f, f.bob()}}
	}, standingRows[*organizationInfo](), standingApart...)
}
