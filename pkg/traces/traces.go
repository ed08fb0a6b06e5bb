// Package traces sends an OpenTelemetry collector the commands that a server
// ran, and what they waited for, as the standard variables OTEL_… ask.
// docs/monitoring.md describes it.
//
// A span says what was done and how it ended, never for whom.
package traces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/server"
)

// flushTimeout bounds how long the end of the server waits for the collector.
const flushTimeout = 3 * time.Second

// Tracer makes spans. A nil one makes none, and hands on what it is given.
type Tracer struct {
	tracer trace.Tracer
	close  func()
}

// New returns what the variables ask for, nil if they name no collector. A
// collector that is slow or out of reach loses spans, and makes nobody wait.
func New(ctx context.Context, lookup Lookup, version string, logger *slog.Logger) (*Tracer, error) {
	collector, err := collectorOf(lookup)
	if err != nil || collector == nil {
		return nil, err
	}
	service, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "parsec"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("variable OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	ctx = context.WithoutCancel(ctx) // it outlives the commands
	client := newClient(ctx, collector, logger)
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(service))
	return &Tracer{provider.Tracer("parsec"), func() {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			logger.Warn("spans are lost", "error", err)
		}
		client.cancel()
	}}, nil
}

// Close sends what is left, within bounds.
func (t *Tracer) Close() {
	if t != nil {
		t.close()
	}
}

// Observer returns an observer that traces commands and hands on to next, which
// may be nil.
func (t *Tracer) Observer(next server.Observer) server.Observer {
	switch {
	case t == nil:
		return next
	case next == nil:
		next = server.Unobserved{}
	}
	return &observer{next, t.tracer}
}

// Blocks traces the calls of a node of the block store, within the commands that
// make them.
func (t *Tracer) Blocks(node int, store blockstore.Store) blockstore.Store {
	if t == nil {
		return store
	}
	return blockstore.NewObserved(store, func(ctx context.Context, operation blockstore.Operation, err error, duration time.Duration) {
		if !trace.SpanFromContext(ctx).IsRecording() {
			return
		}
		now := time.Now()
		_, span := t.tracer.Start(ctx, "block store "+string(operation), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithTimestamp(now.Add(-duration)), trace.WithAttributes(attribute.Int("parsec.node", node)))
		if err != nil && !errors.Is(err, blockstore.ErrNotFound) {
			span.SetStatus(codes.Error, "")
		}
		span.End(trace.WithTimestamp(now))
	})
}

// observer makes a span of each command.
type observer struct {
	server.Observer
	tracer trace.Tracer
}

// CommandBegun implements server.Observer.
func (o *observer) CommandBegun(ctx context.Context, name string) context.Context {
	ctx, _ = o.tracer.Start(o.Observer.CommandBegun(ctx, name), name, trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot())
	return ctx
}

// CommandEnded implements server.Observer.
func (o *observer) CommandEnded(ctx context.Context, ended server.EndedCommand) {
	o.Observer.CommandEnded(ctx, ended)
	span, recorded := trace.SpanFromContext(ctx).(sdktrace.ReadWriteSpan)
	if !recorded {
		return
	}
	span.SetAttributes(
		attribute.String("parsec.status", ended.Told()),
		attribute.String("parsec.api", ended.API.String()),
		attribute.String("parsec.kind", ended.Kind),
	)
	if ended.Outcome == server.Failed {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(span.StartTime().Add(ended.Duration)))
}
