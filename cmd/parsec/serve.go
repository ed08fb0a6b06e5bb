package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/server"
	"parsec-server/pkg/telemetry"
	"parsec-server/pkg/tlsfile"
)

// serve runs a server until ctx is done. What it opens ends with the process.
func serve(ctx context.Context, process *lifecycle.Process, settings config.Config, logger *slog.Logger, build build, stdout io.Writer) error {
	roots, err := readTrustedRoots(settings.Organization.TrustedRootFolders)
	if err != nil {
		return invalidValue("--trusted-x509-root-dir", err)
	}
	post, warning, err := mailOptions(settings.Email)
	if err != nil {
		return err
	}
	if warning != "" {
		logger.WarnContext(ctx, warning)
	}
	observed, err := observe(ctx, process, settings.Metrics, build, logger)
	if err != nil {
		return err
	}
	needed := newDependencies(logger)
	post.Observe, post.Clients, post.Outage = observed.emails(), settings.Clients, needed.email
	bus := event.NewBus()
	onEnd(process, "events", bus.Close)
	stored, err := openStores(ctx, settings.Database, bus, logger, needed.database)
	if err != nil {
		return err
	}
	onEnd(process, "database", stored.close)
	blocks, array, endBlocks, err := openBlocks(settings.Blockstore, blockStoreOptions{
		database: settings.Database, degradedWrites: settings.BlockstoreDegradedWrites, logger: logger, wrap: observed.blocks,
	})
	if err != nil {
		return err
	}
	onEnd(process, "block store", endBlocks)
	// A predecessor serves until this process is ready, and shares its sockets from
	// here on.
	if err := process.Inherit(ctx, settings.HandoverSocket); err != nil {
		return err
	}
	listener, certificate, err := listen(ctx, process, settings, logger)
	if err != nil {
		return err
	}
	if err := observed.listen(ctx, process); err != nil {
		return err
	}
	onEnd(process, "look at the block store", inBackground(ctx, blockstore.NewWatch(blocks, needed.blocks).Run))
	proxies := &namedProxies{names: settings.TrustedProxyNames, lookup: net.DefaultResolver.LookupNetIP, logger: logger}
	onEnd(process, "look at the proxies", inBackground(ctx, proxies.watch))
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	address := settings.AnnouncedAddress(port)
	onEnd(process, "look at the SMTP server", inBackground(ctx, mail.NewWatch(post, address).Run))
	commands := newGenerations(process, settings, stored, blocks, bus, post, needed.blocks, address, roots, logger)
	if stored.database != nil {
		stored.database.OnLeave(commands.parsec3.HasFailedUploads)
	}
	janitor := erasure.NewJanitor(stored.erasing, array, systemClock, logger)
	onEnd(process, "look at what is to be erased", inBackground(ctx, janitor.Run))
	organizations := organization.New(commands.parsec3.Organizations(),
		organization.Wings{organization.Parsec2: commands.parsec2, organization.Parsec3: commands.parsec3},
		systemClock, logger, organization.Options{
			Founding: foundingOf(settings.Organization), Token: settings.AdministrationToken.Reveal(), RereadToken: settings.CurrentAdministrationToken, Eraser: janitor, NamedTokens: namedTokens(settings),
		})
	if settings.AdministrationTokensFile != "" {
		onEnd(process, "look at the administration tokens", inBackground(ctx, organizations.WatchTokens))
	}
	options := serverOptions(settings, address, build.version, observed.observer(), needed)
	options.TrustsProxy = proxies.has
	front := server.New(organizations, systemClock, logger, options,
		commands.wings(organizations, settings)...)
	onEnd(process, "metrics", observed.serve(ctx, observable{front, commands, bus, stored, needed, organizations, certificate, settings.Email.Host != ""}))

	announce(stdout, logger, settings, port, address)
	process.OnServing(func() { notifyManager(logger, daemon.SdNotifyReady) })
	process.Linger(settings.ShutdownDelay)
	err = process.Serve(ctx, front, listener)
	notifyManager(logger, daemon.SdNotifyStopping)
	return err
}

// dependencies are what the process needs of others.
type dependencies struct{ database, blocks, email *outage.Dependency }

