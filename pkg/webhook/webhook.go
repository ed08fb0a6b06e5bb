package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"parsec-server/pkg/span"
)

// callLimit bounds every call, from the connection to the end of the answer
// (docs/protocol/commands.md §8.1).
const callLimit = 30 * time.Second

// maxAnswerBytes bounds the headers of an answer, and what is read of its body.
const maxAnswerBytes = 64 << 10

// Client makes the calls. Its methods are safe for concurrent use.
type Client struct {
	http   *http.Client
	logger *slog.Logger
	// services is what is known of sequester services.
	services *services
	// bootstraps is nil when nobody is to be told of new organizations.
	bootstraps *bootstrapQueue
}

// New returns a client that announces new organizations to bootstrapURL, unless
// that is "". Close ends its goroutine.
func New(bootstrapURL string, logger *slog.Logger) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxAnswerBytes
	return NewOver(transport, bootstrapURL, logger)
}

// NewOver is New with another way to make calls.
func NewOver(transport http.RoundTripper, bootstrapURL string, logger *slog.Logger) *Client {
	c := &Client{
		http: &http.Client{
			Transport: transport,
			// A redirection would send the same body again.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		logger:   logger,
		services: newServices(logger),
	}
	if bootstrapURL != "" {
		c.bootstraps = newBootstrapQueue(c, bootstrapURL)
	}
	return c
}

// Close waits until the queue of calls is empty, at most until ctx is done:
// what is left is then dropped, and the error is that of ctx. New organizations
// are not told of any more.
func (c *Client) Close(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	if c.bootstraps == nil {
		return nil
	}
	return c.bootstraps.close(ctx)
}

// answer is what a call came back with. Its body is cut to maxAnswerBytes, or
// to what came in time.
type answer struct {
	status int
	body   []byte
}

// accepted reports whether the status is one of success.
func (a answer) accepted() bool { return a.status >= 200 && a.status < 300 }

// post makes one call, within callLimit; contentType is "" for none. Its errors do
// not hold the address, whose query may hold a secret.
func (c *Client) post(ctx context.Context, address, contentType string, body []byte) (_ answer, err error) {
	end := span.Begin(ctx, "webhook")
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, withoutAddress(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, withoutAddress(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	if !a.accepted() {
		// The status alone decides: a body that stops early is as good as none.
		a.body, _ = io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	}
	return a, nil
}

func withoutAddress(err error) error {
	if failure, found := errors.AsType[*url.Error](err); found {
		return failure.Err
	}
	return err
}
