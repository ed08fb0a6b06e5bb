//go:build !without_postgresql

package bench_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

// BenchmarkFanoutAcrossInstances is BenchmarkFanout with the streams at another
// instance, over one database.
func BenchmarkFanoutAcrossInstances(b *testing.B) {
	options := testkit.GenerationsOptions{Database: testkit.NewPostgres(b, testkit.Unsound)}
	here, there := testkit.StartGenerations(b, options), testkit.StartGenerations(b, options)
	measureFanout(b, here.Address, there.Address)
}
