package traces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// maxAnswer bounds what is read of an answer, whose content does not count.
const maxAnswer = 64 << 10

var _ otlptrace.Client = (*client)(nil)

// client sends spans by OTLP over HTTP. That of the SDK would link gRPC, its
// gateway and html/template, 7 MB.
type client struct {
	collector *collector
	http      *http.Client
	logger    *slog.Logger
	ctx       context.Context // that of every request
	cancel    context.CancelFunc

	mu      sync.Mutex
	failing bool // which was logged
}

func newClient(ctx context.Context, collector *collector, logger *slog.Logger) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = collector.tls
	c := &client{collector: collector, http: &http.Client{Transport: transport}, logger: logger}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. What the collector does not take is
// lost: it is logged once, here, until the collector takes spans again.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.collector.timeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	err := c.send(ctx, spans)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch failing := err != nil; {
	case failing && !c.failing:
		c.logger.Warn("the collector takes no spans", "error", err)
	case !failing && c.failing:
		c.logger.Info("the collector takes spans again")
	}
	c.failing = err != nil
	return nil
}

// send posts the request, which is on the wire what TracesData is.
func (c *client) send(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.collector.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = c.collector.headers.Clone()
	request.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := c.http.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL, which may hold a password
		}
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("HTTP status %d", answer.StatusCode)
	}
	return nil
}
