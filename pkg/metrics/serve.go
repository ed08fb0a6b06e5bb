package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	headerTimeout = 10 * time.Second
	// writeTimeout leaves time for a profile of half a minute, the default.
	writeTimeout = time.Minute
	// maxScrapes bounds the scrapes at the same time.
	maxScrapes = 4
)

// Handler serves /metrics, and the profiles of the process below /debug/pprof/
// if asked to.
func (m *Metrics) Handler(profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
	}))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // options may hold secrets
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// Serve answers on the listener until it is closed, or ctx is done.
func (m *Metrics) Serve(ctx context.Context, listener net.Listener, profiles bool) error {
	front := &http.Server{Handler: m.Handler(profiles), ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout}
	stop := context.AfterFunc(ctx, func() { _ = front.Close() })
	defer stop()
	if err := front.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
