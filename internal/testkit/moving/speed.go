package moving

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/imports"
)

// Benchmark tells how long versions of vlobs, their places in the change log, and a tenth
// as many blocks take to come, what a second run takes, which finds nothing new, and what
// a look at all of it and a comparison do. Grow are the statements that add them to a
// sample, with $1 for how many: a million with PARSEC_TEST_LONG.
func Benchmark(b *testing.B, wing imports.Wing, sample *testkit.Official, grow []string) {
	b.Helper()
	size := 50_000
	if testkit.Long() {
		size = 1_000_000
	}
	from, owner := testkit.NewOfficial(b, sample)
	connection := testkit.Connect(b, owner)
	for _, statement := range grow {
		testkit.Execute(b, connection, strings.ReplaceAll(statement, "$1", strconv.Itoa(size)))
	}
	for b.Loop() {
		to := testkit.NewPostgres(b, testkit.Unsound)
		for _, run := range []string{"first", "again"} {
			began := time.Now()
			if err := Run(b.Context(), b, wing, from, to, imports.Choices{}, nil); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(began).Seconds(), run+"-s")
		}
		began := time.Now()
		Move(b, wing, from, to, imports.Choices{})
		b.ReportMetric(time.Since(began).Seconds(), "surveyed-and-compared-s")
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB")
	}
}
