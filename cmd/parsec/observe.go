package main

import (
	"context"
	"log/slog"
	"net"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/metrics"
	"parsec-server/pkg/server"
	"parsec-server/pkg/store/postgres"
)

// observation is what counts for Prometheus, if anything does.
type observation struct {
	settings config.Metrics
	metrics  *metrics.Metrics // nil for none
	listener net.Listener
	logger   *slog.Logger
}

// observe binds the address of the metrics, so that it is known at start
// whether it can be.
func observe(ctx context.Context, settings config.Metrics, build build, logger *slog.Logger) (*observation, error) {
	o := &observation{settings: settings, logger: logger}
	if settings.Address == "" {
		return o, nil
	}
	var network net.ListenConfig
	var err error
	if o.listener, err = network.Listen(ctx, "tcp", settings.Address); err != nil {
		return nil, err
	}
	o.metrics = metrics.New(build.version, build.commit)
	return o, nil
}

// close is for an observation that never served; after serve it does nothing.
func (o *observation) close() {
	if o.listener != nil {
		_ = o.listener.Close()
	}
}

// blocks counts the calls of a node of the block store.
func (o *observation) blocks(node int, store backend.BlockStore) backend.BlockStore {
	if o.metrics == nil {
		return store
	}
	return o.metrics.ObserveBlocks(node, store)
}

// observer counts what the server does.
func (o *observation) observer() server.Observer {
	if o.metrics == nil {
		return nil
	}
	return o.metrics
}

// serve answers until the caller calls end.
func (o *observation) serve(ctx context.Context, front *server.Server, rules *backend.Backend, bus *event.Bus, store backend.Store) (end func()) {
	if o.metrics == nil {
		return func() {}
	}
	database, _ := store.(*postgres.Store)
	o.metrics.ObserveState(front.Serving, rules, bus, database)
	end = inBackground(context.WithoutCancel(ctx), func(ctx context.Context) {
		if err := o.metrics.Serve(ctx, o.listener, o.settings.Profiles); err != nil {
			o.logger.Error("metrics end", "error", err)
		}
	})
	o.logger.Info("metrics served", "address", o.listener.Addr().String(), "profiles", o.settings.Profiles)
	return end
}
