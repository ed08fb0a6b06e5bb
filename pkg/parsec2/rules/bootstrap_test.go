package rules_test

import (
	"crypto/rsa"
	"crypto/x509"
	"reflect"
	"testing"
	"time"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// rsaKey is one of the RSA keys of the vectors.
func rsaKey(t testing.TB, name string) *rsa.PrivateKey {
	keys := vectors.Load[struct {
		RSA map[string]struct {
			PrivateKey []byte `json:"private_key_pkcs8_der"`
		} `json:"rsa"`
	}](t, "keys.json")
	return must(x509.ParsePKCS8PrivateKey(keys.RSA[name].PrivateKey)).(*rsa.PrivateKey)
}

// publicKeyDER returns the form of RSA keys in certificates.
func publicKeyDER(key *rsa.PrivateKey) []byte { return must(x509.MarshalPKIXPublicKey(&key.PublicKey)) }

// sequesterAuthority is signed by the root key, at the fixture's instant.
func (f *fixture) sequesterAuthority() certificate.SequesterAuthority {
	return certificate.SequesterAuthority{
		Timestamp: f.clock.now(), VerifyKeyDER: publicKeyDER(rsaKey(f.t, "sequester_authority")),
	}
}

// sequestered bootstraps Acme with the authority of the vectors.
func sequestered(s *setup) {
	s.bootstrap = func(f *fixture, token string) *protocol.OrganizationBootstrapRequest {
		request := f.bootstrapRequest(token)
		request.SequesterAuthorityCertificate = must(f.sequesterAuthority().Sign(rootKey()))
		return request
	}
}

// spontaneously lets anybody bootstrap.
func spontaneously(o *rules.Options) { o.SpontaneousBootstrap = true }

func TestOrganizationBootstrap(t *testing.T) {
	type creation struct {
		*userCreation
		authority *certificate.SequesterAuthority
		token     string
	}
	zero := uint64(0)
	bootstrapped := func(f *fixture, token string) {
		f.ok(f.OrganizationBootstrap(t.Context(), f.anonymous(acme), f.bootstrapRequest(token)))
	}
	// Each row also breaks a later rule where it can.
	cases := map[string]struct {
		options func(*rules.Options)
		before  func(f *fixture, token string)
		spoil   func(*creation)
		want    protocol.Status
		dated   bool
	}{
		"ok": {want: protocol.StatusOK},
		"ok, with no place": {
			options: func(o *rules.Options) { o.InitialActiveUsersLimit = &zero }, want: protocol.StatusOK,
		},
		"1 another key": {
			spoil: func(c *creation) { c.key = signingKey(aliceID); c.user.Profile = parsec.ProfileStandard },
			want:  protocol.StatusInvalidCertification,
		},
		"1 named author": {
			spoil: func(c *creation) { c.redactedUser.Author = aliceID }, want: protocol.StatusInvalidCertification,
		},
		"2 profile": {
			spoil: func(c *creation) { c.user.Profile = parsec.ProfileStandard }, want: protocol.StatusInvalidData,
		},
		"3 timestamps differ": {
			spoil: func(c *creation) { c.device.Timestamp -= 400_000_000 }, want: protocol.StatusInvalidData,
		},
		"4 device of another user": {
			spoil: func(c *creation) { c.shift(-time.Hour); c.device.DeviceID = bobID }, want: protocol.StatusInvalidData,
		},
		"5 too old": {
			spoil: func(c *creation) { c.shift(-320 * time.Second); c.redactedUser.PublicKey[0]++ },
			want:  protocol.StatusBadTimestamp, dated: true,
		},
		"5 too early": {
			spoil: func(c *creation) { c.shift(300 * time.Second) }, want: protocol.StatusBadTimestamp, dated: true,
		},
		"6 redacted handle": {
			spoil: func(c *creation) { c.redactedUser.HumanHandle = c.user.HumanHandle }, want: protocol.StatusInvalidData,
		},
		"6 redacted label": {
			spoil: func(c *creation) { c.redactedDevice.DeviceLabel = c.device.DeviceLabel }, want: protocol.StatusInvalidData,
		},
		"7 authority key": {
			spoil: func(c *creation) { c.authority.VerifyKeyDER = nil }, want: protocol.StatusInvalidData,
		},
		"8 authority too old": {
			spoil: func(c *creation) { c.authority.Timestamp -= 320_000_000 }, want: protocol.StatusBadTimestamp, dated: true,
		},
		"9 another date of authority": {
			before: bootstrapped,
			spoil:  func(c *creation) { c.authority.Timestamp-- }, want: protocol.StatusInvalidData,
		},
		"already bootstrapped": {
			before: bootstrapped, spoil: func(c *creation) { c.token = "wrong" }, want: protocol.StatusAlreadyBootstrapped,
		},
		"wrong token": {spoil: func(c *creation) { c.token = c.token[1:] + "0" }, want: protocol.StatusNotFound},
		"empty token": {spoil: func(c *creation) { c.token = "" }, want: protocol.StatusNotFound},
		"wrong token, spontaneous": {
			options: spontaneously, spoil: func(c *creation) { c.token = "" }, want: protocol.StatusNotFound,
		},
		"token of a replaced organization": {
			before: func(f *fixture, _ string) { f.createOrganization(acme) }, want: protocol.StatusNotFound,
		},
		"expired": {
			before: func(f *fixture, _ string) { f.expire(acme) }, want: sessionOver,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) {
				if c.options != nil {
					c.options(o)
				}
			}))
			token := f.createOrganization(acme)
			if c.before != nil {
				c.before(f, token)
			}
			before := len(f.webhooks.bootstrapped)
			first := creation{userCreation: f.userCreation(nil, aliceID, parsec.ProfileAdmin), token: token}
			authority := f.sequesterAuthority()
			first.authority = &authority
			if c.spoil != nil {
				c.spoil(&first)
			}
			request := first.request()
			bootstrap := &protocol.OrganizationBootstrapRequest{
				BootstrapToken: first.token, RootVerifyKey: verifyKey(rootKey()),
				UserCertificate: request.UserCertificate, DeviceCertificate: request.DeviceCertificate,
				RedactedUserCertificate: request.RedactedUserCertificate, RedactedDeviceCertificate: request.RedactedDeviceCertificate,
			}
			if authority.VerifyKeyDER == nil {
				bootstrap.SequesterAuthorityCertificate = []byte("no certificate")
			} else {
				bootstrap.SequesterAuthorityCertificate = must(authority.Sign(rootKey()))
			}
			_, err := f.OrganizationBootstrap(t.Context(), f.anonymous(acme), bootstrap)
			checkOutcome(t, err, c.want, c.dated)
			if told := len(f.webhooks.bootstrapped) - before; told != 0 && c.want != protocol.StatusOK {
				t.Errorf("refused, but told the webhook %d times", told)
			}
		})
	}
}

