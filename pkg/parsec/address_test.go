package parsec_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/addresses"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

type addressVector struct {
	Kind            string
	URL             string
	Valid           bool
	Parsed          addressFields
	Canonical       string
	HTTPRedirection string `json:"http_redirection"`
}

type addressFields struct {
	Hostname           string
	Port               uint16
	UseSSL             bool   `json:"use_ssl"`
	OrganizationID     string `json:"organization_id"`
	RootVerifyKey      []byte `json:"root_verify_key"`
	Token              string // Null in the vectors when empty.
	InvitationType     string `json:"invitation_type"`
	WorkspaceID        string `json:"workspace_id"`
	EncryptedPath      []byte `json:"encrypted_path"`
	EncryptedTimestamp []byte `json:"encrypted_timestamp"`
	UserID             string `json:"user_id"`
	DeviceID           string `json:"device_id"`
}

type urlVectors struct {
	Addresses     []addressVector
	API1Claims    []addressVector `json:"api1_claim_addresses"`
	RedirectRoute []struct {
		ServerAddress *string `json:"server_addr"`
		Target        string
		Status        int
		Location      *string
	} `json:"redirect_route"`
	RootVerifyKeyText []struct {
		Key     []byte
		Encoded string
	} `json:"root_verify_key_text"`
}

func loadURLs(t testing.TB) urlVectors { return vectors.Load[urlVectors](t, "urls.json") }

type address interface{ String() string }

func asAddress[T address](parse func(string) (T, error)) func(string) (address, error) {
	return func(text string) (address, error) { return parse(text) }
}

var addressParsers = map[string]func(string) (address, error){
	"backend":         asAddress(parsec.ParseServerAddress),
	"organization":    asAddress(addresses.ParseOrganization),
	"bootstrap":       asAddress(parsec.ParseBootstrapAddress),
	"invitation":      asAddress(addresses.ParseInvitation),
	"file_link":       asAddress(addresses.ParseFileLink),
	"pki":             asAddress(addresses.ParsePKIEnrollment),
	"claim_user_v1":   asAddress(addresses.ParseUserClaim),
	"claim_device_v1": asAddress(addresses.ParseDeviceClaim),
}

// fieldsOf reads everything an address says through its accessors.
func fieldsOf(value address) addressFields {
	var fields addressFields
	server, _ := value.(parsec.ServerAddress)
	if located, ok := value.(interface {
		Server() parsec.ServerAddress
		Organization() parsec.OrganizationID
	}); ok {
		server = located.Server()
		fields.OrganizationID = located.Organization().String()
	}
	fields.Hostname, fields.Port, fields.UseSSL = server.Hostname(), server.Port(), server.TLS()
	if keyed, ok := value.(interface{ RootVerifyKey() parsec.VerifyKey }); ok {
		key := keyed.RootVerifyKey()
		fields.RootVerifyKey = key[:]
	}
	if tokened, ok := value.(interface{ Token() string }); ok {
		fields.Token = tokened.Token()
	}
	switch value := value.(type) {
	case parsec.InvitationAddress:
		fields.Token = parsec.UUID(value.Token()).Hex()
		fields.InvitationType = string(value.Type())
	case addresses.FileLink:
		fields.WorkspaceID = parsec.UUID(value.Workspace()).Hex()
		fields.EncryptedPath = value.EncryptedPath()
		if timestamp := value.EncryptedTimestamp(); len(timestamp) != 0 {
			fields.EncryptedTimestamp = timestamp
		}
	case addresses.UserClaim:
		fields.UserID = value.User().String()
	case addresses.DeviceClaim:
		fields.DeviceID = value.Device().String()
	}
	return fields
}

func TestAddresses(t *testing.T) {
	urls := loadURLs(t)
	items := slices.Concat(urls.Addresses, urls.API1Claims)
	if len(items) < 237 {
		t.Fatalf("only %d vectors", len(items))
	}
	for _, item := range items {
		t.Run(item.Kind+" "+item.URL, func(t *testing.T) {
			value, err := addressParsers[item.Kind](item.URL)
			if (err == nil) != item.Valid {
				t.Fatalf("valid = %t, want %t (%v)", err == nil, item.Valid, err)
			}
			if !item.Valid {
				if !reflect.ValueOf(value).IsZero() {
					t.Errorf("refused with value %v", value)
				}
				return
			}
			if fields := fieldsOf(value); !reflect.DeepEqual(fields, item.Parsed) {
				t.Errorf("parsed %+v, want %+v", fields, item.Parsed)
			}
			if printed := value.String(); printed != item.Canonical {
				t.Errorf("printed %s, want %s", printed, item.Canonical)
			}
			if redirected, ok := value.(interface{ HTTPRedirection() string }); ok {
				if redirection := redirected.HTTPRedirection(); redirection != item.HTTPRedirection {
					t.Errorf("HTTP form %s, want %s", redirection, item.HTTPRedirection)
				}
			} else if item.HTTPRedirection != "" {
				t.Error("no HTTP form")
			}
			checkAddress(t, item.Kind, value)
		})
	}
}

