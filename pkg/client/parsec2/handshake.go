package parsec2

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// HandshakeError is a refused handshake. It is final: the official clients do
// not try again either (docs/protocol/transport.md §6.4 and §13).
type HandshakeError struct {
	// Result is such as "bad_identity".
	Result string
	// Help is for people, but for two texts that clients compare.
	Help string
}

func (e *HandshakeError) Error() string {
	if e.Help == "" {
		return "handshake refused: " + e.Result
	}
	return fmt.Sprintf("handshake refused: %s: %s", e.Result, e.Help)
}

// VersionError is a server that knows no API major of the client.
type VersionError struct{ Client, Server []parsec.APIVersion }

func (e *VersionError) Error() string {
	return fmt.Sprintf("no common API version: the client knows %v, the server %v", e.Client, e.Server)
}

// ClockError is a server whose clock is too far from the client's to be worth
// an answer (docs/protocol/transport.md §6.1).
type ClockError struct{ Client, Server parsec.DateTime }

func (e *ClockError) Error() string {
	return fmt.Sprintf("the clocks differ too much: %s here, %s at the server", e.Client, e.Server)
}

var (
	latestVersions = []parsec.APIVersion{{Major: 2, Minor: 10}, {Major: 3, Minor: 4}}
	firstVersions  = []parsec.APIVersion{{Major: 1, Minor: 3}}
)

// DialAuthenticated connects as device. Of versions, the client's own, the
// highest whose major the server knows is announced; none means 2.10 and 3.4.
//
// A refusal is a *HandshakeError; no common major a *VersionError.
func (c *Client) DialAuthenticated(ctx context.Context, device *Device, versions ...parsec.APIVersion) (*Conn, error) {
	if len(versions) == 0 {
		versions = latestVersions
	}
	return c.dial(ctx, versions, func(version parsec.APIVersion, challenge []byte) ([]wire.Field, error) {
		kind := "AUTHENTICATED"
		if version.Major == 1 {
			kind = "authenticated"
		}
		signed, err := challengeAnswer(version, challenge)
		if err != nil {
			return nil, err
		}
		return []wire.Field{
			{Key: "type", Value: kind},
			{Key: "organization_id", Value: device.Organization},
			{Key: "device_id", Value: device.ID},
			{Key: "rvk", Value: device.RootVerifyKey},
			{Key: "answer", Value: append(ed25519.Sign(device.SigningKey, signed), signed...)},
		}, nil
	})
}

// challengeAnswer returns the message to sign, whose form depends on the
// version (docs/protocol/transport.md §6.2).
func challengeAnswer(version parsec.APIVersion, challenge []byte) ([]byte, error) {
	if !parsec.SignedAnswers.In(version) {
		return challenge, nil
	}
	return wire.AppendMap(nil, []wire.Field{
		{Key: "type", Value: "signed_answer"},
		{Key: "answer", Value: challenge},
	}, nil)
}

// DialInvited connects with an invitation, in API 2 or 3. Versions and errors
// are as for DialAuthenticated.
func (c *Client) DialInvited(ctx context.Context, invitation parsec.InvitationAddress, versions ...parsec.APIVersion) (*Conn, error) {
	return c.dialMajors(ctx, protocol.V2V3, latestVersions, versions, func(parsec.APIVersion, []byte) ([]wire.Field, error) {
		return []wire.Field{
			{Key: "type", Value: "INVITED"},
			{Key: "organization_id", Value: invitation.Organization()},
			{Key: "invitation_type", Value: string(invitation.Type())},
			{Key: "token", Value: invitation.Token()},
		}, nil
	})
}

// DialAnonymous connects without identity, in API 1; no versions means 1.3.
// rootVerifyKey is nil when it is not known. Errors are as for
// DialAuthenticated.
func (c *Client) DialAnonymous(ctx context.Context, organization parsec.OrganizationID, rootVerifyKey *parsec.VerifyKey, versions ...parsec.APIVersion) (*Conn, error) {
	return c.dialMajors(ctx, protocol.V1, firstVersions, versions, func(parsec.APIVersion, []byte) ([]wire.Field, error) {
		fields := []wire.Field{
			{Key: "type", Value: "anonymous"},
			{Key: "organization_id", Value: organization},
			{Key: "rvk", Value: nil},
		}
		if rootVerifyKey != nil {
			fields[2].Value = *rootVerifyKey
		}
		return fields, nil
	})
}

// DialAdministration connects with the administration token, in API 1; no
// versions means 1.3. Errors are as for DialAuthenticated.
func (c *Client) DialAdministration(ctx context.Context, token string, versions ...parsec.APIVersion) (*Conn, error) {
	return c.dialMajors(ctx, protocol.V1, firstVersions, versions, func(parsec.APIVersion, []byte) ([]wire.Field, error) {
		return []wire.Field{
			{Key: "type", Value: "administration"},
			{Key: "token", Value: token},
		}, nil
	})
}

