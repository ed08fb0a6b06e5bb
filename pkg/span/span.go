// Package span traces what a command spends its time on. What begins here
// is a child of the span of the command, which its context carries; where there
// is none, as when nothing is traced, it costs a look at the context.
//
// Names are constants: nothing says for whom something is done.
package span

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Begin begins a span within that of ctx. The caller ends it, with how it went.
func Begin(ctx context.Context, name string) (end func(err error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ignore
	}
	_, child := parent.TracerProvider().Tracer("parsec").Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return func(err error) {
		if err != nil {
			child.SetStatus(codes.Error, "")
		}
		child.End()
	}
}

func ignore(error) {}
