package bench_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/bench"
)

func TestReportForPeople(t *testing.T) {
	alive := 7
	for want, report := range map[string]*bench.Report{
		`
Workload    vlob-read, API 3, 2 connections
Size        1024 bytes
Elapsed     2.5s
Operations  500
Per second  200.0
Latency     p50 1.23ms, p95 20ms, p99 300µs, max 1.23s
Errors      1 not_allowed
            20 timeout
`: {
			Workload: "vlob-read", API: 3, Connections: 2, Size: 1024, Elapsed: 2500 * time.Millisecond, Operations: 500,
			Median: 1234567, Percentile95: 20 * time.Millisecond, Percentile99: 300 * time.Microsecond, Longest: 1234567890,
			Errors: map[string]uint64{"timeout": 20, "not_allowed": 1},
		},
		`
Workload    idle, API 1, 8 connections
Elapsed     0s
Operations  0
Per second  0.0
Latency     p50 0s, p95 0s, p99 0s, max 0s
Alive       7
Errors      none
`: {Workload: "idle", API: 1, Connections: 8, Alive: &alive},
	} {
		var text strings.Builder
		if err := report.WriteTable(&text); err != nil {
			t.Fatal(err)
		}
		if text.String() != strings.TrimPrefix(want, "\n") {
			t.Errorf("got\n%swant%s", text.String(), want)
		}
	}
}

func TestReportForPrograms(t *testing.T) {
	alive := 0
	text, err := json.Marshal(&bench.Report{
		Workload: "idle", API: 3, Connections: 8, Elapsed: 2 * time.Second, Operations: 8, Longest: time.Millisecond, Alive: &alive,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"workload":"idle","api":3,"connections":8,"elapsed":2,"operations":8,"per_second":4,` +
		`"latency":{"p50":0,"p95":0,"p99":0,"max":0.001},"alive":0,"errors":{}}`
	if string(text) != want {
		t.Errorf("got %s", text)
	}
}
