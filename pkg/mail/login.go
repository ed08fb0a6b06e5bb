package mail

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	gosmtp "github.com/wneessen/go-mail/smtp"
)

// mechanism is a way to log in (RFC 4954).
type mechanism struct {
	name string
	// revealing reports whether the server gets the password itself.
	revealing bool
	auth      func(user, password, host string) gosmtp.Auth
}

// mechanisms are in order of preference.
var mechanisms = []mechanism{
	{"SCRAM-SHA-256", false, func(user, password, _ string) gosmtp.Auth { return gosmtp.ScramSHA256Auth(user, password) }},
	{"SCRAM-SHA-1", false, func(user, password, _ string) gosmtp.Auth { return gosmtp.ScramSHA1Auth(user, password) }},
	{"CRAM-MD5", false, func(user, password, _ string) gosmtp.Auth { return gosmtp.CRAMMD5Auth(user, password) }},
	{"PLAIN", true, func(user, password, host string) gosmtp.Auth {
		return gosmtp.PlainAuth("", user, password, host, true)
	}},
	{"LOGIN", true, func(user, password, host string) gosmtp.Auth {
		return gosmtp.LoginAuth(user, password, host, true)
	}},
}

var (
	errNoLogin      = errors.New("the server does not support SMTP AUTH")
	errUnknownLogin = errors.New("the server offers no supported authentication")
)

// login logs in for one e-mail, by one mechanism on each connection: what the
// server offers is not always what it can do. Servers that keep passwords
// hashed, for one, refuse CRAM-MD5 though they offer it.
type login struct {
	user, password, host string
	// first is the mechanism to begin with, if the server offers it.
	first string

	tried    []string
	failures []error
	// more reports whether the server offers another mechanism than those
	// tried.
	more bool
	// running is nil between connections.
	running gosmtp.Auth
	// odd reports whether the server did not follow the mechanism.
	odd, done bool
}

// Start implements smtp.Auth.
func (l *login) Start(server *gosmtp.ServerInfo) (name string, toServer []byte, err error) {
	l.running, l.odd, l.done = nil, false, false
	if len(server.Auth) == 0 {
		return "", nil, errNoLogin
	}
	offered := l.offered(server)
	if len(offered) == 0 {
		return "", nil, fmt.Errorf("%w: %s", errUnknownLogin, strings.Join(server.Auth, " "))
	}
	chosen := offered[0]
	l.more = len(offered) > 1
	l.tried = append(l.tried, chosen.name)
	l.running = chosen.auth(l.user, l.password, l.host)
	return l.running.Start(server)
}

// offered returns the mechanisms to try yet, the best first. In clear the
// password itself is sent only where the operator asked for no encryption and
// the server offers nothing else.
func (l *login) offered(server *gosmtp.ServerInfo) []mechanism {
	var all []mechanism
	for _, m := range mechanisms {
		if slices.ContainsFunc(server.Auth, func(name string) bool { return strings.EqualFold(name, m.name) }) {
			all = append(all, m)
		}
	}
	hidden := slices.ContainsFunc(all, func(m mechanism) bool { return !m.revealing })
	var left []mechanism
	for _, m := range all {
		switch {
		case slices.Contains(l.tried, m.name), m.revealing && !server.TLS && hidden:
		case m.name == l.first:
			left = slices.Insert(left, 0, m)
		default:
			left = append(left, m)
		}
	}
	return left
}

// Next implements smtp.Auth.
func (l *login) Next(fromServer []byte, more bool) (toServer []byte, err error) {
	toServer, err = l.running.Next(fromServer, more)
	l.odd, l.done = err != nil, err == nil && !more
	return toServer, err
}

// again reports whether a connection that failed by err is worth another one:
// the server did not take the mechanism, and offers others. err is then kept
// for explain.
func (l *login) again(err error) bool {
	if l.running == nil || l.done {
		return false
	}
	refusal, refused := errors.AsType[*textproto.Error](err)
	if !l.more || !l.odd && (!refused || refusal.Code == replyClosing) {
		return false
	}
	l.failures = append(l.failures, l.by(err))
	l.running = nil
	return true
}

// explain returns the failures of all mechanisms; err is that of the last one, by which
// all are judged.
func (l *login) explain(err error) error {
	if l.running != nil && !l.done {
		err = l.by(err)
	}
	for _, failure := range slices.Backward(l.failures) {
		err = fmt.Errorf("%s; %w", failure.Error(), err)
	}
	return err
}

func (l *login) by(err error) error {
	return fmt.Errorf("log in by %s: %w", l.tried[len(l.tried)-1], err)
}

// worked returns the mechanism that logged in, "" for none.
func (l *login) worked() string {
	if !l.done {
		return ""
	}
	return l.tried[len(l.tried)-1]
}
