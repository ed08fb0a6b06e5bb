package parsec2

import (
	"context"
	"reflect"
	"slices"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
)

// Limits that tests reach.
const (
	MaxMessageBytes   = maxMessageBytes
	MaxHandshakeBytes = maxHandshakeBytes
	MaxStrangerBytes  = maxStrangerBytes
)

// SetChallenge makes every challenge the same. It is called before the first
// connection.
func (w *Wing) SetChallenge(challenge []byte) {
	w.newChallenge = func() []byte { return challenge }
}

// SetHandler replaces the rule of a form of a command. It is called before the
// first connection.
func (w *Wing) SetHandler(command *rpc.Form, rule func(ctx context.Context) (any, error)) {
	replace(w.tables.sessions, command, rule)
	replace(w.tables.authors, command, rule)
	replace(w.tables.invitees, command, rule)
	replace(w.tables.anonymous, command, rule)
	replace(w.tables.administrators, command, rule)
}

func replace[Caller any](table rpc.Table[Caller], command *rpc.Form, rule func(ctx context.Context) (any, error)) {
	for _, entry := range table[command.Name] {
		if entry.Form == command {
			decode := entry.Decode
			entry.Decode = func(message []byte, caller Caller) (rpc.Call, error) {
				if _, err := decode(message, caller); err != nil {
					return nil, err
				}
				return stub(rule), nil
			}
		}
	}
}

// stub returns a call that does something else.
type stub func(ctx context.Context) (any, error)

func (s stub) Run(ctx context.Context) (any, error) { return s(ctx) }

// HasHandler reports whether a form of a command is bound to a rule, for each
// kind of callers that it has.
func HasHandler(command *rpc.Form) bool {
	bound := bind(nil, rules.Administration{})
	needsConnection := command == protocol.EventsSubscribe.Form || command == protocol.EventsListen.Form
	return has(bound.sessions, command, protocol.Authenticated) &&
		(needsConnection || has(bound.authors, command, protocol.Authenticated)) &&
		has(bound.invitees, command, protocol.Invited) &&
		has(bound.anonymous, command, protocol.Anonymous) &&
		has(bound.administrators, command, protocol.Administration)
}

// has reports whether the table has the command exactly if it has the kind.
func has[Caller any](table rpc.Table[Caller], command *rpc.Form, kind protocol.Kind) bool {
	found := slices.ContainsFunc(table[command.Name], func(entry *rpc.Entry[Caller]) bool { return entry.Form == command })
	return found == (protocol.Kind(command.Kinds)&kind != 0)
}

// PingSilent does what the sweeper does at the instant now.
func (w *Wing) PingSilent(now time.Time) {
	w.each(func(c *connection) { c.pingIfSilent(now) })
}

// Look does what the sweeper does at the instant now.
func (w *Wing) Look(now time.Time) {
	w.sweep(now)
}

// Running returns how many WebSockets have a command that has not ended.
func (w *Wing) Running() (count int) {
	w.each(func(c *connection) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cancel != nil {
			count++
		}
	})
	return count
}

// JudgeAnswer returns what the handshake makes of an answer.
func (w *Wing) JudgeAnswer(ctx context.Context, message, challenge []byte) (kind protocol.Kind, api parsec.APIVersion, err error) {
	c := &connection{wing: w, caller: caller{logger: w.server.Logger()}}
	err = c.answer(ctx, message, challenge)
	if c.session != nil {
		c.session.Close()
	}
	return c.caller.kind, c.caller.api, err
}

// RefusedWith returns the handshake result that an error of JudgeAnswer stands
// for, "" for a failure of the server.
func RefusedWith(err error) protocol.HandshakeResult {
	if refused, ok := err.(*handshakeError); ok { //nolint:errorlint // never wrapped
		return refused.result
	}
	return ""
}

// Decode decodes a message; an unknown command is a refusal.
func Decode(message []byte, kind protocol.Kind, api parsec.APIVersion) (command *rpc.Form, request any, refusal *protocol.Refusal) {
	tables := bind(nil, rules.Administration{})
	commands := map[protocol.Kind]decoder{
		protocol.Authenticated:  decoderOf(tables.sessions, &rules.Session{}),
		protocol.Invited:        decoderOfClaimer(tables, &rules.Invitee{}),
		protocol.Anonymous:      decoderOf(tables.anonymous, &rules.Anonymous{}),
		protocol.Administration: decoderOf(tables.administrators, organization.Administrator{}),
	}
	t := commands[kind](message, api.Major)
	if t.Err != nil {
		return t.Form, nil, t.Err.(*protocol.Refusal) //nolint:errorlint // never wrapped
	}
	return t.Form, reflect.ValueOf(t.Call).Elem().FieldByName("Request").Addr().Interface(), nil
}

// Kinds returns all the kinds of connection.
func Kinds() []protocol.Kind {
	return []protocol.Kind{protocol.Authenticated, protocol.Invited, protocol.Anonymous, protocol.Administration}
}
