//go:build !without_minio

package blockstore_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/backend"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
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
	var nodes []backend.BlockStore
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
		_, err := raid.Read(b.Context(), organization(b), ids[i%len(ids)])
		return err
	}
	b.Run("well", func(b *testing.B) { benchmarkCalls(b, len(block), 4, read) })
	proxy.Set(testkit.Fault{Silent: true})
	b.Run("hanging", func(b *testing.B) { benchmarkCalls(b, len(block), 4, read) })
}

// BenchmarkS3 compares the store, as the server uses it, with its SDK alone.
func BenchmarkS3(b *testing.B) {
	settings := testkit.S3(b)
	const connections = 16
	store := s3Place(settings).initialized(b)
	b.Run("store", func(b *testing.B) { benchmarkStore(b, store, connections) })
	b.Run("SDK", func(b *testing.B) { benchmarkSDK(b, settings, connections) })
}

func benchmarkSDK(b *testing.B, settings config.S3, connections int) {
	client := s3.New(s3.Options{
		BaseEndpoint: &settings.Endpoint,
		Region:       settings.Region,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(settings.Key.Reveal(), settings.Secret.Reveal(), ""),
		HTTPClient:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}},

		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	block := blockOf(blockBytes)
	names := make([]string, blocksOfBenchmark)
	put := func(i int) error {
		_, err := client.PutObject(b.Context(), &s3.PutObjectInput{
			Bucket: &settings.Bucket, Key: &names[i%len(names)], Body: bytes.NewReader(block),
		})
		return err
	}
	for i := range names {
		names[i] = "benchmark/" + newBlockID().String()
		if err := put(i); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("create", func(b *testing.B) { benchmarkCalls(b, len(block), connections, put) })
	b.Run("read", func(b *testing.B) {
		benchmarkCalls(b, len(block), connections, func(i int) error {
			output, err := client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &settings.Bucket, Key: &names[i%len(names)]})
			if err != nil {
				return err
			}
			defer output.Body.Close()
			_, err = io.ReadAll(output.Body)
			return err
		})
	})
}

func BenchmarkRAID5(b *testing.B) {
	_, stores := newFakeNodes(3)
	raid := openRAID(b, 5, stores, false, nil)
	defer raid.Close()
	benchmarkStore(b, raid, 1)
}

// benchmarkStore measures blocks of the size that clients make.
func benchmarkStore(b *testing.B, store backend.BlockStore, parallelism int) {
	block := blockOf(blockBytes)
	ids := make([]parsec.BlockID, blocksOfBenchmark)
	for i := range ids {
		ids[i] = newBlockID()
		mustCreate(b, store, ids[i], block)
	}
	for name, action := range map[string]func(i int) error{
		"create": func(i int) error { return store.Create(b.Context(), organization(b), ids[i%len(ids)], block) },
		"read": func(i int) error {
			_, err := store.Read(b.Context(), organization(b), ids[i%len(ids)])
			return err
		},
	} {
		b.Run(name, func(b *testing.B) { benchmarkCalls(b, len(block), parallelism, action) })
	}
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