func (f *fixture) anonymous(organization parsec.OrganizationID) *rules.Anonymous {
	return &rules.Anonymous{Organization: organization, API: latest}
}

// expire ends an organization now.
func (f *fixture) expire(organization parsec.OrganizationID) {
	f.t.Helper()
	now := f.clock.now()
	f.ok(f.AdministrationUpdate(f.t.Context(), somebody, &protocol.AdministrationUpdateRequest{
		OrganizationID: organization, ExpirationDate: &now,
	}))
}

func TestOrganizationBootstrapStores(t *testing.T) {
	f := newFixture(t, withoutOrganization)
	token := f.createOrganization(acme)
	created := f.clock.now()
	f.clock.advance(time.Hour)
	request := f.bootstrapRequest(token)
	request.SequesterAuthorityCertificate = must(f.sequesterAuthority().Sign(rootKey()))
	f.ok(f.OrganizationBootstrap(t.Context(), f.anonymous(acme), request))

	now, root := f.clock.now(), verifyKey(rootKey())
	want := &rules.Organization{
		ID: acme, BootstrapToken: token, RootVerifyKey: &root, UserProfileOutsiderAllowed: true,
		MinimumArchivingPeriod:        2592000,
		SequesterAuthorityCertificate: request.SequesterAuthorityCertificate,
		SequesterVerifyKeyDER:         publicKeyDER(rsaKey(t, "sequester_authority")),
		CreatedOn:                     created, BootstrappedOn: &now,
		Generation: organization.Parsec2,
	}
	if got, err := f.FindOrganization(t.Context(), acme); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("organization %+v (%v), want %+v", got, err, want)
	}
	wantUser := rules.User{
		ID: aliceID.User(), Profile: parsec.ProfileAdmin, HumanHandle: human(aliceID.User()),
		Certificate: request.UserCertificate, RedactedCertificate: request.RedactedUserCertificate, CreatedOn: now,
	}
	facts := f.facts(aliceID.User())
	if !reflect.DeepEqual(facts.User, wantUser) {
		t.Errorf("user %+v, want %+v", facts.User, wantUser)
	}
	if len(facts.Devices) != 1 || facts.Devices[0].ID != aliceID || facts.Devices[0].Certifier != (parsec.DeviceID{}) {
		t.Errorf("devices %+v", facts.Devices)
	}
	wantTold := []bootstrapped{{acme, aliceID, facts.Devices[0].Label, human(aliceID.User())}}
	if !reflect.DeepEqual(f.webhooks.bootstrapped, wantTold) {
		t.Errorf("told the webhook %v, want %v", f.webhooks.bootstrapped, wantTold)
	}
}