// checkAddress wants the printed form of value, and the URL its HTTP form is
// redirected to, to be the same address.
func checkAddress(t *testing.T, kind string, value address) {
	t.Helper()
	again, err := addressParsers[kind](value.String())
	if err != nil || again != value {
		t.Errorf("%s is read again as %v with error %v", value, again, err)
	}
	located, ok := value.(interface {
		Server() parsec.ServerAddress
		HTTPRedirection() string
	})
	if !ok {
		return
	}
	request, err := url.Parse(located.HTTPRedirection())
	if err != nil {
		t.Errorf("HTTP form: %v", err)
		return
	}
	target, ok := located.Server().RedirectTarget(parsec.Parsec2Scheme, request.Path, request.RawQuery)
	if again, err := addressParsers[kind](target.Target); !ok || err != nil || again != value {
		t.Errorf("%s leads to %s, read as %v with error %v", request, target.Target, again, err)
	}
}

func TestServerAddress(t *testing.T) {
	for text, want := range map[string]string{
		"parsec://foo:":                          "parsec://foo",
		"parsec://foo:00080":                     "parsec://foo:80",
		"parsec://foo#bar?no_ssl=true":           "parsec://foo",
		"parsec://a@b:c@foo:1":                   "parsec://foo:1",
		"parsec://foo?no%5Fssl=%54rue":           "parsec://foo?no_ssl=true",
		"parsec://foo?no_ssl=true&%zz=%":         "parsec://foo?no_ssl=true",
		"parsec://foo_bar.example.":              "parsec://foo_bar.example.",
		"parsec://[2001:DB8:0::1]":               "parsec://[2001:db8::1]",
		"parsec://0xfoo":                         "parsec://0xfoo",
		"parsec://1.example":                     "parsec://1.example",
		"\u00A0\tparsec://foo\r\n":               "parsec://foo",
		"parsec://" + strings.Repeat("a", 63):    "parsec://" + strings.Repeat("a", 63),
		"parsec://foo?port=1&token=a&token=b":    "parsec://foo",
		"parsec://foo?&&no_ssl=FALSE&":           "parsec://foo",
		"parsec://foo/?no_ssl=true":              "parsec://foo?no_ssl=true",
		"parsec://foo:65535?unknown=1&unknown=2": "parsec://foo:65535",
	} {
		server, err := parsec.ParseServerAddress(text)
		if err != nil || server.String() != want {
			t.Errorf("%q gives %v and error %v, want %s", text, server, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                      "must start with `parsec://`",
		"https://foo":                           "must start with `parsec://`",
		"https://foo/redirect":                  "must start with `parsec://`",
		"parsec:foo":                            "must start with `parsec://`",
		"parsec://":                             "missing mandatory hostname",
		"parsec:///foo":                         "missing mandatory hostname",
		"parsec://me@:1":                        "missing mandatory hostname",
		"parsec://foo/bar":                      "cannot have path",
		"parsec://foo//":                        "cannot have path",
		"parsec://foo?no_ssl=1":                 "invalid `no_ssl` param value (must be true or false)",
		"parsec://foo?no_ssl=falſe":             "invalid `no_ssl` param value (must be true or false)",
		"parsec://foo?no_ssl=true&no_ssl=true":  "multiple values for param `no_ssl`",
		"parsec://foo:0":                        "invalid port (must be 1 to 65535)",
		"parsec://foo:65536":                    "invalid port (must be 1 to 65535)",
		"parsec://foo:+1":                       "invalid port (must be 1 to 65535)",
		"parsec://::1:6777":                     "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://[::1":                         "invalid hostname (not an IPv6 address)",
		"parsec://[::1]x:1":                     "invalid hostname (not an IPv6 address)",
		"parsec://[fe80::1%eth0]":               "invalid hostname (not an IPv6 address)",
		"parsec://[127.0.0.1]":                  "invalid hostname (not an IPv6 address)",
		"parsec://127.1":                        "invalid hostname (not an IPv4 address)",
		"parsec://127.0.0.01":                   "invalid hostname (not an IPv4 address)",
		"parsec://2130706433":                   "invalid hostname (not an IPv4 address)",
		"parsec://foo.0x7F":                     "invalid hostname (not an IPv4 address)",
		"parsec://foo..bar":                     "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://.":                            "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://f oo":                         "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://ex\u00E4mple":                 "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://f%6Fo":                        "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://" + strings.Repeat("a", 64):   "invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)",
		"parsec://" + strings.Repeat("a.", 127): "invalid hostname (too long)",
	} {
		server, err := parsec.ParseServerAddress(text)
		if err == nil || err.Error() != want || server != (parsec.ServerAddress{}) {
			t.Errorf("%q gives %v and error %v, want %q", text, server, err, want)
		}
	}
	if zero := (parsec.ServerAddress{}).String(); zero != "" {
		t.Errorf("no address prints as %q", zero)
	}
}

// TestInternationalHosts reads hosts of Parsec 3 as browsers do, and prints them as DNS
// knows them, for every generation. Those of parsec:// are ASCII.
func TestInternationalHosts(t *testing.T) {
	for text, want := range map[string]string{
		"parsec3://München.example":                  "parsec3://xn--mnchen-3ya.example",
		"parsec3://M\u00dcNCHEN.example:8443":        "parsec3://xn--mnchen-3ya.example:8443",
		"parsec3://m%C3%BCnchen.example?no_ssl=true": "parsec3://xn--mnchen-3ya.example?no_ssl=true",
		"parsec3://mu\u0308nchen.example":            "parsec3://xn--mnchen-3ya.example",
		"parsec3://XN--mnchen-3ya.example":           "parsec3://xn--mnchen-3ya.example",
		"parsec3://faß.example":                      "parsec3://xn--fa-hia.example",
		"parsec3://例え。テスト":                           "parsec3://xn--r8jz45g.xn--zckzah",
		"parsec3://１２７.0.0.1":                        "parsec3://127.0.0.1",
		"parsec3://f%6Fo_bar.a--b.example.":          "parsec3://foo_bar.a--b.example.",
		"parsec3://[2001:DB8::1]":                    "parsec3://[2001:db8::1]",
	} {
		address, err := parsec.ParseAnyServerAddress(text)
		if got := parsec.Parsec3Scheme.PrintServerAddress(address); err != nil || got != want {
			t.Errorf("%q gives %s and error %v, want %s", text, got, err, want)
		}
		if again, err := parsec.ParseServerAddress(address.String()); err != nil || again != address {
			t.Errorf("%q is not the same to older clients: %v", text, err)
		}
	}
	for _, text := range []string{
		"parsec3://xn--mnchen-3yaaa.example\u00fc.xn--a", "parsec3://xn--zz--.example", "parsec3://a\u200db.example", "parsec3://a%zz.example",
		"parsec3://%FF.example", "parsec3://münchen..example", "parsec3://mün chen.example", "parsec3://mün%2Fchen.example", "parsec3://１２７.1",
		"parsec3://" + strings.Repeat("ü", 64) + ".example",
	} {
		if address, err := parsec.ParseAnyServerAddress(text); err == nil || !strings.HasPrefix(err.Error(), "invalid hostname (") {
			t.Errorf("%q gives %v and error %v", text, address, err)
		}
	}
}

func TestServerAddressInConfiguration(t *testing.T) {
	var settings struct{ Address parsec.ServerAddress }
	if err := json.Unmarshal([]byte(`{"Address":" parsec://Foo:80?no_ssl=true "}`), &settings); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(settings)
	if want := `{"Address":"parsec://foo?no_ssl=true"}`; err != nil || string(encoded) != want {
		t.Errorf("encoded %s with error %v, want %s", encoded, err, want)
	}
	if origin := settings.Address.HTTPOrigin(); origin != "http://foo" {
		t.Errorf("HTTP origin %s", origin)
	}
	if err := json.Unmarshal([]byte(`{"Address":"http://foo"}`), &settings); err == nil {
		t.Error("http accepted")
	}
}

func TestAddressesOfServer(t *testing.T) {
	server, err := parsec.ParseServerAddress("parsec://foo?no_ssl=true")
	if err != nil {
		t.Fatal(err)
	}
	organization, err := parsec.ParseOrganizationID("康")
	if err != nil {
		t.Fatal(err)
	}
	token := parsec.InvitationToken{0xA0, 15: 1}
	for want, got := range map[string]address{
		"parsec://foo/%E5%BA%B7?no_ssl=true&action=bootstrap_organization":                                       server.BootstrapAddress(organization, ""),
		"parsec://foo/%E5%BA%B7?no_ssl=true&action=bootstrap_organization&token=a+%26%E5%BA%B7":                  server.BootstrapAddress(organization, "a &康"),
		"parsec://foo/%E5%BA%B7?no_ssl=true&action=claim_user&token=a0000000000000000000000000000001":            server.InvitationAddress(organization, parsec.InvitationUser, token),
		"parsec://foo/%E5%BA%B7?no_ssl=true&action=claim_device&token=a0000000000000000000000000000001":          server.InvitationAddress(organization, parsec.InvitationDevice, token),
		"parsec://foo/%E5%BA%B7?no_ssl=true&action=claim_shamir_recovery&token=a0000000000000000000000000000001": server.InvitationAddress(organization, parsec.InvitationShamirRecovery, token),
		"parsec://foo/%E5%BA%B7?no_ssl=true&rvk=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAssss":        server.OrganizationAddress(organization, parsec.VerifyKey{}),
	} {
		if got.String() != want {
			t.Errorf("printed %s, want %s", got, want)
		}
	}
}

func TestAddressesRefused(t *testing.T) {
	const (
		rvk  = "rvk=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAssss"
		link = "parsec://foo/org?action=file_link&workspace_id=2d4ded1274064608833b7f57f01156e2"
	)
	for _, item := range []struct{ kind, text, want string }{
		{"organization", "parsec://foo/%zz?" + rvk, "path is not properly percent-encoded"},
		{"organization", "parsec://foo/a%2Fb?" + rvk, "path is not an organization: must be 1 to 32 bytes of letters, digits, marks, `_` or `-`"},
		{"organization", "parsec://foo/org", "missing mandatory `rvk` param"},
		{"organization", "parsec://foo/org?rvk=AA", "invalid `rvk` param value"},
		{"bootstrap", "parsec://foo/org?action=claim_user", "invalid `action` param value"},
		{"invitation", "parsec://foo/org?action=bootstrap_organization", "invalid `action` param value"},
		{"invitation", "parsec://foo/org?action=claim_user", "missing mandatory `token` param"},
		{"invitation", "parsec://foo/org?action=claim_user&token=1", "invalid `token` param value"},
		{"invitation", "parsec://foo/org?action=CLAIM_USER&token=a0000000000000000000000000000001", "invalid `action` param value"},
		{"file_link", link, "missing mandatory `path` param"},
		{"file_link", link + "&path=", "invalid `path` param value"},
		{"file_link", link + "&path=AA", "invalid `path` param value"},
		{"file_link", link + "&path=AAssssss&path=AAssssss", "multiple values for param `path`"},
		{"file_link", link + "&path=AAssssss&timestamp=", "invalid `timestamp` param value"},
		{"claim_user_v1", "parsec://foo/org?action=claim_device&user_id=bob&" + rvk, "invalid `action` param value"},
		{"claim_user_v1", "parsec://foo/org?action=claim_user&user_id=bob&token=1&token=1&" + rvk, "multiple values for param `token`"},
		{"claim_user_v1", "parsec://foo/org?action=claim_user&user_id=bob", "missing mandatory `rvk` param"},
		{"claim_device_v1", "parsec://foo/org?action=claim_device&device_id=bob&" + rvk, "invalid `device_id` param value"},
	} {
		value, err := addressParsers[item.kind](item.text)
		if err == nil || err.Error() != item.want || !reflect.ValueOf(value).IsZero() {
			t.Errorf("%s %s gives %v with error %v, want %s", item.kind, item.text, value, err, item.want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	urls := loadURLs(f)
	for _, item := range append(urls.Addresses, urls.API1Claims...) {
		f.Add(item.URL)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for kind, parse := range addressParsers {
			if value, err := parse(text); err == nil {
				checkAddress(t, kind, value)
			}
		}
	})
}
