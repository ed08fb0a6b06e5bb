package parsec3

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// LatestVersion is what the newest official clients announce.
var LatestVersion = parsec.APIVersion{Major: 5, Minor: 5}

// Client reaches one server. It may be used by several goroutines.
type Client struct {
	*client.Client
	version parsec.APIVersion
}

// New returns a client of the server at address that announces version. It sends
// nothing yet.
func New(address parsec.ServerAddress, version parsec.APIVersion, options client.Options) *Client {
	return &Client{client.New(address, options), version}
}

// RPC sends each command in an HTTP request of its own. It may be used by several
// goroutines, whose requests run in parallel.
type RPC struct {
	client *Client
	path   string
	// authorize returns the Authorization header of an instant; nil for a family
	// without.
	authorize func(now parsec.DateTime) string
}

// Anonymous calls the commands without identity of an organization.
func (c *Client) Anonymous(organization parsec.OrganizationID) *RPC {
	return &RPC{client: c, path: "/anonymous/" + url.PathEscape(organization.String())}
}

// Server calls the commands that need no organization.
func (c *Client) Server() *RPC { return &RPC{client: c, path: "/anonymous_server"} }

// Authenticated calls commands as device.
func (c *Client) Authenticated(device *Device) *RPC {
	return &RPC{client: c, path: "/authenticated/" + url.PathEscape(device.Organization.String()), authorize: device.Token}
}

// Invited calls the commands of the holder of an invitation.
func (c *Client) Invited(organization parsec.OrganizationID, token parsec3.AccessToken) *RPC {
	return &RPC{
		client: c, path: "/invited/" + url.PathEscape(organization.String()),
		authorize: func(parsec.DateTime) string { return "Bearer " + token.String() },
	}
}

// TOS calls the commands about terms of service as device.
func (c *Client) TOS(device *Device) *RPC {
	authenticated := c.Authenticated(device)
	authenticated.path += "/tos"
	return authenticated
}

// AuthenticatedAccount calls the commands of the account that method is of.
func (c *Client) AuthenticatedAccount(method AuthMethod) *RPC {
	return &RPC{client: c, path: "/authenticated_account", authorize: method.Token}
}

// AuthMethod is a way to authenticate as an account.
type AuthMethod struct {
	ID     parsec.UUID
	MACKey [32]byte
}

// Token returns the token of an account at an instant, in the form of the
// Authorization header (docs/protocol/v5/transport.md §4.3).
func (m AuthMethod) Token(now parsec.DateTime) string {
	text := "PARSEC-MAC-BLAKE2B." + m.ID.Hex() + "." + strconv.FormatInt(now.Time().Unix(), 10)
	mac, err := blake2b.New512(m.MACKey[:])
	if err != nil {
		panic(err) // the key has a size that it may have
	}
	mac.Write([]byte(text))
	return "Bearer " + text + "." + base64.URLEncoding.EncodeToString(mac.Sum(nil))
}

// Token returns the token of a device at an instant, in the form of the
// Authorization header (docs/protocol/v5/transport.md §4.2).
func (d *Device) Token(now parsec.DateTime) string {
	signed := "PARSEC-SIGN-ED25519." + d.ID.String() + "." + strconv.FormatInt(now.Time().Unix(), 10)
	signature := ed25519.Sign(d.SigningKey, []byte(signed))
	return "Bearer " + signed + "." + base64.URLEncoding.EncodeToString(signature)
}

func (r *RPC) header() http.Header {
	header := http.Header{}
	header.Set("Api-Version", r.client.version.String())
	if r.authorize != nil {
		header.Set("Authorization", r.authorize(r.client.Now()))
	}
	return header
}

// RoundTrip posts request, a msgpack map, and returns the reply. A status other
// than 200 is a *client.HTTPError.
func (r *RPC) RoundTrip(ctx context.Context, request []byte) ([]byte, error) {
	return r.client.PostMessage(ctx, r.path, r.header(), request)
}

// Call sends command with the fields of request and returns the ok reply. Any other
// status is a *protocol.Refusal.
func Call[Request, Reply any](ctx context.Context, to *RPC, command *rpc.Command[Request, Reply], request *Request) (*Reply, error) {
	message, err := wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: command.Name}}, request)
	if err != nil {
		return nil, err
	}
	message, err = to.RoundTrip(ctx, message)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command.Name, err)
	}
	if err := checkReply(command.Name, message); err != nil {
		if _, refused := errors.AsType[*protocol.Refusal](err); refused {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: %w", client.ErrProtocol, command.Name, err)
	}
	reply := new(Reply)
	if err := wire.Microseconds.Unmarshal(message, reply); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", client.ErrProtocol, command.Name, err)
	}
	return reply, nil
}

// checkReply returns nil for an ok reply, a *protocol.Refusal for another status,
// and any other error for what is no reply, or lacks a field of its status.
func checkReply(command string, reply []byte) error {
	if err := wire.Microseconds.ScanReply(reply); err != nil {
		return err
	}
	status, found := wire.LookupString(reply, "status")
	if !found {
		return errors.New("the reply has no status")
	}
	if protocol.Status(status) == protocol.StatusOK {
		return nil
	}
	refusal := &protocol.Refusal{Status: protocol.Status(status), Details: detailsOf(command, protocol.Status(status))}
	if refusal.Details == nil {
		return refusal
	}
	if err := wire.Microseconds.Unmarshal(reply, refusal.Details); err != nil {
		return fmt.Errorf("status %s: %w", status, err)
	}
	return refusal
}

// detailsOf allocates the fields that a status comes with, nil for none.
func detailsOf(command string, status protocol.Status) any {
	switch status {
	case protocol.StatusTimestampOutOfBallpark:
		return new(protocol.OutOfBallparkDetails)
	case protocol.StatusRequireGreaterTimestamp:
		return new(protocol.RequireGreaterTimestampDetails)
	case protocol.StatusUserAlreadyRevoked, protocol.StatusRevokedRecipient:
		return new(protocol.LastCommonDetails)
	case protocol.StatusBadKeyIndex:
		if command == protocol.RealmGetKeysBundle.Name {
			return nil
		}
		return new(protocol.LastRealmDetails)
	case protocol.StatusRealmAlreadyExists, protocol.StatusRoleAlreadyGranted, protocol.StatusRecipientAlreadyUnshared,
		protocol.StatusActiveOwnerAlreadyExists, protocol.StatusInitialNameAlreadyExists, protocol.StatusParticipantMismatch:
		return new(protocol.LastRealmDetails)
	case protocol.StatusSequesterServiceMismatch:
		return new(protocol.LastSequesterDetails)
	case protocol.StatusShamirRecoveryAlreadyExists, protocol.StatusShamirRecoveryAlreadyDeleted:
		return new(protocol.LastShamirDetails)
	case protocol.StatusRejectedBySequesterService:
		return new(protocol.RejectedBySequesterDetails)
	case protocol.StatusGreetingAttemptCancelled, protocol.StatusGreetingAttemptAlreadyCancelled:
		return new(protocol.AttemptCancelledDetails)
	case protocol.StatusEmailAlreadySubmitted:
		return new(protocol.EmailAlreadySubmittedDetails)
	case protocol.StatusEmailSendingRateLimited:
		return new(protocol.RateLimitedDetails)
	case protocol.StatusThrottled:
		return new(protocol.ThrottledDetails)
	case protocol.StatusSequesterServiceUnavailable:
		return new(protocol.SequesterUnavailableDetails)
	default:
		return nil
	}
}
