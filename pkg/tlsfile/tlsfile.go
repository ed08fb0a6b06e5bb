// Package tlsfile serves TLS with a certificate in files, which may be replaced
// while the server runs.
package tlsfile

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// watchPeriod is the time between two looks at the files. They are read each
// time: on some file systems, and behind links, dates do not show changes.
const watchPeriod = 10 * time.Second

// byteOrderMark is what editors put in front; PEM does not begin behind it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// Certificate is what was last read of the files and was right. Its methods are
// safe for concurrent use.
type Certificate struct {
	certificateFile, keyFile, name string
	logger                         *slog.Logger
	now                            func() time.Time
	suites                         []uint16
	minVersion                     uint16

	current atomic.Pointer[tls.Certificate]
	// What follows belongs to who calls Watch.
	content []byte // of the files, as last read, right or wrong
	problem string // as last logged
}

// Options name the files.
type Options struct {
	// CertificateFile holds a certificate and then its chain, in PEM.
	CertificateFile string
	// KeyFile holds the private key; "" if CertificateFile does.
	KeyFile string
	// Name is the host that clients are told to come to, "" if they are not.
	Name string
	// Ciphers are what is served with.
	Ciphers Ciphers
	// Logger is told what clients may refuse, and of replacements.
	Logger *slog.Logger
	Now    func() time.Time
}

// Open reads a certificate, with its chain, and its private key. It fails on
// what cannot be served; what clients refuse is warned of, now and when the
// files change.
func Open(options Options) (*Certificate, error) {
	c := &Certificate{
		certificateFile: options.CertificateFile, keyFile: options.KeyFile, name: options.Name, logger: options.Logger, now: options.Now,
	}
	if c.keyFile == "" {
		c.keyFile = options.CertificateFile
	}
	c.suites, c.minVersion = options.Ciphers.Suites, tls.VersionTLS12
	if c.suites == nil {
		c.suites = defaultSuites
	}
	if options.Ciphers.Only13 {
		c.minVersion = tls.VersionTLS13
	}
	certificate, key, err := c.read()
	if err == nil {
		err = c.take(certificate, key)
	}
	if err != nil {
		return nil, err
	}
	c.content = join(certificate, key)
	return c, nil
}

// Config returns the configuration of a server of HTTP/2 and HTTP/1.1 with the
// certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:   c.minVersion,
		CipherSuites: c.suites,
		NextProtos:   []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// NotAfter returns the end of the certificate that is served.
func (c *Certificate) NotAfter() time.Time { return c.current.Load().Leaf.NotAfter }

// Watch takes the certificate of files that change, until ctx is done. What is
// wrong with the new one is logged, and the old one stays.
func (c *Certificate) Watch(ctx context.Context) {
	ticker := time.NewTicker(watchPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (c *Certificate) reload(ctx context.Context) {
	certificate, key, err := c.read()
	if err == nil {
		content := join(certificate, key)
		if bytes.Equal(content, c.content) {
			c.problem = ""
			return
		}
		if err = c.take(certificate, key); err == nil {
			c.content, c.problem = content, ""
			c.logger.InfoContext(ctx, "certificate replaced", slog.Time("expires", c.current.Load().Leaf.NotAfter))
			return
		}
	}
	if problem := err.Error(); problem != c.problem { // the two files may be replaced one after the other
		c.problem = problem
		c.logger.ErrorContext(ctx, "certificate not replaced", slog.String("error", problem))
	}
}

func join(certificate, key []byte) []byte {
	return bytes.Join([][]byte{certificate, key}, []byte{0})
}

func (c *Certificate) read() (certificate, key []byte, err error) {
	if certificate, err = os.ReadFile(c.certificateFile); err != nil {
		return nil, nil, fmt.Errorf("certificate: %w", err)
	}
	if key, err = os.ReadFile(c.keyFile); err != nil {
		return nil, nil, fmt.Errorf("private key of the certificate: %w", err)
	}
	return bytes.TrimPrefix(certificate, byteOrderMark), bytes.TrimPrefix(key, byteOrderMark), nil
}

// take serves with a pair, if it is one.
func (c *Certificate) take(certificate, key []byte) error {
	pair, chain, err := c.parse(certificate, key)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	c.warn(chain)
	return nil
}
