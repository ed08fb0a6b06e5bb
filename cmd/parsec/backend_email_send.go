package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
)

// testMailTimeout bounds what a test of the e-mail settings waits for the SMTP server.
const testMailTimeout = time.Minute

var (
	errNoAddress  = errors.New("it is no e-mail address, such as you@example.com")
	errMockedHost = errors.New("MOCKED writes e-mails in files, and sends none: name the SMTP server")
)

func (p program) sendTestMailCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "send-test-mail EMAIL",
		Short: "Send an e-mail with the settings of the server, and say whether the SMTP server took it, or why not.",
		Args:  oneArgument("EMAIL"),
	}
	command.ValidArgsFunction = cobra.NoFileCompletions
	options := &settingsFlags{}
	options.defineSome(command.Flags(), append(config.MailSettings(), "server-addr", "backend-addr")...)
	options.tolerateAll(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		if _, err := netmail.ParseAddress(args[0]); err != nil {
			return invalidValue("EMAIL", errNoAddress)
		}
		return p.sendTestMail(command.Context(), options, args[0])
	}
	return command
}

func (p program) sendTestMail(ctx context.Context, options *settingsFlags, to string) error {
	settings, address, err := config.LoadMail(options.given, p.environment)
	if err != nil {
		return err
	}
	if settings.Host == config.Mocked {
		return invalidValue("--email-host", errMockedHost)
	}
	var missing []config.Missing
	for _, one := range []struct {
		name string
		none bool
	}{{"email-host", settings.Host == ""}, {"email-sender", settings.Sender.Address == ""}, {"server-addr", address == (parsec.ServerAddress{})}} {
		if one.none {
			missing = append(missing, config.Missing{Name: "--" + one.name, Variables: settingNamed(one.name).AllVariables()})
		}
	}
	if missing != nil {
		return config.NewMissingError(missing...)
	}
	post, _, err := mailOptions(settings)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, testMailTimeout)
	defer cancel()
	at := net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port))
	if err := mail.SendTrial(ctx, post, address, to); err != nil {
		return explainMail(err, at, settings.Sender.Address, to)
	}
	fmt.Fprintf(p.stdout, "The SMTP server %s took the e-mail for %s. If it does not arrive, look in the spam of the recipient and in the log of the SMTP server.\n", at, to)
	return nil
}

// explainMail puts in words why an SMTP server did not take an e-mail.
func explainMail(err error, at, from, to string) error {
	resolving, _ := errors.AsType[*net.DNSError](err)
	_, verified := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case mail.IsRefusedRecipient(err):
		return say(err, "The SMTP server %s does not take e-mails for %s: %s", at, to, oneLine(err.Error()))
	case resolving != nil:
		return say(err, "There is no host %s, which --email-host, or PARSEC_EMAIL_HOST, names: %s.", resolving.Name, resolving.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(err, "No SMTP server answers at %s: connection refused. Correct --email-host and --email-port, or PARSEC_EMAIL_HOST and PARSEC_EMAIL_PORT.", at)
	case verified:
		return say(err, "The certificate of the SMTP server %s is not trusted: %s. The variable SSL_CERT_FILE may name a file with the authority that signed it.", at, lastCause(err))
	case errors.Is(err, context.DeadlineExceeded):
		return say(err, "The SMTP server %s did not answer within %s. Look at the network, or correct --email-host and --email-port.", at, testMailTimeout)
	default:
		return say(err, "The SMTP server %s did not take the e-mail from %s: %s", at, from, oneLine(err.Error()))
	}
}
