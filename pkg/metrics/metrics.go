// Package metrics counts what a server does, for Prometheus. docs/monitoring.md
// describes every metric.
//
// Every label has few values, known in advance: names of commands, statuses,
// majors, nodes. Nothing that a client sends becomes a label.
package metrics

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/server"
)

// durations are the upper bounds of the buckets of latencies, in seconds.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

var _ server.Observer = (*Metrics)(nil)

// Metrics are those of one server. Its methods are safe for concurrent use.
type Metrics struct {
	registry         *prometheus.Registry
	commands         *prometheus.CounterVec
	commandDurations *prometheus.HistogramVec
	refusals         *prometheus.CounterVec
	connections      *prometheus.GaugeVec
	handshakes       *prometheus.CounterVec
	blocks           *prometheus.CounterVec
	blockDurations   *prometheus.HistogramVec
	emails           *prometheus.CounterVec
}

// New makes the metrics of a server of some version, built from some commit.
func New(version, commit string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parsec_commands_total", Help: "Commands that ended, by what their client was told.",
		}, []string{"command", "status"}),
		commandDurations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parsec_command_duration_seconds", Help: "Time from the decoded request of a command to its encoded reply.", Buckets: durations,
		}, []string{"command"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parsec_refused_requests_total", Help: "HTTP requests of API 5 that were answered by a status instead of a reply.",
		}, []string{"kind", "status"}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parsec_connections", Help: "Connections that last, after their handshake.",
		}, []string{"transport", "kind", "api"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parsec_handshakes_total", Help: "Handshakes of WebSockets that ended, by what their client was told.",
		}, []string{"result"}),
		blocks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parsec_blockstore_calls_total", Help: "Calls of the nodes of the block store, their repetitions included in one.",
		}, []string{"node", "operation", "result"}),
		blockDurations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parsec_blockstore_call_duration_seconds", Help: "Time that calls of the nodes of the block store took.", Buckets: durations,
		}, []string{"node", "operation"}),
		emails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parsec_emails_total", Help: "E-mails by what became of them.",
		}, []string{"kind", "outcome"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "parsec_build_info", Help: "Always 1; its labels tell which program runs.",
	}, []string{"version", "commit", "goversion"})
	build.WithLabelValues(version, commit, runtime.Version()).Set(1)
	m.registry.MustRegister(m.commands, m.commandDurations, m.refusals, m.connections, m.handshakes, m.blocks, m.blockDurations, m.emails, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// CommandBegun implements server.Observer.
func (m *Metrics) CommandBegun(ctx context.Context, _ string) context.Context { return ctx }

// CommandEnded implements server.Observer.
func (m *Metrics) CommandEnded(_ context.Context, ended server.EndedCommand) {
	m.commands.WithLabelValues(ended.Name(), ended.Told()).Inc()
	m.commandDurations.WithLabelValues(ended.Name()).Observe(ended.Duration.Seconds())
}

// RequestRefused implements server.Observer.
func (m *Metrics) RequestRefused(kind string, status int) {
	m.refusals.WithLabelValues(kind, strconv.Itoa(status)).Inc()
}

// HandshakeEnded implements server.Observer.
func (m *Metrics) HandshakeEnded(result string) {
	m.handshakes.WithLabelValues(cmp.Or(result, "failed")).Inc()
}

// ConnectionBegun implements server.Observer.
func (m *Metrics) ConnectionBegun(transport server.Transport, kind string, api parsec.APIVersion) (ended func()) {
	gauge := m.connections.WithLabelValues(string(transport), kind, strconv.Itoa(int(api.Major)))
	gauge.Inc()
	return gauge.Dec
}

// ObserveEmails returns what counts the e-mails of some kinds, from 0: what appears with
// the first one would hide it from alerts.
func (m *Metrics) ObserveEmails(kinds []*mail.Kind) func(*mail.Kind, mail.Outcome) {
	counter := func(kind *mail.Kind, outcome mail.Outcome) prometheus.Counter {
		return m.emails.WithLabelValues(kind.String(), strings.ReplaceAll(string(outcome), " ", "_"))
	}
	for _, kind := range kinds {
		for _, outcome := range mail.Outcomes() {
			counter(kind, outcome)
		}
	}
	return func(kind *mail.Kind, outcome mail.Outcome) { counter(kind, outcome).Inc() }
}

// ObserveBlocks counts the calls of a node of the block store, and tells the space
// that it has if it knows. It is called once for each node.
func (m *Metrics) ObserveBlocks(node int, store blockstore.Store) blockstore.Store {
	label := strconv.Itoa(node)
	m.observeSpace(label, store)
	return blockstore.NewObserved(store, func(_ context.Context, operation blockstore.Operation, err error, duration time.Duration) {
		result := "ok"
		switch {
		case errors.Is(err, blockstore.ErrNotFound):
			result = "not_found"
		case err != nil:
			result = "error"
		}
		m.blocks.WithLabelValues(label, string(operation), result).Inc()
		m.blockDurations.WithLabelValues(label, string(operation)).Observe(duration.Seconds())
	})
}

func (m *Metrics) observeSpace(node string, store blockstore.Store) {
	roomy, tells := store.(blockstore.Roomy)
	if !tells {
		return
	}
	m.registry.MustRegister(spaceCollector{node, roomy})
}

// spaceCollector reads what a node has found of its file system at its last look.
type spaceCollector struct {
	node  string
	store blockstore.Roomy
}

var (
	spaceFree = prometheus.NewDesc("parsec_blockstore_free_bytes",
		"Space that a folder of the block store may still use, as last found.", []string{"node"}, nil)
	spaceSize = prometheus.NewDesc("parsec_blockstore_size_bytes",
		"Size of the file system of a folder of the block store, as last found.", []string{"node"}, nil)
)

// Describe implements prometheus.Collector. What it collects is there only after the
// first look, and not of every store.
func (spaceCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c spaceCollector) Collect(metrics chan<- prometheus.Metric) {
	space, known := c.store.Space()
	if !known {
		return
	}
	metrics <- prometheus.MustNewConstMetric(spaceFree, prometheus.GaugeValue, float64(space.Free), c.node)
	metrics <- prometheus.MustNewConstMetric(spaceSize, prometheus.GaugeValue, float64(space.Size), c.node)
}
