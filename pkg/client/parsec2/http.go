package parsec2

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// RPC sends each command in an HTTP request of its own. It may be used by
// several goroutines, whose requests run in parallel.
type RPC struct {
	client *Client
	path   string
	// identify adds the headers that say who sends body.
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
		header.Set("Timestamp", c.Now().Time().Format("2006-01-02T15:04:05.000Z"))
	})
}

func (c *Client) newRPC(route string, organization parsec.OrganizationID, version parsec.APIVersion, identify func(http.Header, []byte)) *RPC {
	return &RPC{
		client:   c,
		path:     route + url.PathEscape(organization.String()),
		identify: identify,
		version:  version,
	}
}

// RoundTrip posts request. A status other than 200 is a *client.HTTPError.
func (r *RPC) RoundTrip(ctx context.Context, request []byte) ([]byte, error) {
	return r.client.PostMessage(ctx, r.path, r.header(request), request)
}

func (r *RPC) header(body []byte) http.Header {
	header := http.Header{}
	header.Set("Api-Version", r.version.String())
	r.identify(header, body)
	return header
}

// ServerSentEvents is the event stream of HTTP (docs/protocol/events.md §5).
// One goroutine may use it.
type ServerSentEvents struct{ *client.ServerSentEvents }

// ServerSentEvents opens the event stream of an authenticated caller; every
// event committed after its return is in it. A status other than 200 is a
// *client.HTTPError. The stream ends when ctx does.
func (r *RPC) ServerSentEvents(ctx context.Context) (*ServerSentEvents, error) {
	stream, err := r.client.OpenEvents(ctx, r.path+"/events", r.header(nil))
	if err != nil {
		return nil, err
	}
	return &ServerSentEvents{stream}, nil
}

// Next waits for the next event. io.EOF is a stream that the server ended: the
// caller reconnects and resynchronises.
func (s *ServerSentEvents) Next() (protocol.Event, error) {
	message, err := s.ServerSentEvents.Next()
	if err != nil {
		return nil, err
	}
	if err := checkReply(message.Data); err != nil {
		return nil, fmt.Errorf("%w: event stream: %w", client.ErrProtocol, err)
	}
	return decodeEvent(message.Data)
}

// decodeEvent reads an ok reply of events_listen. An event that the client
// does not know breaks the protocol: servers keep them from older clients
// (docs/protocol/events.md §2).
func decodeEvent(reply []byte) (protocol.Event, error) {
	name, found := wire.LookupString(reply, "event")
	if !found {
		return nil, fmt.Errorf("%w: event without name", client.ErrProtocol)
	}
	event := notice.New(name)
	if event == nil {
		return nil, fmt.Errorf("%w: unknown event %q", client.ErrProtocol, name)
	}
	if err := wire.Unmarshal(reply, event); err != nil {
		return nil, fmt.Errorf("%w: event %s: %w", client.ErrProtocol, name, err)
	}
	return event, nil
}
