package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pemRoot returns a certificate that signs itself.
func pemRoot(t *testing.T, name string) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestReadTrustedRoots(t *testing.T) {
	if roots, err := readTrustedRoots(nil); roots != nil || err != nil {
		t.Errorf("without folder: %v, error %v", roots, err)
	}
	folder, other := t.TempDir(), t.TempDir()
	want := x509.NewCertPool()
	write := func(path string, content []byte) {
		t.Helper()
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, oneText := pemRoot(t, "one")
	two, twoText := pemRoot(t, "two")
	three, threeText := pemRoot(t, "three")
	write("one.pem", oneText)
	write("deeper/still/two", append(append([]byte("about it\n"), twoText...), threeText...))
	write("readme.txt", []byte("no certificate"))
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")}))
	four, fourText := pemRoot(t, "four")
	if err := os.WriteFile(filepath.Join(other, "four.crt"), fourText, 0o600); err != nil {
		t.Fatal(err)
	}
	// As a volume of Kubernetes has them.
	linked := filepath.Join(t.TempDir(), "linked")
	if err := os.Symlink(other, linked); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, filepath.Join(folder, "loop")); err != nil {
		t.Fatal(err)
	}
	for _, root := range []*x509.Certificate{one, two, three, four} {
		want.AddCert(root)
	}
	got, err := readTrustedRoots([]string{folder, linked})
	if err != nil || !got.Equal(want) {
		t.Errorf("the roots differ, error %v", err)
	}
}

func TestReadTrustedRootsRefuses(t *testing.T) {
	empty, bad := t.TempDir(), t.TempDir()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")})
	if err := os.WriteFile(filepath.Join(bad, "bad.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{
		empty: "no certificate in PEM below " + empty, bad: "bad.pem: ", filepath.Join(empty, "missing"): "no such file",
	} {
		if _, err := readTrustedRoots([]string{folder}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", folder, err)
		}
	}
}
