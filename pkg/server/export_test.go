package server

import (
	"context"
	"fmt"
	"maps"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
)

// Limits that tests reach.
const (
	MaxMessageBytes   = maxMessageBytes
	MaxHandshakeBytes = maxHandshakeBytes
	MaxBodyBytes      = maxBodyBytes
	MaxStrangerBytes  = maxStrangerBytes
	MaxHeaderBytes    = maxHeaderBytes
)

// SetChallenge makes every challenge the same. It is called before the first
// connection.
func (s *Server) SetChallenge(challenge []byte) {
	s.newChallenge = func() []byte { return challenge }
}

// SetHandler replaces the rule of a form of a command. It is called before the
// first connection.
func (s *Server) SetHandler(command *rpc.Form, rule func(ctx context.Context) (any, error)) {
	s.handlers = maps.Clone(s.handlers)
	s.handlers[command] = func(ctx context.Context, _ *rules.Rules, _ *caller, _ any) (any, error) { return rule(ctx) }
}

// HasHandler tells whether a form of a command is bound to a rule.
func HasHandler(command *rpc.Form) bool { return handlers[command] != nil }

// PingSilent does what the sweeper does at the instant now.
func (s *Server) PingSilent(now time.Time) {
	s.each(func(c *connection) { c.pingIfSilent(now) })
}

// Look does what the sweeper does at the instant now.
func (s *Server) Look(now time.Time) {
	s.each(func(c *connection) { c.look(now) })
}

// JudgeAnswer is what the handshake makes of an answer.
func (s *Server) JudgeAnswer(ctx context.Context, message, challenge []byte) (kind protocol.Kind, api parsec.APIVersion, err error) {
	c := &connection{server: s, caller: caller{logger: s.logger}}
	err = c.answer(ctx, message, challenge)
	if c.caller.session != nil {
		c.caller.session.Close()
	}
	return c.caller.kind, c.caller.api, err
}

// RefusedWith is the handshake result that an error of JudgeAnswer stands for,
// "" for a failure of the server.
func RefusedWith(err error) protocol.HandshakeResult {
	if refused, ok := err.(*handshakeError); ok { //nolint:errorlint // never wrapped
		return refused.result
	}
	return ""
}

// Decode decodes a message; an unknown command is a refusal.
func Decode(message []byte, kind protocol.Kind, api parsec.APIVersion) (command *rpc.Form, request any, refusal *protocol.Refusal) {
	d, refusal := decode(message, kind, api)
	return d.command, d.request, refusal
}

// Kinds are all the kinds of connection.
func Kinds() []protocol.Kind {
	return []protocol.Kind{protocol.Authenticated, protocol.Invited, protocol.Anonymous, protocol.Administration}
}

// PoolIsClean tells what is wrong with a buffer that went through the pools.
func PoolIsClean(size int) error {
	buffer := getBuffer(size)
	defer putBuffer(buffer)
	if len(*buffer) != 0 || cap(*buffer) < size {
		return fmt.Errorf("a buffer for %d bytes has length %d and capacity %d", size, len(*buffer), cap(*buffer))
	}
	return nil
}

// EncodeReply is how a reply is encoded, with the capacity of its buffer.
func EncodeReply(reply any) (encoded []byte, capacity int, err error) {
	buffer, err := encodeReply(reply)
	if err != nil {
		return nil, 0, err
	}
	return *buffer, cap(*buffer), nil
}
