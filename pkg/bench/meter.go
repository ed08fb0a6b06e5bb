package bench

import (
	"sync/atomic"
	"time"
)

// Meter measures one connection. One goroutine at a time may record; only the
// progress of the run is read meanwhile.
type Meter struct {
	latency           histogram
	errors            map[string]uint64
	succeeded, failed atomic.Uint64
}

// Succeed records an operation that took latency.
func (m *Meter) Succeed(latency time.Duration) {
	m.latency.record(latency)
	m.succeeded.Add(1)
}

// Fail records an operation that failed, under the name of its error.
func (m *Meter) Fail(name string) {
	if m.errors == nil {
		m.errors = map[string]uint64{}
	}
	m.errors[name]++
	m.failed.Add(1)
}
