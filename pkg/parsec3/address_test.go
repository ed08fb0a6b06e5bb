package parsec3_test

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// legacyHost is the name that clients since 3.9 replace by newHost; a server need not.
const (
	legacyHost = "saas-v3.parsec.cloud"
	newHost    = "app.parsec.cloud"
)

type parsedAddress struct {
	Hostname      string  `json:"hostname"`
	Port          uint16  `json:"port"`
	TLS           bool    `json:"use_ssl"`
	Organization  string  `json:"organization_id"`
	RootVerifyKey string  `json:"root_verify_key"`
	Token         *string `json:"token"`
	Type          string  `json:"type"`
	Workspace     string  `json:"workspace_id"`
	KeyIndex      uint64  `json:"key_index"`
	EncryptedPath string  `json:"encrypted_path"`
	User          string  `json:"user_id"`
}

type addressVector struct {
	Kind            string        `json:"kind"`
	URL             string        `json:"url"`
	Valid           bool          `json:"valid"`
	Parsed          parsedAddress `json:"parsed"`
	Canonical       string        `json:"canonical"`
	HTTPRedirection string        `json:"http_redirection"`
	Note            string        `json:"note"`
}

type addressVectors struct {
	Addresses            []addressVector `json:"addresses"`
	HTTPRedirectionForms []addressVector `json:"http_redirection_forms"`
	ServerAddressAsHTTP  []struct {
		Address, Serialized string
	} `json:"server_address_as_http"`
}

func loadAddresses(t testing.TB) addressVectors {
	t.Helper()
	loaded := vectors.Load[addressVectors](t, "v5/addresses.json")
	if len(loaded.Addresses) == 0 || len(loaded.HTTPRedirectionForms) == 0 || len(loaded.ServerAddressAsHTTP) == 0 {
		t.Fatal("no vectors")
	}
	return loaded
}