type challengeFrame struct {
	Handshake string              `wire:"handshake"`
	Challenge []byte              `wire:"challenge"`
	Versions  []parsec.APIVersion `wire:"supported_api_versions"`
	// Servers before 2.7 do not send the following.
	EarlyOffset *float64         `wire:"ballpark_client_early_offset,optional"`
	LateOffset  *float64         `wire:"ballpark_client_late_offset,optional"`
	Timestamp   *parsec.DateTime `wire:"backend_timestamp,optional"`
}

type resultFrame struct {
	Handshake string `wire:"handshake"`
	Result    string `wire:"result"`
	Help      string `wire:"help,nullable,optional"`
}

// answerFunc returns the fields of an answer that depend on who connects.
type answerFunc func(version parsec.APIVersion, challenge []byte) ([]wire.Field, error)

// dialMajors dials with versions, those by default if there are none. All must
// be of majors.
func (c *Client) dialMajors(ctx context.Context, majors rpc.Majors, byDefault, versions []parsec.APIVersion, answer answerFunc) (*Conn, error) {
	if len(versions) == 0 {
		versions = byDefault
	}
	for _, version := range versions {
		if !majors.Has(version.Major) {
			return nil, fmt.Errorf("API %s has no such connection", version)
		}
	}
	return c.dial(ctx, versions, answer)
}

// dial connects and goes through the handshake
// (docs/protocol/transport.md §6).
func (c *Client) dial(ctx context.Context, versions []parsec.APIVersion, answer answerFunc) (*Conn, error) {
	conn, err := c.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.shakeHands(ctx, conn, versions, answer); err != nil {
		conn.CloseNow()
		return nil, err
	}
	return conn, nil
}

func (c *Client) shakeHands(ctx context.Context, conn *Conn, versions []parsec.APIVersion, answer answerFunc) error {
	var challenge challengeFrame
	if err := receiveFrame(ctx, conn, &challenge, &challenge.Handshake, "challenge"); err != nil {
		return err
	}
	var common bool
	if conn.client, conn.server, common = negotiate(versions, challenge.Versions); !common {
		return &VersionError{Client: versions, Server: challenge.Versions}
	}
	if parsec.BadTimestamps.In(conn.client) {
		if err := checkClock(c.Now(), &challenge); err != nil {
			return err
		}
	}
	fields, err := answer(conn.client, challenge.Challenge)
	if err != nil {
		return err
	}
	message, err := wire.AppendMap(nil, append([]wire.Field{
		{Key: "handshake", Value: "answer"},
		{Key: "client_api_version", Value: conn.client},
	}, fields...), nil)
	if err != nil {
		return err
	}
	if err := conn.Send(ctx, message); err != nil {
		return err
	}
	var result resultFrame
	if err := receiveFrame(ctx, conn, &result, &result.Handshake, "result"); err != nil {
		return err
	}
	if result.Result != "ok" {
		return &HandshakeError{Result: result.Result, Help: result.Help}
	}
	return nil
}

// receiveFrame decodes the next message into frame. Its step must be want.
func receiveFrame(ctx context.Context, conn *Conn, frame any, step *string, want string) error {
	message, err := conn.Receive(ctx)
	if err != nil {
		return err
	}
	err = wire.Scan(message)
	if err == nil {
		err = wire.Unmarshal(message, frame)
	}
	if err == nil && *step != want {
		err = errors.New("it is " + *step)
	}
	if err != nil {
		return fmt.Errorf("%w: handshake %s: %w", client.ErrProtocol, want, err)
	}
	return nil
}

// negotiate returns the highest of the client's own versions whose major the
// server knows, and the server's version of that major (docs/protocol/transport.md §6.3).
func negotiate(own, known []parsec.APIVersion) (client, server parsec.APIVersion, ok bool) {
	own = slices.SortedFunc(slices.Values(own), func(a, b parsec.APIVersion) int {
		return cmp.Or(cmp.Compare(b.Major, a.Major), cmp.Compare(b.Minor, a.Minor))
	})
	for _, client := range own {
		for _, server := range known {
			if server.Major == client.Major {
				return client, server, true
			}
		}
	}
	return parsec.APIVersion{}, parsec.APIVersion{}, false
}

// checkClock returns an error when the clocks differ by more than 0.8 of the
// offsets, like clients since 2.7.
func checkClock(now parsec.DateTime, challenge *challengeFrame) error {
	if challenge.Timestamp == nil || challenge.EarlyOffset == nil || challenge.LateOffset == nil {
		return nil
	}
	const part = 0.8
	difference := challenge.Timestamp.Sub(now).Seconds()
	if -part**challenge.EarlyOffset < difference && difference < part**challenge.LateOffset {
		return nil
	}
	return &ClockError{Client: now, Server: *challenge.Timestamp}
}
