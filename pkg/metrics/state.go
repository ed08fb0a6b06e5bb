package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parsec-server/migrations"
	"parsec-server/pkg/database"
)

// State is what a server is asked at each scrape.
type State struct {
	// Serving reports whether commands can run, BlocksReady whether blocks can
	// be stored and read.
	Serving, BlocksReady func() bool
	// DatabaseReady reports whether state can be written and read, EmailReady whether
	// e-mails can be handed over: it is nil without SMTP server.
	DatabaseReady, EmailReady func() bool
	// CertificateEnd returns when the certificate of the server ends, nil without one.
	CertificateEnd func() time.Time
	// QueuedEvents counts the events that wait for their clients, EventOverflows
	// the sessions ended because too many did.
	QueuedEvents, EventOverflows func() int64
	// BusDepth counts the transactions whose events wait for the sessions.
	BusDepth func() int
	// Gathered counts the writes of Parsec 3 that wait for others of their topic, or
	// are decided together with them.
	Gathered func() int
	// Database is nil for a store in memory.
	Database *database.Database
}

// ObserveState reads the state of a server at each scrape. It must be called
// once, when the server is about to serve.
func (m *Metrics) ObserveState(state State) {
	m.gauge("parsec_serving", "1 while commands can run, 0 while they are refused with 503.", truth(state.Serving))
	m.gauge("parsec_database_ready", "1 while the database can be written and read, as last found, 0 while it cannot.", truth(state.DatabaseReady))
	if state.EmailReady != nil {
		m.gauge("parsec_email_ready", "1 while e-mails can be handed to the SMTP server, as last found, 0 while they cannot.", truth(state.EmailReady))
	}
	if state.CertificateEnd != nil {
		m.gauge("parsec_certificate_end_timestamp_seconds", "When the certificate of the server ends.",
			func() float64 { return float64(state.CertificateEnd().Unix()) })
	}
	m.gauge("parsec_blockstore_ready", "1 while blocks can be stored and read, as last found, 0 while they cannot.", truth(state.BlocksReady))
	m.gauge("parsec_event_queue_depth", "Events that wait for their clients, of all sessions.",
		func() float64 { return float64(state.QueuedEvents()) })
	m.counter("parsec_event_queue_overflows_total", "Sessions ended because too many events waited for their client.",
		func() float64 { return float64(state.EventOverflows()) })
	m.gauge("parsec_event_bus_depth", "Transactions whose events wait to be handed to the sessions.",
		func() float64 { return float64(state.BusDepth()) })
	m.gauge("parsec_writes_gathered", "Writes of Parsec 3 that wait for others of their topic, or are decided in their transaction.",
		func() float64 { return float64(state.Gathered()) })
	if state.Database != nil {
		m.registry.MustRegister(databaseCollector{state.Database})
	}
}

// truth is 1 for true.
func truth(holds func() bool) func() float64 {
	return func() float64 {
		if holds() {
			return 1
		}
		return 0
	}
}

func (m *Metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (m *Metrics) counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// databaseCollector reads everything about the database at one instant.
type databaseCollector struct{ database *database.Database }

var (
	poolConnections = prometheus.NewDesc("parsec_database_connections",
		"Connections of the pool of the database.", []string{"state"}, nil)
	poolMaximum = prometheus.NewDesc("parsec_database_connections_max",
		"Connections that the pool of the database may open.", nil, nil)
	poolAcquired = prometheus.NewDesc("parsec_database_acquires_total",
		"Connections taken from the pool of the database.", nil, nil)
	poolWaited = prometheus.NewDesc("parsec_database_acquire_waits_total",
		"Connections taken from the pool of the database that had to be waited for.", nil, nil)
	poolWaiting = prometheus.NewDesc("parsec_database_acquire_seconds_total",
		"Time spent to take connections from the pool of the database.", nil, nil)
	outboxLag = prometheus.NewDesc("parsec_event_outbox_lag_seconds",
		"Time since every event in the database had been read. About a second at rest.", nil, nil)
	schemaFound = prometheus.NewDesc("parsec_schema_version",
		"Version of the schema of the database, as last seen; 0 before.", nil, nil)
	clockOffset = prometheus.NewDesc("parsec_clock_offset_seconds",
		"How far the clock of the server is ahead of that of the database, as last compared.", nil, nil)
	schemaWanted = prometheus.NewDesc("parsec_schema_version_wanted",
		"Version of the schema that this server needs.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c databaseCollector) Describe(descriptions chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, descriptions)
}

// Collect implements prometheus.Collector.
func (c databaseCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(description *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...)
	}
	counter := func(description *prometheus.Desc, value float64) {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.CounterValue, value)
	}
	now := c.database.Statistics()
	gauge(poolConnections, float64(now.Acquired), "acquired")
	gauge(poolConnections, float64(now.Idle), "idle")
	gauge(poolMaximum, float64(now.Maximum))
	counter(poolAcquired, float64(now.Acquires))
	counter(poolWaited, float64(now.Waits))
	counter(poolWaiting, now.Waited.Seconds())
	gauge(outboxLag, now.OutboxLag.Seconds())
	gauge(clockOffset, now.ClockOffset.Seconds())
	gauge(schemaFound, float64(now.SchemaVersion))
	gauge(schemaWanted, float64(migrations.Latest()))
}
