package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"parsec-server/pkg/parsec"
)

// HTTPError is an HTTP answer other than the one wanted
// (docs/protocol/transport.md §7.2).
type HTTPError struct {
	// Status is the HTTP status.
	Status int
	// APIVersion and SupportedAPIVersions are the headers of those names,
	// empty without.
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

func httpError(response *http.Response) *HTTPError {
	return &HTTPError{
		Status:               response.StatusCode,
		APIVersion:           response.Header.Get("Api-Version"),
		SupportedAPIVersions: response.Header.Get("Supported-Api-Versions"),
	}
}

const messageType = "application/msgpack"

// RPC sends each command in an HTTP request of its own. It may be used by
// several goroutines, whose requests run in parallel.
type RPC struct {
	Commands

	client *Client
	route  string // from the host on
	// identify adds the headers that tell who sends body.
	identify func(header http.Header, body []byte)
	version  parsec.APIVersion
}

// AnonymousRPC calls the commands without identity of API 2 or 3.
func (c *Client) AnonymousRPC(organization parsec.OrganizationID, version parsec.APIVersion) *RPC {
	return c.newRPC("/anonymous/", organization, version, func(http.Header, []byte) {})
}

// InvitedRPC calls the commands of the claimer of an invitation.
func (c *Client) InvitedRPC(invitation parsec.InvitationAddress, version parsec.APIVersion) *RPC {
	return c.newRPC("/invited/", invitation.Organization(), version, func(header http.Header, _ []byte) {
		header.Set("Invitation-Token", parsec.UUID(invitation.Token()).Hex())
	})
}

// AuthenticatedRPC calls commands as device.
func (c *Client) AuthenticatedRPC(device *Device, version parsec.APIVersion) *RPC {
	return c.newRPC("/authenticated/", device.Organization, version, func(header http.Header, body []byte) {
		header.Set("Authorization", "PARSEC-SIGN-ED25519")
		header.Set("Author", base64.StdEncoding.EncodeToString([]byte(device.ID.String())))
		header.Set("Signature", base64.StdEncoding.EncodeToString(ed25519.Sign(device.SigningKey, body)))
		header.Set("Timestamp", c.now().Time().Format("2006-01-02T15:04:05.000Z"))
	})
}

func (c *Client) newRPC(route string, organization parsec.OrganizationID, version parsec.APIVersion, identify func(http.Header, []byte)) *RPC {
	rpc := &RPC{
		client:   c,
		route:    route + url.PathEscape(organization.String()),
		identify: identify,
		version:  version,
	}
	rpc.Commands = Commands{transport: rpc}
	return rpc
}

// RoundTrip posts request. A status other than 200 is an *HTTPError.
func (r *RPC) RoundTrip(ctx context.Context, request []byte) ([]byte, error) {
	response, err := r.do(ctx, http.MethodPost, r.route, request, http.Header{"Content-Type": {messageType}})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if found := response.Header.Get("Content-Type"); found != messageType {
		return nil, fmt.Errorf("%w: reply of type %q", ErrProtocol, found)
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxMessageBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	if len(reply) > maxMessageBytes {
		return nil, fmt.Errorf("%w: reply over %d bytes", ErrProtocol, maxMessageBytes)
	}
	return reply, nil
}

// do returns a 200 answer.
func (r *RPC) do(ctx context.Context, method, target string, body []byte, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.client.address.HTTPOrigin()+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	header.Set("Api-Version", r.version.String())
	r.identify(header, body)
	response, err := r.client.http.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, httpError(response)
	}
	return response, nil
}

// withoutURL drops what the caller knows already.
func withoutURL(err error) error {
	if wrapper, ok := errors.AsType[*url.Error](err); ok {
		return wrapper.Err
	}
	return err
}
