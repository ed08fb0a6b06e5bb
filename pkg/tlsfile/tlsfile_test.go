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

func open(certificateFile, keyFile string, logger *slog.Logger) (*Certificate, error) {
	return Open(Options{CertificateFile: certificateFile, KeyFile: keyFile, Logger: logger, Now: clock})
}

func TestRefusals(t *testing.T) {
	certificate, key := pair(t, "localhost", -1, 1)
	_, otherKey := pair(t, "localhost", -1, 1)
	encrypted := strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
	encryptedOldForm := strings.Replace(key, "BEGIN PRIVATE KEY-----\n", "BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)
	encryptedOldForm = strings.Replace(encryptedOldForm, "END PRIVATE", "END RSA PRIVATE", 1)
	second, _ := pair(t, "localhost", -1, 1)
	for name, row := range map[string]struct{ certificate, key, want string }{
		"another's key":     {certificate, otherKey, "the certificate in C and the private key in K are no pair: "},
		"no certificate":    {"", key, "C holds no certificate in PEM"},
		"a key instead":     {key, key, "C holds no certificate in PEM"},
		"no key":            {certificate, "nonsense", "K holds no private key in PEM"},
		"encrypted key":     {certificate, encrypted, "the private key in K is encrypted: "},
		"of an old form":    {certificate, encryptedOldForm, "the private key in K is encrypted: "},
		"after parameters":  {certificate, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + encryptedOldForm, "the private key in K is encrypted: "},
		"broken":            {strings.Replace(certificate, "M", "A", 1), key, "certificate 1 of C is broken: "},
		"broken chain":      {certificate + strings.Replace(second, "M", "A", 1), key, "certificate 2 of C is broken: "},
		"not the first":     {second + certificate, key, "the certificate of the private key is number 2 in C: put it first, before those of its chain"},
		"not in any place":  {second + second, key, "the certificate in C and the private key in K are no pair: "},
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
			_, err := open(certificateFile, keyFile, slog.New(slog.DiscardHandler))
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
		if _, err := open(write(t, filepath.Join(t.TempDir(), "C"), certificate+key), "", logTo(&log)); err != nil {
			t.Error(err)
		}
		if log.Len() > 0 != (want != "") || !strings.Contains(log.String(), want) {
			t.Errorf("logged %q, want %q", &log, want)
		}
	}
}

// served returns the name in the certificate that a client gets.
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
	c, err := open(write(t, filepath.Join(t.TempDir(), "C"), certificate+key), "", slog.New(slog.DiscardHandler))
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
	c, err := open(certificateFile, keyFile, logTo(&log))
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

// authority issues certificates.
type authority struct {
	*testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	text        string
}

// issue makes an authority of a name, by another one or by itself.
func (a *authority) issue(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: today.AddDate(0, 0, -1), NotAfter: today.AddDate(0, 0, 1),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	issuer, issuerKey := template, key
	if a != nil {
		issuer, issuerKey = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, certificate, key, string(inPEM(certificate))}
}

func (a *authority) keyText() string {
	encoded, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		a.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// TestWarnings are of what is served and clients refuse, at start and when the
// files change.
func TestWarnings(t *testing.T) {
	var none *authority
	root := none.issue(t, "root")
	middle := root.issue(t, "middle")
	leaf := middle.issue(t, "parsec.example.com")
	stranger := none.issue(t, "stranger")
	for name, row := range map[string]struct{ text, name, want string }{
		"whole":            {leaf.text + middle.text + root.text, "parsec.example.com", ""},
		"self-signed":      {root.text, "root", ""},
		"no name to cover": {leaf.text + middle.text + root.text, "", ""},
		"wrong order":      {leaf.text + root.text + middle.text, "", "it is in the wrong order: number 3, of CN=middle, must follow number 1"},
		"a stranger's":     {leaf.text + stranger.text, "", "number 2, of CN=stranger, did not issue number 1, which is of CN=middle"},
		"leaf alone":       {leaf.text, "", "number 1 is issued by CN=middle, which is neither in the file nor known to this machine"},
		"another name":     {leaf.text + middle.text + root.text, "files.example.com", "does not cover the name that clients come to"},
		"by number":        {leaf.text + middle.text + root.text, "192.0.2.1", "does not cover the name that clients come to"},
		"byte order mark":  {"\xef\xbb\xbf" + leaf.text + middle.text + root.text, "parsec.example.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			key := leaf.keyText()
			if name == "self-signed" {
				key = root.keyText()
			}
			directory := t.TempDir()
			var log bytes.Buffer
			c, err := Open(Options{
				CertificateFile: write(t, filepath.Join(directory, "C"), row.text), KeyFile: write(t, filepath.Join(directory, "K"), key),
				Name: row.name, Logger: logTo(&log), Now: clock,
			})
			if err != nil {
				t.Fatal(err)
			}
			check := func() {
				t.Helper()
				if lines := strings.Count(log.String(), "level=WARN"); (lines == 1) != (row.want != "") || lines > 1 || !strings.Contains(log.String(), row.want) {
					t.Errorf("logged %q, want %q", &log, row.want)
				}
				log.Reset()
			}
			check()
			write(t, filepath.Join(directory, "K"), key+"\n")
			c.reload(t.Context())
			check()
		})
	}
}
