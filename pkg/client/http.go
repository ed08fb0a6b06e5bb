package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// HTTPError is an HTTP answer other than the one wanted
// (docs/protocol/transport.md §7.2).
type HTTPError struct {
	// Status is the HTTP status.
	Status int
	// APIVersion and SupportedAPIVersions are the headers of those names, or
	// empty.
	APIVersion           string
	SupportedAPIVersions string
}

// The statuses of HTTP RPC that HTTP does not define.
const (
	StatusOrganizationExpired = 460
	StatusUserRevoked         = 461
	StatusUserFrozen          = 462
)

func (e *HTTPError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Status, e.text()) }

func (e *HTTPError) text() string {
	switch e.Status {
	case http.StatusNotFound:
		return "organization or invitation not found"
	case http.StatusGone:
		return "invitation deleted"
	case http.StatusUnprocessableEntity:
		return "API version not supported, the server knows " + e.SupportedAPIVersions
	case StatusOrganizationExpired:
		return "organization expired"
	case StatusUserRevoked:
		return "user revoked"
	case StatusUserFrozen:
		return "user frozen"
	default:
		return http.StatusText(e.Status)
	}
}

// NewHTTPError returns the error of an answer that is not the one wanted.
func NewHTTPError(response *http.Response) *HTTPError {
	return &HTTPError{
		Status:               response.StatusCode,
		APIVersion:           response.Header.Get("Api-Version"),
		SupportedAPIVersions: response.Header.Get("Supported-Api-Versions"),
	}
}

const (
	messageType = "application/msgpack"
	streamType  = "text/event-stream"
)

// PostMessage posts a msgpack message to path and returns the msgpack message
// of the answer. It adds to header. A status other than 200 is an *HTTPError.
func (c *Client) PostMessage(ctx context.Context, path string, header http.Header, message []byte) ([]byte, error) {
	header.Set("Content-Type", messageType)
	response, err := c.request(ctx, http.MethodPost, path, header, message, messageType)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	// With room to find the end, it need not grow.
	length := min(max(response.ContentLength, 0), MaxMessageBytes)
	reply := bytes.NewBuffer(make([]byte, 0, length+bytes.MinRead))
	if _, err := reply.ReadFrom(io.LimitReader(response.Body, MaxMessageBytes+1)); err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	if reply.Len() > MaxMessageBytes {
		return nil, fmt.Errorf("%w: reply over %d bytes", ErrProtocol, MaxMessageBytes)
	}
	return reply.Bytes(), nil
}

// OpenEvents opens the event stream at path. It adds to header. A status other
// than 200 is an *HTTPError. The stream ends when ctx does.
func (c *Client) OpenEvents(ctx context.Context, path string, header http.Header) (*ServerSentEvents, error) {
	header.Set("Accept", streamType)
	response, err := c.request(ctx, http.MethodGet, path, header, nil, streamType) //nolint:bodyclose // the stream closes it
	if err != nil {
		return nil, err
	}
	return NewServerSentEvents(response.Body), nil
}

// request returns a 200 answer whose body is of the type wanted.
func (c *Client) request(ctx context.Context, method, path string, header http.Header, body []byte, wanted string) (*http.Response, error) {
	response, err := c.send(ctx, method, path, header, body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, NewHTTPError(response)
	}
	// Types may have parameters, such as charset.
	if found, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";"); found != wanted {
		response.Body.Close()
		return nil, fmt.Errorf("%w: answer of type %q", ErrProtocol, found)
	}
	return response, nil
}

// send returns an answer of any status.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.address.HTTPOrigin()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := c.http.Do(request)
	if err != nil {
		return nil, WithoutURL(err)
	}
	return response, nil
}

// ExchangeError is of a request that got no HTTP answer.
type ExchangeError struct{ Cause error }

func (e *ExchangeError) Error() string { return e.Cause.Error() }

// Unwrap returns what happened.
func (e *ExchangeError) Unwrap() error { return e.Cause }

// WithoutURL returns an error of net/http without the URL, which the caller
// knows, as an *ExchangeError.
func WithoutURL(err error) error {
	if wrapper, ok := errors.AsType[*url.Error](err); ok {
		return &ExchangeError{wrapper.Err}
	}
	return err
}
