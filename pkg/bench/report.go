package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what a run measured.
type Report struct {
	Workload    string
	API         uint32
	Connections int
	// Size is that of what each operation carries, in bytes, 0 for nothing.
	Size int
	// Elapsed is the time that the operations took together.
	Elapsed time.Duration
	// Operations counts those that succeeded; the latencies are theirs.
	Operations                                  uint64
	Median, Percentile95, Percentile99, Longest time.Duration
	// Errors counts the others, by the status of the reply or what else went
	// wrong.
	Errors map[string]uint64
	// Alive is how many connections still answered at the end, nil if they were
	// not asked.
	Alive *int
}

// PerSecond returns the rate of the operations that succeeded.
func (r *Report) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Operations) / r.Elapsed.Seconds()
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) {
		_, _ = fmt.Fprintf(table, "%s\t"+format+"\n", append([]any{name}, values...)...) // Flush tells
	}
	row("Workload", "%s, API %d, %d connections", r.Workload, r.API, r.Connections)
	if r.Size > 0 {
		row("Size", "%d bytes", r.Size)
	}
	row("Elapsed", "%s", r.Elapsed.Round(time.Millisecond))
	row("Operations", "%d", r.Operations)
	row("Per second", "%.1f", r.PerSecond())
	row("Latency", "p50 %s, p95 %s, p99 %s, max %s",
		rounded(r.Median), rounded(r.Percentile95), rounded(r.Percentile99), rounded(r.Longest))
	if r.Alive != nil {
		row("Alive", "%d", *r.Alive)
	}
	if len(r.Errors) == 0 {
		row("Errors", "none")
	}
	for i, name := range slices.Sorted(maps.Keys(r.Errors)) {
		title := ""
		if i == 0 {
			title = "Errors"
		}
		row(title, "%d %s", r.Errors[name], name)
	}
	return table.Flush()
}

// rounded returns duration with about three digits.
func rounded(duration time.Duration) time.Duration {
	unit := time.Nanosecond
	for duration >= 1000*unit {
		unit *= 10
	}
	return duration.Round(unit)
}

// MarshalJSON implements json.Marshaler. Times are in seconds.
func (r *Report) MarshalJSON() ([]byte, error) {
	type latency struct {
		Median       float64 `json:"p50"`
		Percentile95 float64 `json:"p95"`
		Percentile99 float64 `json:"p99"`
		Longest      float64 `json:"max"`
	}
	failures := r.Errors
	if failures == nil {
		failures = map[string]uint64{}
	}
	return json.Marshal(struct {
		Workload    string            `json:"workload"`
		API         uint32            `json:"api"`
		Connections int               `json:"connections"`
		Size        int               `json:"size,omitempty"`
		Elapsed     float64           `json:"elapsed"`
		Operations  uint64            `json:"operations"`
		PerSecond   float64           `json:"per_second"`
		Latency     latency           `json:"latency"`
		Alive       *int              `json:"alive,omitempty"`
		Errors      map[string]uint64 `json:"errors"`
	}{
		r.Workload, r.API, r.Connections, r.Size, r.Elapsed.Seconds(), r.Operations, r.PerSecond(),
		latency{r.Median.Seconds(), r.Percentile95.Seconds(), r.Percentile99.Seconds(), r.Longest.Seconds()},
		r.Alive, failures,
	})
}
