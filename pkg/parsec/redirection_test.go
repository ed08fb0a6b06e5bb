package parsec_test

import (
	"testing"

	"parsec-server/internal/testkit/addresses"
	"parsec-server/pkg/parsec"
)

func TestFromRedirection(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.com/redirect/Acme?action=bootstrap_organization&token=a%2Bb": "parsec://example.com/Acme?action=bootstrap_organization&token=a%2Bb",
		"http://localhost:6777/redirect/Acme?action=bootstrap_organization\n":         "parsec://localhost:6777/Acme?no_ssl=true&action=bootstrap_organization",
		"https://example.com:8443/redirect/Acme?no_ssl=true&action=x":                 "parsec://example.com:8443/Acme?action=x",
		"http://example.com/redirect/%E5%BA%B7?action=x":                              "parsec://example.com/%E5%BA%B7?no_ssl=true&action=x",
		"parsec://example.com/Acme?action=x":                                          "parsec://example.com/Acme?action=x",
		"https://example.com/Acme?action=x":                                           "https://example.com/Acme?action=x",
		"https://example.com/a/redirect/Acme":                                         "https://example.com/a/redirect/Acme",
		"ftp://example.com/redirect/Acme":                                             "ftp://example.com/redirect/Acme",
		"/redirect/Acme":                                                              "/redirect/Acme",
		"":                                                                            "",
	} {
		if got := parsec.FromRedirection(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	// It undoes what addresses print for e-mails.
	for _, server := range []string{"parsec://example.com", "parsec://example.com:1234?no_ssl=true", "parsec://[::1]:6777"} {
		parsed, err := parsec.ParseServerAddress(server)
		if err != nil {
			t.Fatal(err)
		}
		organization, err := parsec.ParseOrganizationID("Acme")
		if err != nil {
			t.Fatal(err)
		}
		address := parsed.BootstrapAddress(organization, "to ken&")
		if got, err := parsec.ParseBootstrapAddress(parsec.FromRedirection(address.HTTPRedirection())); err != nil || got != address {
			t.Errorf("%s: got %s, %v, want %s", address.HTTPRedirection(), got, err, address)
		}
	}
}

func TestAddressesOfParsec3(t *testing.T) {
	for _, text := range []string{"parsec3://example.com", "parsec3://example.com/Acme?a=claim_user&p=x"} {
		for name, parse := range map[string]func(string) error{
			"server":     func(text string) error { _, err := parsec.ParseServerAddress(text); return err },
			"bootstrap":  func(text string) error { _, err := parsec.ParseBootstrapAddress(text); return err },
			"invitation": func(text string) error { _, err := addresses.ParseInvitation(text); return err },
		} {
			err := parse(text)
			if want := "is an address of Parsec 3, another protocol; must start with `parsec://`"; err == nil || err.Error() != want {
				t.Errorf("%s %s: %v", name, text, err)
			}
		}
	}
}
