// Package traces tells an OpenTelemetry collector of the commands that a server
// ran, as the standard variables OTEL_… ask. docs/monitoring.md describes it.
//
// A span tells what was done and how it ended, never for whom.
package traces

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"parsec-server/pkg/server"
)

// flushTimeout bounds how long the end of the server waits for the collector.
const flushTimeout = 3 * time.Second

// Observe makes an observer that traces commands and hands on to next, which
// may be nil. If the variables name no collector it gives next back. end sends
// what is left, within bounds. A collector that is slow or out of reach loses
// spans, and makes nobody wait.
func Observe(ctx context.Context, next server.Observer, lookup Lookup, version string, logger *slog.Logger) (observer server.Observer, end func(), err error) {
	collector, err := collectorOf(lookup)
	if err != nil {
		return nil, nil, err
	}
	if collector == nil {
		return next, func() {}, nil
	}
	service, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "parsec"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("variable OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	ctx = context.WithoutCancel(ctx) // it outlives the commands
	client := newClient(ctx, collector, logger)
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(service))
	if next == nil {
		next = server.Unobserved{}
	}
	return &tracer{next, provider.Tracer("parsec")}, func() {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			logger.Warn("spans are lost", "error", err)
		}
		client.cancel()
	}, nil
}

// tracer makes a span of each command.
type tracer struct {
	server.Observer
	tracer trace.Tracer
}

// CommandEnded implements server.Observer.
func (t *tracer) CommandEnded(ended server.EndedCommand) {
	t.Observer.CommandEnded(ended)
	now := time.Now()
	_, span := t.tracer.Start(context.Background(), ended.Name(),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(now.Add(-ended.Duration)))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("parsec.status", ended.Told()),
			attribute.String("parsec.api", ended.API.String()),
			attribute.String("parsec.kind", ended.Kind.String()),
		)
		if ended.Outcome == server.Failed {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End(trace.WithTimestamp(now))
}
