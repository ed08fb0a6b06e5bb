package main

import (
	"context"
	"log/slog"
	"net"
	"os"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/metrics"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/server"
	"parsec-server/pkg/tlsfile"
	"parsec-server/pkg/traces"
)

// observation is what counts for Prometheus and traces for OpenTelemetry, if
// anything does.
type observation struct {
	traces   *traces.Tracer // nil for none
	settings config.Metrics
	metrics  *metrics.Metrics // nil for none
	listener net.Listener
	logger   *slog.Logger
}

func observe(ctx context.Context, process *lifecycle.Process, settings config.Metrics, build build, logger *slog.Logger) (*observation, error) {
	tracer, err := traces.New(ctx, os.LookupEnv, build.version, logger)
	if err != nil {
		return nil, err
	}
	onEnd(process, "traces", tracer.Close)
	o := &observation{traces: tracer, settings: settings, logger: logger}
	if settings.Address == "" {
		return o, nil
	}
	o.metrics = metrics.New(build.version, build.commit)
	return o, nil
}

// listen binds the address of the metrics, so that it is known at start whether it
// can be.
func (o *observation) listen(ctx context.Context, process *lifecycle.Process) error {
	if o.metrics == nil {
		return nil
	}
	const option = "--metrics-address, or PARSEC_METRICS_ADDRESS"
	at := place{o.settings.Address, option, option}
	socket, err := process.Listen(ctx, at.address)
	if err != nil {
		return at.explain(err)
	}
	o.listener = socket
	return nil
}

// blocks counts and traces the calls of a node of the block store.
func (o *observation) blocks(node int, store blockstore.Store) blockstore.Store {
	store = o.traces.Blocks(node, store)
	if o.metrics == nil {
		return store
	}
	return o.metrics.ObserveBlocks(node, store)
}

// emails returns what counts e-mails, nil for nothing.
func (o *observation) emails() func(*mail.Kind, mail.Outcome) {
	if o.metrics == nil {
		return nil
	}
	return o.metrics.ObserveEmails(emailKinds())
}

// observer counts and traces what the server does.
func (o *observation) observer() server.Observer {
	if o.metrics == nil {
		return o.traces.Observer(nil)
	}
	return o.traces.Observer(o.metrics)
}

// serve answers until the caller calls end.
func (o *observation) serve(ctx context.Context, of observable) (end func()) {
	if o.metrics == nil {
		return func() {}
	}
	o.metrics.ObserveState(of.state())
	endSurvey := inBackground(ctx, metrics.NewSurvey(o.metrics, of.organizations, systemClock, o.logger).Run)
	endServing := inBackground(context.WithoutCancel(ctx), func(ctx context.Context) {
		if err := o.metrics.Serve(ctx, o.listener, o.settings.Profiles); err != nil {
			o.logger.Error("metrics end", "error", err)
		}
	})
	o.logger.Info("metrics served", "address", o.listener.Addr().String(), "profiles", o.settings.Profiles)
	return func() {
		endServing()
		endSurvey()
	}
}

// observable is what metrics are about.
type observable struct {
	front         *server.Server
	commands      generations
	bus           *event.Bus
	stored        stores
	needed        dependencies
	organizations *organization.Administration
	// certificate is nil without TLS.
	certificate *tlsfile.Certificate
	// mails reports whether there is an SMTP server.
	mails bool
}

func (o observable) state() metrics.State {
	there := func(what *outage.Dependency) func() bool { return func() bool { return what.Problem() == nil } }
	state := metrics.State{
		Serving: o.front.Serving, DatabaseReady: there(o.needed.database), BlocksReady: there(o.needed.blocks),
		QueuedEvents:   func() int64 { return o.commands.parsec2.QueuedEvents() + o.commands.parsec3.QueuedEvents() },
		EventOverflows: func() int64 { return o.commands.parsec2.EventOverflows() + o.commands.parsec3.EventOverflows() },
		BusDepth:       o.bus.Depth,
		Gathered:       o.stored.gathered,
		Database:       o.stored.database,
	}
	if o.mails {
		state.EmailReady = there(o.needed.email)
	}
	if o.certificate != nil {
		state.CertificateEnd = o.certificate.NotAfter
	}
	return state
}
