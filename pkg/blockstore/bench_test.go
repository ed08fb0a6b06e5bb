//go:build !without_minio

package blockstore_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

const (
	// blockBytes is the size of the blocks of clients.
	blockBytes        = 512<<10 + 40
	blocksOfBenchmark = 64
)

// BenchmarkRAIDWithANodeThatHangs compares reads of a RAID5 of three S3 nodes,
// all well, and one of them taking requests without ever answering.
func BenchmarkRAIDWithANodeThatHangs(b *testing.B) {
	place := s3Place(testkit.S3(b))
	place.initialized(b)
	proxy, address := testkit.StandInFor(b, place.address)
	_, near := testkit.StandInFor(b, place.address)
	var nodes []blockstore.Store
	for i, address := range []string{address, near, near} {
		store := place.open(b, address, fmt.Sprintf("parsec-test-%d", i), "")
		if err := store.Init(b.Context()); err != nil {
			b.Fatal(err)
		}
		nodes = append(nodes, blockstore.NewLimited(store, blockstore.DefaultLimits()))
	}
	raid := openRAID(b, 5, nodes, false, nil)
	b.Cleanup(raid.Close)
	block := blockOf(blockBytes)
	ids := make([]parsec.BlockID, blocksOfBenchmark)
	for i := range ids {
		ids[i] = newBlockID()
		mustCreate(b, raid, ids[i], block)
	}
	read := func(i int) error {
		return raid.Read(b.Context(), organization(b), ids[i%len(ids)], nil, make([]byte, len(block)))
	}
	b.Run("well", func(b *testing.B) { benchmarkCalls(b, len(block), 4, read) })
	proxy.Set(testkit.Fault{Silent: true})
	b.Run("hanging", func(b *testing.B) { benchmarkCalls(b, len(block), 4, read) })
}

// benchmarkCalls reports the throughput and the 99th percentile.
func benchmarkCalls(b *testing.B, size, parallelism int, action func(i int) error) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	indexes := make(chan int)
	durations := make([]time.Duration, b.N)
	failed := make(chan error, parallelism)
	for range parallelism {
		go func() {
			var first error
			for i := range indexes {
				begin := time.Now()
				if err := action(i); err != nil && first == nil {
					first = err
				}
				durations[i] = time.Since(begin)
			}
			failed <- first
		}()
	}
	b.ResetTimer()
	for i := range b.N {
		indexes <- i
	}
	close(indexes)
	for range parallelism {
		if err := <-failed; err != nil {
			b.Error(err)
		}
	}
	b.StopTimer()
	slices.Sort(durations)
	b.ReportMetric(float64(durations[len(durations)*99/100].Microseconds()), "p99-µs")
}
