package tlsfile

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// parse returns the certificates of the files, that of the server first.
func (c *Certificate) parse(certificate, key []byte) (tls.Certificate, []*x509.Certificate, error) {
	fail := func(format string, arguments ...any) (tls.Certificate, []*x509.Certificate, error) {
		return tls.Certificate{}, nil, fmt.Errorf(format, arguments...)
	}
	var chain []*x509.Certificate
	for _, block := range blocksOf(certificate) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fail("certificate %d of %s is broken: %w", len(chain)+1, c.certificateFile, err)
		}
		chain = append(chain, parsed)
	}
	if len(chain) == 0 {
		return fail("%s holds no certificate in PEM", c.certificateFile)
	}
	if err := c.checkKey(key); err != nil {
		return tls.Certificate{}, nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err == nil {
		return pair, chain, nil
	}
	for i, other := range chain[1:] {
		if _, mismatch := tls.X509KeyPair(inPEM(other), key); mismatch == nil {
			return fail("the certificate of the private key is number %d in %s: put it first, before those of its chain", i+2, c.certificateFile)
		}
	}
	return fail("the certificate in %s and the private key in %s are no pair: %w", c.certificateFile, c.keyFile, err)
}

// checkKey says what is wrong with a file that holds no key to serve with.
func (c *Certificate) checkKey(key []byte) error {
	for _, block := range blocksOf(key) {
		switch {
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return fmt.Errorf("the private key in %s is encrypted: decrypt it with openssl pkey", c.keyFile)
		default:
			return nil
		}
	}
	if c.keyFile == c.certificateFile {
		return fmt.Errorf("%s holds no private key in PEM: give it by --ssl-keyfile", c.keyFile)
	}
	return fmt.Errorf("%s holds no private key in PEM", c.keyFile)
}

// warn logs what clients refuse.
func (c *Certificate) warn(chain []*x509.Certificate) {
	leaf := chain[0]
	switch now := c.now(); {
	case now.After(leaf.NotAfter):
		c.logger.Warn("the certificate has expired", "file", c.certificateFile, "on", leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		c.logger.Warn("the certificate is not valid yet", "file", c.certificateFile, "until", leaf.NotBefore)
	}
	if c.name != "" {
		if err := leaf.VerifyHostname(c.name); err != nil {
			c.logger.Warn("the certificate does not cover the name that clients come to", "file", c.certificateFile, "name", c.name, "error", err)
		}
	}
	if problem := c.brokenChain(chain); problem != "" {
		c.logger.Warn("the chain of the certificate does not lead on: many clients refuse it", "file", c.certificateFile, "problem", problem)
	}
}

// brokenChain is "" for a chain where each certificate is issued by the next,
// as far as an authority that is in the file, or that this machine knows.
func (c *Certificate) brokenChain(chain []*x509.Certificate) string {
	for i, issued := range chain[:len(chain)-1] {
		if isIssuedBy(issued, chain[i+1]) {
			continue
		}
		for j, other := range chain {
			if j != i && isIssuedBy(issued, other) {
				return fmt.Sprintf("it is in the wrong order: number %d, of %s, must follow number %d", j+1, other.Subject, i+1)
			}
		}
		return fmt.Sprintf("number %d, of %s, did not issue number %d, which is of %s", i+2, chain[i+1].Subject, i+1, issued.Issuer)
	}
	last := chain[len(chain)-1]
	if bytes.Equal(last.RawIssuer, last.RawSubject) {
		return ""
	}
	known, err := x509.SystemCertPool()
	if err != nil || known.Equal(x509.NewCertPool()) && len(chain) > 1 {
		return "" // this machine knows none, so it cannot know
	}
	_, err = last.Verify(x509.VerifyOptions{Roots: known, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Sprintf("number %d is issued by %s, which is neither in the file nor known to this machine", len(chain), last.Issuer)
	}
	return ""
}

func isIssuedBy(issued, issuer *x509.Certificate) bool {
	return bytes.Equal(issued.RawIssuer, issuer.RawSubject) && issued.CheckSignatureFrom(issuer) == nil
}

func inPEM(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// blocksOf returns the blocks of PEM in a text.
func blocksOf(text []byte) (blocks []*pem.Block) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return blocks
		}
		blocks = append(blocks, block)
	}
}
