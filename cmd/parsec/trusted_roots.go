package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxRootFile bounds a file of certificates, in bytes.
const maxRootFile = 4 << 20

// readTrustedRoots returns the X.509 certificates in PEM in all files below folders, nil
// for no folder (docs/protocol/v5/enrollment.md §1.2). A folder without any would have
// every request refused, and is an error.
func readTrustedRoots(folders []string) (*x509.CertPool, error) {
	if len(folders) == 0 {
		return nil, nil
	}
	trusted := x509.NewCertPool()
	for _, folder := range folders {
		roots := 0
		start, err := filepath.EvalSymlinks(folder)
		if err != nil {
			return nil, fmt.Errorf("trusted roots: %w", err)
		}
		err = filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			found, err := readRoots(path, trusted)
			roots += found
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("trusted roots: %w", err)
		}
		if roots == 0 {
			return nil, fmt.Errorf("trusted roots: no certificate in PEM below %s", folder)
		}
	}
	return trusted, nil
}

// readRoots adds the certificates of a file, and returns how many there are. A link to a
// folder has none, as folders are gone through by themselves.
func readRoots(path string, trusted *x509.CertPool) (roots int, err error) {
	information, err := os.Stat(path)
	if err != nil || !information.Mode().IsRegular() || information.Size() > maxRootFile {
		return 0, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return roots, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		trusted.AddCert(root)
		roots++
	}
}
