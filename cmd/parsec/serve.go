package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/server"
	"parsec-server/pkg/tlsfile"
	"parsec-server/pkg/traces"
	"parsec-server/pkg/webhook"
)

// serve runs a server until ctx is done, then lets running commands finish
// within the grace period.
func serve(ctx context.Context, settings config.Config, logger *slog.Logger, build build, stdout io.Writer) error {
	observed, err := observe(ctx, settings.Metrics, build, logger)
	if err != nil {
		return err
	}
	defer observed.close()
	observer, endTraces, err := traces.Observe(ctx, observed.observer(), os.LookupEnv, build.version, logger)
	if err != nil {
		return err
	}
	defer endTraces()
	bus := event.NewBus()
	defer bus.Close()
	store, endStore, err := openStore(ctx, settings.Database, bus, systemClock, logger)
	if err != nil {
		return err
	}
	defer endStore()
	blocks, endBlocks, err := openBlockStore(settings.Blockstore, blockStoreOptions{
		database: settings.Database, degradedWrites: settings.BlockstoreDegradedWrites, logger: logger, wrap: observed.blocks,
	})
	if err != nil {
		return err
	}
	defer endBlocks()
	listener, endListening, err := listen(ctx, settings, logger)
	if err != nil {
		return err
	}
	defer endListening()
	defer watchBlockStore(ctx, blocks, logger)()
	webhooks := webhook.New(settings.Organization.BootstrapWebhook.Reveal(), logger)
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	address := settings.AnnouncedAddress(port)
	rules := backend.New(store, blocks, bus, webhooks, systemClock, logger, backend.Options{
		AdministrationToken:     settings.AdministrationToken.Reveal(),
		SpontaneousBootstrap:    settings.Organization.SpontaneousBootstrap,
		InitialActiveUsersLimit: settings.Organization.InitialActiveUsersLimit,
		InitialOutsiderAllowed:  settings.Organization.InitialOutsiderAllowed,
		Mailer:                  mailer(settings.Email, address, logger),
	})
	front := server.New(rules, systemClock, logger, serverOptions(settings, address, build.version, observer))
	defer observed.serve(ctx, front, rules, bus, store)()

	failed := make(chan error, 1)
	go func() { failed <- front.Serve(listener) }()
	announce(stdout, settings, port, address)
	notifyManager(logger, daemon.SdNotifyReady)
	select {
	case err = <-failed:
	case <-ctx.Done():
		logger.Info("stopping", "grace_period", settings.ShutdownGracePeriod)
	}
	notifyManager(logger, daemon.SdNotifyStopping)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), settings.ShutdownGracePeriod)
	defer cancel()
	front.Shutdown(grace)
	return errors.Join(err, webhooks.Close(grace))
}

// listen binds the port, in TLS if there is a certificate. What watches the
// certificate ends with the function that the caller gets.
func listen(ctx context.Context, settings config.Config, logger *slog.Logger) (listener net.Listener, end func(), err error) {
	var certificate *tlsfile.Certificate
	if settings.TLS.Enabled() {
		if certificate, err = tlsfile.Open(settings.TLS.CertificateFile, settings.TLS.KeyFile, logger, time.Now); err != nil {
			return nil, nil, err
		}
	}
	var network net.ListenConfig
	if listener, err = network.Listen(ctx, "tcp", net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port))); err != nil {
		return nil, nil, err
	}
	if certificate == nil {
		return listener, func() {}, nil
	}
	return tls.NewListener(listener, certificate.Config()), inBackground(context.WithoutCancel(ctx), certificate.Watch), nil
}

// inBackground runs work until the caller calls end, which waits for it.
func inBackground(ctx context.Context, work func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() { work(ctx) })
	return func() {
		cancel()
		working.Wait()
	}
}

// mailer is nil without e-mail host.
func mailer(settings config.Email, address parsec.ServerAddress, logger *slog.Logger) backend.Mailer {
	if settings.Host == "" {
		return nil
	}
	return mail.New(settings, address, logger)
}

func serverOptions(settings config.Config, address parsec.ServerAddress, version string, observer server.Observer) server.Options {
	options := server.Options{
		Version:                      version,
		Observer:                     observer,
		Debug:                        settings.Debug,
		MaxUnauthenticatedPerAddress: settings.MaxUnauthenticatedConnectionsPerAddress,
		TrustedProxies:               settings.TrustedProxies,
		EventStreamKeepAlive:         settings.SSEKeepalive,
	}
	if address != (parsec.ServerAddress{}) {
		options.Address = &address
	}
	if settings.ForwardProto.Header != "" {
		options.EnforceHTTPS = &server.ForwardedProto{Header: settings.ForwardProto.Header, Value: settings.ForwardProto.Value}
	}
	return options
}

// notifyManager tells the service manager that started the process, if any.
func notifyManager(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("the service manager is not told", "state", state, "error", err)
	}
}

// announce prints the start-up line, once the port is bound.
func announce(stdout io.Writer, settings config.Config, port uint16, address parsec.ServerAddress) {
	telemetry := "off"
	if settings.Sentry.DSN.Reveal() != "" {
		telemetry = "on"
	}
	fmt.Fprintf(stdout, "Starting Parsec Backend on %s (db=%s blockstore=%s email=%s telemetry=%s backend_addr=%s)\n",
		net.JoinHostPort(settings.Host, strconv.Itoa(int(port))), settings.Database.Type(), settings.Blockstore.Type(),
		settings.Email.Type(), telemetry, address)
}