func TestAddressVectors(t *testing.T) {
	for _, item := range loadAddresses(t).Addresses {
		if item.Valid && item.Parsed.Hostname == newHost {
			item.Parsed.Hostname = legacyHost
			item.Canonical = strings.Replace(item.Canonical, newHost, legacyHost, 1)
			item.HTTPRedirection = strings.Replace(item.HTTPRedirection, newHost, legacyHost, 1)
		}
		if item.Kind == "server" {
			checkServer(t, item)
			continue
		}
		address, err := parsec3.ParseAddress(item.URL)
		if !item.Valid {
			if err == nil {
				t.Errorf("%s %q is read as %v", item.Kind, item.URL, address)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %q: %v", item.Kind, item.URL, err)
			continue
		}
		if kind, parsed := parsedOf(address); kind != item.Kind || !reflect.DeepEqual(parsed, item.Parsed) {
			t.Errorf("%s %q is read as %s %+v, want %+v", item.Kind, item.URL, kind, parsed, item.Parsed)
		}
		if printed := address.String(); printed != item.Canonical {
			t.Errorf("%q is printed as %s, want %s", item.URL, printed, item.Canonical)
		}
		if printed := address.HTTPRedirection(); item.HTTPRedirection != "" && printed != item.HTTPRedirection {
			t.Errorf("%q is printed as %s, want %s", item.URL, printed, item.HTTPRedirection)
		}
	}
}

func checkServer(t *testing.T, item addressVector) {
	t.Helper()
	server, err := parsec.Parsec3Scheme.ParseServerAddress(item.URL)
	if (err == nil) != item.Valid {
		t.Errorf("server %q: %v", item.URL, err)
	}
	if err != nil {
		return
	}
	if parsed := parsedServer(server); !reflect.DeepEqual(parsed, item.Parsed) {
		t.Errorf("%q is read as %+v", item.URL, parsed)
	}
	if printed := parsec.Parsec3Scheme.PrintServerAddress(server); printed != item.Canonical {
		t.Errorf("%q is printed as %s, want %s", item.URL, printed, item.Canonical)
	}
	if printed := server.HTTPRedirection(); item.HTTPRedirection != "" && printed != item.HTTPRedirection {
		t.Errorf("%q is printed as %s, want %s", item.URL, printed, item.HTTPRedirection)
	}
}

func parsedServer(server parsec.ServerAddress) parsedAddress {
	return parsedAddress{Hostname: server.Hostname(), Port: server.Port(), TLS: server.TLS()}
}

// parsedOf returns an address in the form of the vectors.
func parsedOf(address parsec3.Address) (kind string, parsed parsedAddress) {
	parsed = parsedServer(address.Server())
	parsed.Organization = address.Organization().String()
	text := func(token parsec3.AccessToken) *string {
		text := token.String()
		return &text
	}
	switch target := address.Target.(type) {
	case parsec3.OrganizationTarget:
		parsed.RootVerifyKey = hex.EncodeToString(target.RootVerifyKey[:])
		return "organization", parsed
	case parsec3.BootstrapTarget:
		if target.Token != nil {
			parsed.Token = text(*target.Token)
		}
		return "organization_bootstrap", parsed
	case parsec3.PathTarget:
		parsed.Workspace, parsed.KeyIndex = parsec.UUID(target.Workspace).Hex(), target.KeyIndex
		parsed.EncryptedPath = hex.EncodeToString(target.EncryptedPath)
		return "workspace_path", parsed
	case parsec3.InvitationTarget:
		parsed.Type, parsed.Token = string(target.Type), text(target.Token)
		return "invitation", parsed
	case parsec3.TOTPResetTarget:
		parsed.User, parsed.Token = target.User.String(), text(target.Token)
		return "totp_reset", parsed
	case parsec3.PKIEnrollmentTarget:
		return "pki_enrollment", parsed
	default:
		return "async_enrollment", parsed
	}
}

func TestHTTPFormVectors(t *testing.T) {
	loaded := loadAddresses(t)
	for _, item := range loaded.HTTPRedirectionForms {
		var printed string
		var err error
		if item.Kind == "server" {
			var server parsec.ServerAddress
			server, err = parsec.Parsec3Scheme.ParseServerAddress(parsec.Parsec3Scheme.FromRedirection(item.URL))
			printed = parsec.Parsec3Scheme.PrintServerAddress(server)
		} else {
			var address parsec3.Address
			if address, err = parsec3.ParseAddress(item.URL); err == nil {
				printed = address.String()
			}
		}
		if (err == nil) != item.Valid || printed != item.Canonical {
			t.Errorf("%s %q is read as %s, %v; want %s", item.Kind, item.URL, printed, err, item.Canonical)
		}
	}
	for _, item := range loaded.ServerAddressAsHTTP {
		server, err := parsec.Parsec3Scheme.ParseServerAddress(item.Address)
		if err != nil || server.HTTPOrigin()+"/" != item.Serialized {
			t.Errorf("%s is %s, %v", item.Address, server.HTTPOrigin(), err)
		}
	}
}

func TestAddressesOfOtherSchemes(t *testing.T) {
	for text, valid := range map[string]bool{
		"PARSEC3://example.com/MyOrg?a=pki_enrollment":                                                                   true,
		"parsec://example.com/MyOrg?a=pki_enrollment":                                                                    false,
		"parsec3://example.com/MyOrg?a=pki_enrollment&a=pki_enrollment":                                                  false,
		"parsec3://example.com/MyOrg?a=claim_user&p=xBCgAAAAAAAAAAAAAAAAAAAB&p=xBCgAAAAAAAAAAAAAAAAAAAB":                 false,
		"parsec3://example.com/MyOrg?a=claim_user&p=xBCgAAAAAAAAAAAAAAAAAAAC":                                            true,
		"parsec3://example.com/MyOrg?a=claim_user&p=xBCgAAAAAAAAAAAAAAAAAAABwA":                                          false,
		"parsec3://example.com/MyOrg?a=claim_user&p=wA":                                                                  false,
		"parsec3://example.com/MyOrg?a=path&p=k9gCLU3tEnQGRgiDO39X8BFW4gGRzQEA":                                          false,
		"parsec3://user:password@EXAMPLE.com/MyOrg?a=pki_enrollment#part":                                                true,
		"https://example.com/redirect/MyOrg?a=claim_user&p=xBCgAAAAAAAAAAAAAAAAAAAB&next=https://evil.example/redirect/": true,
	} {
		if address, err := parsec3.ParseAddress(text); (err == nil) != valid {
			t.Errorf("%s: %v, %v", text, address, err)
		}
	}
}

// FuzzParseAddress wants what is read to be printed as something that is read as the
// same.
func FuzzParseAddress(f *testing.F) {
	for _, item := range loadAddresses(f).Addresses {
		f.Add(item.URL)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, err := parsec3.ParseAddress(text)
		if err != nil {
			return
		}
		for _, printed := range []string{address.String(), address.HTTPRedirection()} {
			if again, err := parsec3.ParseAddress(printed); err != nil || !reflect.DeepEqual(again, address) {
				t.Errorf("%q is printed as %s, which is %v, %v", text, printed, again, err)
			}
		}
	})
}
