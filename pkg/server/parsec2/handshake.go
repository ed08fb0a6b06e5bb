package parsec2

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// handshakeError is a refused handshake: what the client is told.
type handshakeError struct {
	result protocol.HandshakeResult
	help   string
}

func (e *handshakeError) Error() string { return fmt.Sprintf("%s: %s", e.result, e.help) }

func badProtocol(help string) *handshakeError {
	return &handshakeError{protocol.HandshakeBadProtocol, help}
}

// handshake runs docs/protocol/transport.md §6 and reports whether the
// connection may go on. A failure of the server itself is never told as a
// refusal, which clients take as final: the connection just ends.
func (c *connection) handshake() bool {
	c.socket.SetReadLimit(maxHandshakeBytes)
	if err := c.guard.SetReadDeadline(time.Now().Add(c.wing.options.HandshakeTimeout)); err != nil {
		return false
	}
	challenge := c.wing.newChallenge()
	if !c.sendHandshake(protocol.NewChallenge(challenge, c.wing.server.Now())) {
		return false
	}
	kind, reader, err := c.socket.Reader(context.Background())
	if err != nil {
		return false
	}
	held := c.wing.server.StrangersShare(c.address)
	defer held.Release()
	message, err := server.ReadMessage(reader, held.Grow)
	if err != nil {
		if errors.Is(err, server.ErrNoRoom) {
			c.close(websocket.StatusTryAgainLater)
		}
		return false
	}
	defer server.PutBuffer(message)
	err = badProtocol("Invalid params")
	if kind == websocket.MessageBinary {
		ctx, cancel := context.WithTimeout(c.wing.server.Commands(), c.wing.options.HandshakeTimeout)
		defer cancel()
		err = c.answer(ctx, *message, challenge)
	}
	c.judged(err)
	var refused *handshakeError
	switch {
	case err == nil:
		c.wing.server.Observer().HandshakeEnded(string(protocol.HandshakeOK))
		if c.guard.SetReadDeadline(time.Time{}) != nil {
			return false
		}
		return c.sendHandshake(protocol.HandshakeResultFrame{Handshake: "result", Result: protocol.HandshakeOK})
	case errors.As(err, &refused):
		c.wing.server.Observer().HandshakeEnded(string(refused.result))
		c.caller.logger.Info("handshake refused", "result", refused.result, "help", refused.help)
		if c.sendHandshake(protocol.HandshakeResultFrame{Handshake: "result", Result: refused.result, Help: &refused.help}) {
			c.close(websocket.StatusNormalClosure)
		}
	default:
		c.wing.server.Observer().HandshakeEnded("")
		c.wing.server.LogFailure(context.Background(), c.caller.logger, "handshake failed", err)
		c.close(websocket.StatusInternalError)
	}
	return false
}

func newChallenge() []byte {
	challenge := make([]byte, protocol.ChallengeBytes)
	_, _ = rand.Read(challenge) // never fails
	return challenge
}

func (c *connection) sendHandshake(frame any) bool {
	message, err := wire.Marshal(frame)
	if err == nil {
		err = c.socket.Write(context.Background(), websocket.MessageBinary, message)
	}
	if err != nil {
		c.caller.logger.Debug("handshake not delivered", "error", err)
	}
	return err == nil
}

// answer checks an answer in the order of docs/protocol/transport.md §6.5 and
// fills the caller.
func (c *connection) answer(ctx context.Context, message, challenge []byte) error {
	if wire.Scan(message) != nil || !wire.IsMap(message) {
		return badProtocol("Invalid params")
	}
	var header protocol.AnswerHeader
	if err := wire.Unmarshal(message, &header); err != nil || header.Handshake != "answer" {
		return badProtocol("Invalid params")
	}
	api, known := parsec.Negotiate(header.ClientAPIVersion)
	if !known {
		return badProtocol(fmt.Sprintf("No overlap between client API versions {%s} and server API versions %s",
			header.ClientAPIVersion, parsec.SupportedAPIVersions))
	}
	c.caller.api = header.ClientAPIVersion
	c.caller.kind = header.AnswerType()
	c.identity = append(c.identity, "api", header.ClientAPIVersion.String(), "server_api", api.String(), "kind", c.caller.kind.String())
	var err error
	switch c.caller.kind {
	case protocol.Authenticated:
		err = c.answerAuthenticated(ctx, message, challenge)
	case protocol.Invited:
		err = c.answerInvited(ctx, message)
	case protocol.Anonymous:
		err = c.answerAnonymous(ctx, message)
	case protocol.Administration:
		err = c.answerAdministration(message)
	default:
		return badProtocol("Invalid params")
	}
	return toldInHandshake(err)
}