func TestOrganizationBootstrapV1(t *testing.T) {
	cases := map[string]struct {
		redactedUser, redactedDevice bool
		token                        string
		want                         protocol.Status
	}{
		"with redacted certificates":    {redactedUser: true, redactedDevice: true, want: protocol.StatusOK},
		"without redacted certificates": {want: protocol.StatusOK},
		"half of them":                  {redactedUser: true, want: protocol.StatusInvalidData},
		"the other half":                {redactedDevice: true, want: protocol.StatusInvalidData},
		"wrong token":                   {token: "wrong", want: protocol.StatusNotFound},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withoutOrganization)
			token := f.createOrganization(acme)
			if c.token != "" {
				token = c.token
			}
			full := f.bootstrapRequest(token)
			request := &protocol.OrganizationBootstrapV1Request{
				BootstrapToken: token, RootVerifyKey: full.RootVerifyKey,
				UserCertificate: full.UserCertificate, DeviceCertificate: full.DeviceCertificate,
			}
			if c.redactedUser {
				request.RedactedUserCertificate = full.RedactedUserCertificate
			}
			if c.redactedDevice {
				request.RedactedDeviceCertificate = full.RedactedDeviceCertificate
			}
			_, err := f.OrganizationBootstrapV1(t.Context(), f.anonymous(acme), request)
			checkOutcome(t, err, c.want, false)
			if c.want != protocol.StatusOK {
				return
			}
			want := full.UserCertificate
			if c.redactedUser {
				want = full.RedactedUserCertificate
			}
			if got := f.facts(aliceID.User()).User.RedactedCertificate; !reflect.DeepEqual(got, want) {
				t.Error("another redacted certificate")
			}
		})
	}
}

func TestSpontaneousBootstrap(t *testing.T) {
	cases := map[string]struct {
		allowed, created bool
		token            string
		want             protocol.Status
	}{
		"allowed":              {allowed: true, want: protocol.StatusOK},
		"with a token":         {allowed: true, token: "token", want: protocol.StatusNotFound},
		"reserved":             {allowed: true, created: true, want: protocol.StatusNotFound},
		"not allowed":          {want: protocol.StatusNotFound},
		"not allowed, created": {created: true, want: protocol.StatusNotFound},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) { o.SpontaneousBootstrap = c.allowed }))
			if c.created {
				f.createOrganization(acme)
			}
			_, err := f.OrganizationBootstrap(t.Context(), f.anonymous(acme), f.bootstrapRequest(c.token))
			checkOutcome(t, err, c.want, false)
			organization, err := f.FindOrganization(t.Context(), acme)
			if err != nil {
				t.Fatal(err)
			}
			if exists := organization != nil; exists != (c.created || c.want == protocol.StatusOK) {
				t.Errorf("the organization exists: %t", exists)
			}
		})
	}
}

// TestSpontaneousBootstrapStoresNothingWhenRefused spoils a certificate.
func TestSpontaneousBootstrapStoresNothingWhenRefused(t *testing.T) {
	f := newFixture(t, withoutOrganization, withOptions(spontaneously))
	request := f.bootstrapRequest("")
	request.DeviceCertificate = request.UserCertificate
	_, err := f.OrganizationBootstrap(t.Context(), f.anonymous(acme), request)
	checkOutcome(t, err, protocol.StatusInvalidCertification, false)
	if organization, err := f.FindOrganization(t.Context(), acme); organization != nil || err != nil {
		t.Errorf("organization %+v (%v)", organization, err)
	}
}
