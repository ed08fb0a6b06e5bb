package tlsfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)

// pair makes a certificate of a name, valid in some days, and its key.
func pair(t *testing.T, name string, from, until int) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: today.AddDate(0, 0, from), NotAfter: today.AddDate(0, 0, until),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func logTo(log *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

func clock() time.Time { return today }

func TestRefusals(t *testing.T) {
	certificate, key := pair(t, "localhost", -1, 1)
	_, otherKey := pair(t, "localhost", -1, 1)
	encrypted := strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
	for name, row := range map[string]struct{ certificate, key, want string }{
		"another's key":     {certificate, otherKey, "the certificate in C and the private key in K are no pair: "},
		"no certificate":    {"", key, "C holds no certificate in PEM"},
		"a key instead":     {key, key, "C holds no certificate in PEM"},
		"no key":            {certificate, "nonsense", "K holds no private key in PEM"},
		"encrypted key":     {certificate, encrypted, "the private key in K is encrypted: "},
		"broken":            {strings.Replace(certificate, "M", "A", 1), key, "the certificate in C and the private key in K are no pair: "},
		"no key in one":     {certificate, "", "C holds no private key in PEM: give it by --ssl-keyfile"},
		"key out of reach":  {certificate, "missing", "private key of the certificate: open K: "},
		"no file of either": {"missing", key, "certificate: open C: "},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			certificateFile, keyFile := filepath.Join(directory, "C"), filepath.Join(directory, "K")
			if row.certificate != "missing" {
				write(t, certificateFile, row.certificate)
			}
			switch row.key {
			case "missing":
			case "":
				keyFile = ""
			default:
				write(t, keyFile, row.key)
			}
			_, err := Open(certificateFile, keyFile, slog.New(slog.DiscardHandler), clock)
			got := strings.ReplaceAll(fmt.Sprint(err), directory+"/", "")
			if !strings.HasPrefix(got, row.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestDates(t *testing.T) {
	for want, days := range map[string][2]int{"": {-1, 1}, "the certificate has expired": {-3, -1}, "the certificate is not valid yet": {1, 3}} {
		certificate, key := pair(t, "localhost", days[0], days[1])
		var log bytes.Buffer
		if _, err := Open(write(t, filepath.Join(t.TempDir(), "C"), certificate+key), "", logTo(&log), clock); err != nil {
			t.Error(err)
		}
		if log.Len() > 0 != (want != "") || !strings.Contains(log.String(), want) {
			t.Errorf("logged %q, want %q", &log, want)
		}
	}
}

// served is the name in the certificate that a client gets.
func served(t *testing.T, c *Certificate, protocol string, version uint16) string {
	t.Helper()
	here, there := net.Pipe()
	server := tls.Server(there, c.Config())
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(t.Context()) }()
	client := tls.Client(here, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, MaxVersion: version, MinVersion: tls.VersionTLS10})
	if err := client.HandshakeContext(t.Context()); err != nil {
		_ = here.Close()
		if <-done == nil {
			t.Error("the server sees no error")
		}
		return err.Error()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	state := client.ConnectionState()
	return state.PeerCertificates[0].Subject.CommonName + " " + state.NegotiatedProtocol
}

func TestHandshakes(t *testing.T) {
	certificate, key := pair(t, "localhost", -1, 1)
	c, err := Open(write(t, filepath.Join(t.TempDir(), "C"), certificate+key), "", slog.New(slog.DiscardHandler), clock)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		protocol string
		version  uint16
		want     string
	}{
		{"h2", tls.VersionTLS13, "localhost h2"},
		{"http/1.1", tls.VersionTLS12, "localhost http/1.1"},
		{"h2", tls.VersionTLS11, "remote error: tls: protocol version not supported"},
	} {
		if got := served(t, c, row.protocol, row.version); got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
}

// TestReplacement has the files replaced one after the other, as programs that
// renew certificates do.
func TestReplacement(t *testing.T) {
	directory := t.TempDir()
	certificateFile, keyFile := filepath.Join(directory, "C"), filepath.Join(directory, "K")
	oldCertificate, oldKey := pair(t, "old", -1, 1)
	newCertificate, newKey := pair(t, "new", -1, 1)
	write(t, certificateFile, oldCertificate)
	write(t, keyFile, oldKey)
	var log bytes.Buffer
	c, err := Open(certificateFile, keyFile, logTo(&log), clock)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ change, file, content, want, logged string }{
		{"nothing", keyFile, oldKey, "old h2", ""},
		{"the certificate", certificateFile, newCertificate, "old h2", "certificate not replaced"},
		{"nothing more", certificateFile, newCertificate, "old h2", ""},
		{"its key", keyFile, newKey, "new h2", "certificate replaced"},
		{"to nonsense", keyFile, "nonsense", "new h2", "holds no private key"},
		{"and back", keyFile, newKey, "new h2", ""},
		{"to nonsense again", keyFile, "nonsense", "new h2", "holds no private key"},
	} {
		log.Reset()
		write(t, step.file, step.content)
		c.reload(t.Context())
		if got := served(t, c, "h2", tls.VersionTLS13); got != step.want {
			t.Errorf("%s: served %s, want %s", step.change, got, step.want)
		}
		if log.Len() > 0 != (step.logged != "") || !strings.Contains(log.String(), step.logged) {
			t.Errorf("%s: logged %q, want %q", step.change, &log, step.logged)
		}
	}
	if err := os.Remove(certificateFile); err != nil {
		t.Fatal(err)
	}
	c.reload(t.Context())
	if got := served(t, c, "h2", tls.VersionTLS13); got != "new h2" {
		t.Errorf("without files: served %s", got)
	}
}