func (c *connection) answerAuthenticated(ctx context.Context, message, challenge []byte) error {
	var answer protocol.AuthenticatedAnswer
	if err := wire.Unmarshal(message, &answer); err != nil {
		return badProtocol("Invalid params")
	}
	c.identify("organization", answer.OrganizationID.String(), "device", answer.DeviceID.String())
	session, err := c.wing.rules.Authenticate(ctx, rules.Answer{
		API:           c.caller.api,
		Organization:  answer.OrganizationID,
		Device:        answer.DeviceID,
		RootVerifyKey: answer.RootVerifyKey,
		Signed:        answer.Answer,
		Challenge:     challenge,
	}, c.over)
	if err != nil {
		return err
	}
	c.session = session
	c.caller.decode = decoderOf(c.wing.tables.sessions, session)
	c.caller.account = accountOf(&session.Author)
	return nil
}

func (c *connection) answerInvited(ctx context.Context, message []byte) error {
	var answer protocol.InvitedAnswer
	if err := wire.Unmarshal(message, &answer); err != nil {
		return badProtocol("Invalid params")
	}
	c.identify("organization", answer.OrganizationID.String())
	session, err := c.wing.rules.ConnectInvited(ctx, rules.Invitee{
		Organization: answer.OrganizationID,
		Token:        answer.Token,
		Type:         answer.InvitationType,
		API:          c.caller.api,
	}, c.over, c.finished)
	if err != nil {
		return err
	}
	c.session = session
	c.caller.decode = decoderOfClaimer(c.wing.tables, &session.Invitee)
	return nil
}

func (c *connection) answerAnonymous(ctx context.Context, message []byte) error {
	var answer protocol.AnonymousAnswer
	if err := wire.Unmarshal(message, &answer); err != nil {
		return badProtocol("Invalid params")
	}
	anonymous := rules.Anonymous{Organization: answer.OrganizationID, API: c.caller.api}
	c.identify("organization", answer.OrganizationID.String())
	session, err := c.wing.rules.ConnectAnonymous(ctx, anonymous, answer.RootVerifyKey, c.over)
	if err != nil {
		return err
	}
	c.session = session
	c.caller.decode = decoderOf(c.wing.tables.anonymous, &anonymous)
	return nil
}

func (c *connection) answerAdministration(message []byte) error {
	var answer protocol.AdministrationAnswer
	if err := wire.Unmarshal(message, &answer); err != nil {
		return badProtocol("Invalid params")
	}
	c.identify()
	administrator, err := c.wing.organizations.Connect(c.address, answer.Token)
	if err == nil && administrator.ReadOnly {
		err = organization.ErrReadOnly // Which of the commands only read is of no interest any more.
	}
	c.caller.decode = decoderOf(c.wing.tables.administrators, administrator)
	return err
}

// toldInHandshake returns the result of docs/protocol/transport.md §6.4 for a
// denial. The two texts about invitations are compared to the letter by
// clients.
func toldInHandshake(err error) error {
	if _, hasty := errors.AsType[*organization.TooManyAttemptsError](err); hasty {
		return &handshakeError{protocol.HandshakeBadAdminToken, "Too many invalid administration tokens, try again later"}
	}
	if errors.Is(err, organization.ErrReadOnly) {
		return &handshakeError{protocol.HandshakeBadAdminToken, "This administration token may only read, by REST"}
	}
	if errors.Is(err, organization.ErrBadToken) {
		return &handshakeError{protocol.HandshakeBadAdminToken, "Invalid administration token"}
	}
	denial, denied := errors.AsType[rules.Denial](err)
	if !denied {
		return err
	}
	if told, known := deniedInHandshake[denial]; known {
		return told
	}
	return &handshakeError{protocol.HandshakeBadIdentity, "Invalid handshake information"}
}

var deniedInHandshake = map[rules.Denial]*handshakeError{
	rules.OtherGeneration:     badProtocol("This organization is of Parsec 3: install the Parsec application, version 3.3 or later"),
	rules.RootKeyMismatch:     {protocol.HandshakeRVKMismatch, "Root verify key for organization differs between client and server"},
	rules.OrganizationExpired: {protocol.HandshakeOrganizationExpired, "Trial organization has expired"},
	rules.UserRevoked:         {protocol.HandshakeRevokedDevice, "Device has been revoked"},
	rules.UserFrozen:          {protocol.HandshakeFrozenUser, "User has been frozen by the server administrator"},
	rules.BadSignature:        badProtocol("Invalid answer signature"),
	rules.BadChallenge:        badProtocol("Invalid returned challenge"),
	rules.UnknownInvitation:   {protocol.HandshakeBadIdentity, "Invalid handshake: Invitation not found"},
	rules.DeletedInvitation:   {protocol.HandshakeBadIdentity, "Invalid handshake: Invitation already deleted"},
}
