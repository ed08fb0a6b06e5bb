package tlsfile

import (
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseCiphers(t *testing.T) {
	const ecdsa256 = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	for _, row := range []struct {
		text    string
		suites  []uint16
		only13  bool
		unknown []string
		ok      bool
	}{
		{"TLSv1", defaultSuites, false, nil, true},
		{"ECDHE-ECDSA-AES256-GCM-SHA384", []uint16{ecdsa256}, false, nil, true},
		{"TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384,TLS_AES_128_CCM_SHA256", []uint16{ecdsa256}, false, []string{"TLS_AES_128_CCM_SHA256"}, true},
		{"TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256", nil, true, nil, true},
		{"ECDHE-ECDSA-AES128-CCM8:HIGH", nil, false, []string{"ECDHE-ECDSA-AES128-CCM8", "HIGH"}, false},
		{"", nil, false, nil, false},
	} {
		ciphers, unknown, ok := ParseCiphers(row.text)
		if !slices.Equal(ciphers.Suites, row.suites) || ciphers.Only13 != row.only13 || !slices.Equal(unknown, row.unknown) || ok != row.ok {
			t.Errorf("%s: %+v, %q, %t", row.text, ciphers, unknown, ok)
		}
	}
}

// A suite that is not listed is refused in TLS 1.2.
func TestCiphersOfTheServer(t *testing.T) {
	certificate, key := pair(t, "localhost", -1, 1)
	file := write(t, filepath.Join(t.TempDir(), "C"), certificate+key)
	for _, row := range []struct {
		ciphers string
		client  *tls.Config
		want    bool
	}{
		{"ECDHE-ECDSA-AES256-GCM-SHA384", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, true},
		{"ECDHE-ECDSA-AES256-GCM-SHA384", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, false},
		{"ECDHE-ECDSA-AES256-GCM-SHA384", &tls.Config{}, true},
		{"TLS_AES_128_GCM_SHA256", &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"TLS_AES_128_GCM_SHA256", &tls.Config{}, true},
	} {
		ciphers, _, _ := ParseCiphers(row.ciphers)
		c, err := Open(Options{CertificateFile: file, Ciphers: ciphers, Logger: slog.New(slog.DiscardHandler), Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		row.client.InsecureSkipVerify = true
		if got := handshakes(t, c.Config(), row.client); got != row.want {
			t.Errorf("%s with %x: %t", row.ciphers, row.client.CipherSuites, got)
		}
	}
}

// handshakes reports whether a client and a server agree.
func handshakes(t *testing.T, served, asking *tls.Config) bool {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	done := make(chan error, 1)
	go func() {
		err := tls.Server(there, served).HandshakeContext(t.Context())
		_ = there.Close()
		done <- err
	}()
	err := tls.Client(here, asking).HandshakeContext(t.Context())
	_ = here.Close()
	return <-done == nil && err == nil
}
