package testkit

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// CertificateFiles writes the certificate of 127.0.0.1 that comes with Go.
func CertificateFiles(t testing.TB) (certificateFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	certificate := loopbackCertificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	certificateFile, keyFile = filepath.Join(directory, "certificate"), filepath.Join(directory, "key")
	for path, block := range map[string]*pem.Block{
		certificateFile: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		keyFile:         {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return certificateFile, keyFile, roots
}
