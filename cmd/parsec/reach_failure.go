package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// probeTimeout bounds what is asked of a server that has failed.
const probeTimeout = 3 * time.Second

// explain puts in words why a server did not do what an administrator asked for.
func (a administration) explain(ctx context.Context, err error) error {
	if _, explained := errors.AsType[*sentence](err); explained {
		return err
	}
	at := hostPort(a.server)
	if errors.Is(err, client.ErrNoSuchTime) {
		return say(err, "There was no organization %s on %s at that date.", a.organization, at)
	}
	if refusal, is := errors.AsType[*client.AdministrationError](err); is {
		return a.explainRefusal(at, err, refusal)
	}
	if refusal, is := errors.AsType[*parsec2.HandshakeError](err); is && refusal.Result == "bad_admin_token" {
		if strings.Contains(refusal.Help, mayOnlyRead) {
			return say(err, "The administration token (from the %s) may only read, which --websocket cannot: leave that out, or give another token.", strings.TrimPrefix(a.tokenFrom, "the "))
		}
		return a.wrongToken(at, err)
	}
	if refusal, is := errors.AsType[*protocol.Refusal](err); is {
		return a.explainCode(at, err, string(refusal.Status), refusal.Reason)
	}
	return explainServer(ctx, a.server, err, addrWords)
}

// wordsOf are how a sentence names what says where a server is.
type wordsOf struct {
	// give is what to do to name another server, correct what is to be corrected.
	give, correct string
}

var (
	addrWords = wordsOf{"give the address of yours by --addr or PARSEC_ADDR", "--addr, or PARSEC_ADDR"}
	linkWords = wordsOf{"take a link of yours", "the link"}
)

func (a administration) wrongToken(at string, err error) error {
	return say(err, "The server at %s refused the administration token (from the %s). Give the token that it runs with, by --administration-token or PARSEC_ADMINISTRATION_TOKEN.",
		at, strings.TrimPrefix(a.tokenFrom, "the "))
}

// mayOnlyRead is what servers say, by REST or WebSocket, of a token that may.
const mayOnlyRead = "token may only read"

func (a administration) explainRefusal(at string, err error, refusal *client.AdministrationError) error {
	switch {
	case refusal.Status == http.StatusForbidden && strings.Contains(refusal.Reason, mayOnlyRead):
		return say(err, "The administration token (from the %s) may only read, and %s was asked to change something. Give one that may, by --administration-token or PARSEC_ADMINISTRATION_TOKEN.",
			strings.TrimPrefix(a.tokenFrom, "the "), at)
	case refusal.Status == http.StatusForbidden && refusal.Reason == "" && (refusal.Code == "not_allowed" || refusal.Code == "Bad authorization token"):
		return a.wrongToken(at, err)
	case refusal.Status == http.StatusTooManyRequests:
		return say(err, "The server at %s has got too many wrong administration tokens from here. Wait a minute, and give the right one.", at)
	}
	return a.explainCode(at, err, refusal.Code, refusal.Reason)
}

// explainCode is for the codes of organizations of API 1 to 3, and the sentences of those
// of Parsec 3 (docs/protocol/v5/administration.md §1.6).
func (a administration) explainCode(at string, err error, code, reason string) error {
	switch code {
	case "not_found", "Organization not found":
		return say(err, "There is no organization %s on %s.", a.organization, at)
	case "Not an organization of Parsec 3":
		return say(err, "The organization %s on %s is not one of Parsec 3, which this command is for.", a.organization, at)
	case "user_not_found", "User not found":
		return say(err, "There is no such user in the organization %s on %s, or none that is active. `parsec organization list-users %[1]s` lists them.", a.organization, at)
	case "User has been revoked":
		return say(err, "This user of the organization %s on %s is revoked.", a.organization, at)
	case codeBeingDeleted, "Organization is being deleted":
		return say(err, "The organization %s on %s is being deleted. `parsec organization delete %[1]s` shows how far it is; its name is free then.", a.organization, at)
	case "not_expired", "Organization is not expired":
		return say(err, "The organization %s on %s is not expired, so it is not deleted. Close it to its users first: `parsec organization expire %[1]s`.", a.organization, at)
	case "already_bootstrapped", "Organization is bootstrapped already":
		return say(err, "The organization %s on %s is bootstrapped already, so it has no link any more.", a.organization, at)
	case "already_exists", "Organization already exists":
		return say(err, "There is an organization %s on %s already, and it is bootstrapped.", a.organization, at)
	}
	if reason != "" {
		code += ": " + reason
	}
	return say(err, "The server at %s refused: %s.", at, strings.TrimSuffix(code, "."))
}

