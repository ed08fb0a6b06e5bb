package mail

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// patience bounds a test: whatever it waits for comes in milliseconds.
const patience = time.Minute

const token = "d6f7b1c02a5e4f80a1b2c3d4e5f60718"

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// discard is for tests that read no log.
var discard = slog.New(slog.DiscardHandler)

var address = must(parsec.ParseServerAddress("parsec://parsec.example.com"))

func newMailer(settings config.Email) *Mailer { return New(optionsOf(settings), address, discard) }

func optionsOf(settings config.Email) Options {
	options := Options{
		Host: settings.Host, Port: settings.Port, User: settings.User, Password: settings.CurrentPassword,
		Encryption: Encryption(settings.Encryption()), Sender: settings.Sender, Language: settings.Language,
	}
	if options.Host == config.Mocked {
		options.Host = ""
	}
	return options
}

// trusting sends through a server on the loopback.
func trusting(server *testkit.SMTP, settings config.Email) *Mailer {
	mailer := newMailer(settings)
	carrier := mailer.carrier.(*smtpServer)
	carrier.roots = server.Roots()
	return mailer
}

// invitation is one of alice to bob.
func invitation(of parsec.InvitationType) Invitation {
	organization := must(parsec.ParseOrganizationID("CoolOrg"))
	mail := Invitation{
		Organization: organization, Type: of,
		Link:        address.InvitationAddress(organization, of, parsec.InvitationToken(must(parsec.ParseUUID(token)))).HTTPRedirection(),
		To:          "bob@example.com",
		GreeterName: "Alice Martin",
		Pages:       JoiningPagesOf(parsec.Clients{}, parsec.Parsec2Scheme),
	}
	if of != parsec.InvitationDevice {
		mail.ReplyTo = must(parsec.ParseHumanHandle("alice@example.com", "Alice Martin"))
	}
	return mail
}

func wantSent(t *testing.T, m *Mailer, mail Invitation, want Outcome) {
	t.Helper()
	if sent := m.SendInvitation(within(t), mail); sent != want {
		t.Errorf("sent: %s, want %s", sent, want)
	}
}

// tells has a mailer log what it does, and outages too.
func tells(mailer *Mailer, logger *slog.Logger) {
	mailer.logger, mailer.outage = logger, outageOf(Options{}, logger)
}

// logged collects what is logged.
func logged() (*slog.Logger, *strings.Builder) {
	var log strings.Builder
	return slog.New(slog.NewTextHandler(&log, nil)), &log
}