func newDependencies(logger *slog.Logger) dependencies {
	return dependencies{
		database: outage.NewDependency(outage.Database, slog.LevelError, logger),
		blocks:   outage.NewDependency(outage.BlockStore, slog.LevelError, logger),
		email:    outage.NewDependency(outage.Email, slog.LevelError, logger),
	}
}

// namedTokens returns what reads the tokens of named administrators.
func namedTokens(settings config.Config) func() ([]organization.NamedToken, error) {
	return func() ([]organization.NamedToken, error) {
		tokens, err := settings.CurrentAdministrationTokens()
		named := make([]organization.NamedToken, len(tokens))
		for i, token := range tokens {
			named[i] = organization.NamedToken{Name: token.Name, Token: token.Token.Reveal(), ReadOnly: token.ReadOnly}
		}
		return named, err
	}
}

// onEnd is for what bounds its own end, or need not.
func onEnd(process *lifecycle.Process, name string, end func()) {
	process.OnEnd(name, func(context.Context) { end() })
}

// listen binds the port, in TLS if there is a certificate: it is nil for none.
func listen(ctx context.Context, process *lifecycle.Process, settings config.Config, logger *slog.Logger) (_ net.Listener, certificate *tlsfile.Certificate, err error) {
	if settings.TLS.Enabled() {
		certificate, err = tlsfile.Open(tlsfile.Options{
			CertificateFile: settings.TLS.CertificateFile, KeyFile: settings.TLS.KeyFile,
			Name: settings.ServerAddress.Hostname(), Ciphers: settings.TLS.Ciphers, Logger: logger, Now: time.Now,
		})
		if err != nil {
			return nil, nil, &config.UsageError{Message: err.Error()}
		}
	}
	at := place{net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port)), "--port, or PARSEC_PORT", "--host, or PARSEC_HOST"}
	socket, err := process.Listen(ctx, at.address)
	switch {
	case err != nil:
		return nil, nil, at.explain(err)
	case certificate == nil:
		return socket, nil, nil
	}
	onEnd(process, "look at the certificate", inBackground(context.WithoutCancel(ctx), certificate.Watch))
	return tls.NewListener(socket, certificate.Config()), certificate, nil
}

// place is where the server listens, with the options that say so.
type place struct{ address, port, host string }

// explain puts in words why nothing is listened on there.
func (p place) explain(err error) error {
	_, resolving := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return say(err, "Another program listens on %s: address already in use. Stop it, or take another port in %s.", p.address, p.port)
	case errors.Is(err, syscall.EACCES):
		return say(err, "This user may not listen on %s: permission denied. Take a port from 1024 on in %s.", p.address, p.port)
	case errors.Is(err, syscall.EADDRNOTAVAIL), resolving:
		return say(err, "%s is no address of this machine: %s. Correct %s.", p.address, lastCause(err), p.host)
	}
	return err
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

func serverOptions(settings config.Config, address parsec.ServerAddress, version string, observer server.Observer, needed dependencies) server.Options {
	options := server.Options{
		Version:              version,
		Observer:             observer,
		Debug:                settings.Debug,
		Scheme:               settings.AddressScheme,
		CORSOrigins:          settings.CORSOrigins,
		WebApp:               settings.WebApp,
		Clients:              settings.Clients,
		TrustedProxies:       settings.TrustedProxies,
		EventStreamKeepAlive: settings.SSEKeepalive,
		StrictTransport:      settings.StrictTransport,
		IdleTimeout:          settings.IdleConnectionTimeout,
		Database:             needed.database,
		BlockProblem:         needed.blocks.Problem,
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

// announce prints the start-up line, once there is a listening socket. It is one of the
// log where each must be JSON.
func announce(stdout io.Writer, logger *slog.Logger, settings config.Config, port uint16, address parsec.ServerAddress) {
	reports := "off"
	if settings.Sentry.DSN.Reveal() != "" {
		reports = "on"
	}
	line := fmt.Sprintf("Starting Parsec Backend on %s (db=%s blockstore=%s email=%s telemetry=%s backend_addr=%s)",
		net.JoinHostPort(settings.Host, strconv.Itoa(int(port))), settings.Database.Type(), settings.Blockstore.Type(),
		settings.Email.Type(), reports, address)
	if settings.Log.Format == telemetry.JSON && settings.Log.File == "" {
		logger.Info(line)
		return
	}
	fmt.Fprintln(stdout, line)
}