// hostPort names a server in a sentence.
func hostPort(address parsec.ServerAddress) string {
	_, at, _ := strings.Cut(address.HTTPOrigin(), "://")
	return at
}

// explainServer puts in words why a server is not reached, or does not answer as one.
func explainServer(ctx context.Context, server parsec.ServerAddress, err error, words wordsOf) error {
	at := hostPort(server)
	answer, answered := errors.AsType[*client.HTTPError](err)
	_, verified := errors.AsType[*tls.CertificateVerificationError](err)
	misnamed, _ := errors.AsType[x509.HostnameError](err)
	_, inClear := errors.AsType[tls.RecordHeaderError](err)
	resolving, _ := errors.AsType[*net.DNSError](err)
	switch {
	case answered:
		return explainAnswer(ctx, server, err, answer, words)
	case inClear || strings.Contains(err.Error(), http.ErrSchemeMismatch.Error()):
		return say(err, "%s speaks in clear, without TLS: add ?no_ssl=true to its address.", at)
	case errors.Is(err, errOtherCertificate):
		return say(err, "Another server answers at %s than that of the settings here: %s. Give the address of yours by --addr.", at, errOtherCertificate)
	case misnamed.Certificate != nil:
		return say(err, "The certificate of %s is for another name: %s. Name the server as its certificate does, in %s.", at, misnamed, words.correct)
	case verified:
		return say(err, "The certificate of %s is not trusted: %s. The variable SSL_CERT_FILE may name a file with the authority that signed it.", at, lastCause(err))
	case resolving != nil:
		return say(err, "There is no host %s: %s. Correct %s.", resolving.Name, resolving.Err, words.correct)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(err, "No server answers at %s: connection refused. Start it, or %s.", at, words.give)
	case errors.Is(err, context.DeadlineExceeded):
		if why := unready(ctx, server); why != "" {
			return say(err, "%s", why)
		}
		return say(err, "%s did not answer within %s. Look at the server and at the network, or correct %s.", at, callTimeout, words.correct)
	}
	_, dialing := errors.AsType[*net.OpError](err)
	_, unanswered := errors.AsType[*client.ExchangeError](err)
	switch {
	case dialing:
		return say(err, "The connection to %s failed: %s. If it speaks otherwise, add or leave out ?no_ssl=true in %s.", at, lastCause(err), words.correct)
	case errors.Is(err, io.EOF) && unanswered:
		return say(err, "What answers at %s ended the connection without a word: it is no Parsec server, or is being stopped. Look at it, or correct %s.", at, words.correct)
	case unanswered, errors.Is(err, client.ErrProtocol):
		return say(err, "What answers at %s does not speak as a Parsec server: %s. Correct %s.", at, strings.TrimPrefix(lastCause(err), client.ErrProtocol.Error()+": "), words.correct)
	}
	return err
}

func explainAnswer(ctx context.Context, server parsec.ServerAddress, err error, answer *client.HTTPError, words wordsOf) error {
	at := hostPort(server)
	switch {
	case answer.Status == http.StatusBadRequest && !server.TLS() && speaksTLS(ctx, at):
		return say(err, "%s speaks TLS: leave ?no_ssl=true out of its address.", at)
	case answer.Status >= http.StatusMultipleChoices && answer.Status < http.StatusBadRequest:
		return say(err, "%s leads elsewhere (HTTP %d). Write the address that it leads to in %s; if that is https, without ?no_ssl=true.", at, answer.Status, words.correct)
	case answer.Status == http.StatusNotFound:
		return say(err, "What answers at %s has no administration: it is no Parsec server, or one before 2.5 (try --websocket), or a proxy keeps /administration back.", at)
	case answer.Status >= http.StatusInternalServerError:
		if why := unready(ctx, server); why != "" {
			return say(err, "%s", why)
		}
	}
	return say(err, "%s answers %s.", at, err)
}

// unready returns what a server that does not do what it should says of itself, "" for
// nothing.
func unready(ctx context.Context, server parsec.ServerAddress) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	_, err := askHealth(ctx, server.HTTPOrigin()+"/readyz")
	answer, is := errors.AsType[*unhealthyError](err)
	switch {
	case !is || answer.status != http.StatusServiceUnavailable:
		return ""
	case answer.words == "shutting down":
		return fmt.Sprintf("The server at %s is being stopped. Try again when it is back.", hostPort(server))
	default:
		return fmt.Sprintf("The server at %s is up, its database does not answer. Its log says why.", hostPort(server))
	}
}

// speaksTLS reports whether TLS is spoken at an address.
func speaksTLS(ctx context.Context, at string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // nothing is sent
	conn, err := dialer.DialContext(ctx, "tcp", withPort(at, "80"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
