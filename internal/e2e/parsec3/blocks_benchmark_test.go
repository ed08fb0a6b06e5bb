package parsec3_test

import (
	"context"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/bench"
	bench2 "parsec-server/pkg/client/parsec2/bench"
	bench3 "parsec-server/pkg/client/parsec3/bench"
)

// BenchmarkBlocks compares the blocks of API 5 with those of API 3, in turns, in
// servers of processes of their own that keep them in memory. A block has 512 KiB.
func BenchmarkBlocks(b *testing.B) {
	built, err := testkit.BuildMeasuredParsec(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for _, workload := range []bench.Workload{bench.BlockCreate, bench.BlockRead} {
		b.Run(string(workload), func(b *testing.B) {
			var rates, costs [6]float64
			for b.Loop() {
				for api, run := range map[uint32]func(context.Context, bench.Options) (*bench.Report, error){3: bench2.Run, 5: bench3.Run} {
					server := testkit.StartParsec(b, built, "--log-level", "WARNING") // whose memory has not grown yet
					before := server.ProcessorTime(b)
					report, err := run(b.Context(), bench.Options{
						Address: server.Address, AdministrationToken: testkit.AdministrationToken, API: api, Workload: workload,
						Connections: 16, Duration: time.Minute, Operations: 500, Size: 512 << 10,
					})
					if err != nil || len(report.Errors) > 0 {
						b.Fatalf("API %d: %+v, %v", api, report, err)
					}
					rates[api] += report.PerSecond()
					costs[api] += float64((server.ProcessorTime(b) - before).Microseconds()) / float64(report.Operations)
					if err := server.Stop(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rates[3]/float64(b.N), "API3/s")
			b.ReportMetric(rates[5]/float64(b.N), "API5/s")
			b.ReportMetric(costs[3]/float64(b.N), "API3-cpu-µs")
			b.ReportMetric(costs[5]/float64(b.N), "API5-cpu-µs")
			b.ReportMetric(rates[5]/rates[3], "ratio")
		})
	}
}
