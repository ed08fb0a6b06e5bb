package tlsfile

import (
	"crypto/tls"
	"strings"
)

// Ciphers are what a server may encrypt with. The zero value is the default.
type Ciphers struct {
	// Suites are those of TLS 1.2.
	Suites []uint16
	// Only13 refuses TLS 1.2.
	Only13 bool
}

// defaultSuites have forward secrecy and authenticated encryption; all those of TLS 1.3
// have both.
var defaultSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// suitesByName are the suites of TLS 1.2 by their names of OpenSSL.
var suitesByName = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
}

// defaultCiphers is the official default, which names no suite.
const defaultCiphers = "TLSv1"

// ParseCiphers reads names of OpenSSL, between commas, colons or blanks. Those of TLS 1.3
// stand for all of that version, and keep out TLS 1.2 where none of it is named. It
// returns the names that it does not know, which have no effect; ok is false if nothing
// is left.
func ParseCiphers(text string) (ciphers Ciphers, unknown []string, ok bool) {
	has13 := false
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ':' || r == ' ' }) {
		suite, known := suitesByName[strings.ToUpper(name)]
		switch {
		case name == defaultCiphers:
			ciphers.Suites = append(ciphers.Suites, defaultSuites...)
		case known:
			ciphers.Suites = append(ciphers.Suites, suite)
		case isSuiteOf13(name):
			has13 = true
		default:
			unknown = append(unknown, name)
		}
	}
	ciphers.Only13 = ciphers.Suites == nil && has13
	return ciphers, unknown, ciphers.Suites != nil || has13
}

func isSuiteOf13(name string) bool {
	for _, suite := range tls.CipherSuites() {
		if strings.EqualFold(suite.Name, name) && len(suite.SupportedVersions) == 1 && suite.SupportedVersions[0] == tls.VersionTLS13 {
			return true
		}
	}
	return false
}
