package blockstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxIdleConnections is how many connections to a store are kept open
	// between requests: as many as DefaultLimits allows requests.
	maxIdleConnections = 64
	connectLimit       = 5 * time.Second
	// idleLimit is below the one of most servers, so that this end closes.
	idleLimit = 30 * time.Second
)

// newHTTPClient connects to one store. Requests are limited by their contexts;
// redirections are not followed: signatures would not survive them.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: connectLimit}
	return &http.Client{
		Transport: closingAfterHead{&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: connectLimit,
			MaxIdleConns:        maxIdleConnections,
			MaxIdleConnsPerHost: maxIdleConnections,
			IdleConnTimeout:     idleLimit,
			DisableCompression:  true, // Blocks are encrypted, and lengths must be those of the objects.
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// closingAfterHead does not use a connection again after HEAD, to which
// some servers answer with a body that would be taken for the next answer.
type closingAfterHead struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (c closingAfterHead) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodHead {
		request = request.Clone(request.Context())
		request.Close = true
	}
	return c.Transport.RoundTrip(request)
}

// readObject reads body, of length bytes, to its end, and verifies its checksum
// unless that is nil. A negative length is one that the server has not said: into
// says how much there must be.
func readObject(body io.Reader, length int64, checksum *Checksum, into [][]byte) error {
	if checksum == nil {
		return readBody(body, length, into)
	}
	// What has just arrived is still in the processor's cache.
	sum := sha256.New()
	if err := readBody(io.TeeReader(body, sum), length, into); err != nil {
		return err
	}
	if Checksum(sum.Sum(nil)) != *checksum {
		return errOtherChecksum
	}
	return nil
}

func readBody(body io.Reader, length int64, into [][]byte) error {
	wanted := int64(lengthOf(into))
	if length >= 0 && length != wanted {
		return checkLength(into, length)
	}
	var got int64
	for _, part := range into {
		n, err := readFull(body, part)
		got += int64(n)
		switch {
		case length < 0 && err == io.EOF: //nolint:errorlint // A cut body wraps it: this is its end.
			return checkLength(into, got)
		case err != nil:
			return fmt.Errorf("read an object of %d bytes: %w", wanted, err)
		}
	}
	// Reading to the end gives the connection back.
	switch n, err := io.ReadFull(body, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("%w: more than %d bytes", errDamaged, wanted)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read the end of an object: %w", err)
	}
	return nil
}

// readFull fills part. The error is that of the reader: io.EOF at the end of what
// there is to read. io.ReadFull does not distinguish that from a cut body.
func readFull(body io.Reader, part []byte) (n int, err error) {
	for n < len(part) && err == nil {
		var more int
		more, err = body.Read(part[n:])
		n += more
	}
	if n == len(part) {
		err = nil
	}
	return n, err
}

// uploadBody lends a block to net/http, which may go on reading a body after
// the request has ended. Nothing reads block once release has returned.
type uploadBody struct {
	mu    sync.Mutex
	block *bytes.Reader
}

var errBodyClosed = errors.New("the body of the request is closed")

func newUploadBody(block []byte) *uploadBody {
	return &uploadBody{block: bytes.NewReader(block)}
}

// Read implements io.Reader.
func (u *uploadBody) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.block == nil {
		return 0, errBodyClosed
	}
	return u.block.Read(p)
}

// Close implements io.Closer.
func (u *uploadBody) Close() error {
	u.release()
	return nil
}

// release ends the loan.
func (u *uploadBody) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.block = nil
}
