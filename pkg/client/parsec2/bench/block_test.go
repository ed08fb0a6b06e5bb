//go:build !without_minio

package bench_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

const (
	// blockBytes is the size of the blocks of clients.
	blockBytes       = 512<<10 + 40
	blockConnections = 16
	// tripsWithBlocks are those of a connection in a round.
	tripsWithBlocks = 5
)

// BenchmarkBlocksOnS3 compares the server, whose blocks are in S3, with the SDK
// that it uses, alone, in front of the same S3 server.
func BenchmarkBlocksOnS3(b *testing.B) {
	settings := testkit.S3(b)
	store := must(blockstore.NewS3(blockstore.S3Options{
		Endpoint: settings.Endpoint, Region: settings.Region, Bucket: settings.Bucket,
		Key: settings.Key.Reveal(), Secret: settings.Secret.Reveal(),
	}))(b)
	limited := blockstore.NewLimited(store, blockstore.DefaultLimits())
	if err := limited.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	sdk := newBareS3(settings)
	for _, item := range []struct {
		name        string
		newExchange func(*testing.B, *organization, parsec.RealmID, int) *exchange
		call        func(*bareS3, *testing.B) func() error
	}{
		{"block_create", blockCreationsIn, (*bareS3).puts},
		{"block_read", blockReadsIn, (*bareS3).gets},
	} {
		b.Run(item.name, func(b *testing.B) {
			alone := &calls{name: "SDK"}
			for range blockConnections {
				alone.calls = append(alone.calls, item.call(sdk, b))
			}
			compareRounds(b, "ratio-to-SDK", tripsWithBlocks, alone, newBlockSide(b, "server", limited, item.newExchange))
		})
	}
}

// BenchmarkBlocksOnRAID5 compares the server on a RAID5 of three memories with
// the server on one: what the process spends shows what coding costs, even
// where others keep the machine busy.
func BenchmarkBlocksOnRAID5(b *testing.B) {
	for _, item := range []struct {
		name        string
		newExchange func(*testing.B, *organization, parsec.RealmID, int) *exchange
	}{
		{"block_create", blockCreationsIn},
		{"block_read", blockReadsIn},
	} {
		b.Run(item.name, func(b *testing.B) {
			raid := must(blockstore.NewRAID5([]blockstore.Store{newForgetful(), newForgetful(), newForgetful()},
				blockstore.RAIDOptions{Logger: slog.New(slog.DiscardHandler)}))(b)
			b.Cleanup(raid.Close)
			memory := newBlockSide(b, "memory", newForgetful(), item.newExchange)
			subject := newBlockSide(b, "RAID5", raid, item.newExchange)
			compareRounds(b, "ratio-to-one-memory", tripsWithBlocks, memory, subject)
			b.ReportMetric(subject.spent.Seconds()/memory.spent.Seconds(), "processor-time-ratio")
		})
	}
}

// newBlockSide starts a server whose blocks are in store.
func newBlockSide(b *testing.B, name string, store blockstore.Store, newExchange func(*testing.B, *organization, parsec.RealmID, int) *exchange) *side {
	b.Helper()
	o := newOrganization(b, testkit.Start(b, testkit.InstanceOptions{Blocks: store}))
	s := &side{name: name}
	for range blockConnections {
		s.exchanges = append(s.exchanges, newExchange(b, o, o.newRealm(b), blockBytes))
	}
	return s
}

func blockReadsIn(b *testing.B, o *organization, realm parsec.RealmID, size int) *exchange {
	b.Helper()
	block := parsec.BlockID(parsec.NewUUID())
	must(parsec2.Call(b.Context(), o.conn, protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: block, RealmID: realm, Block: make([]byte, size)}))(b)
	return newExchange(o.dial(b), encode(b, protocol.BlockRead.Form, &protocol.BlockReadRequest{BlockID: block}))
}

// forgetful is a memory that new blocks do not fill.
type forgetful struct{ *blockstore.Memory }

func newForgetful() forgetful { return forgetful{blockstore.NewMemory()} }

func (f forgetful) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *blockstore.Checksum, into ...[]byte) error {
	return f.Memory.Read(ctx, organization, placeOf(id), checksum, into...)
}

func (f forgetful) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	return f.Memory.Create(ctx, organization, placeOf(id), block)
}

// placeOf has a block take the place of another: there are 64.
func placeOf(id parsec.BlockID) parsec.BlockID { return parsec.BlockID{id[len(id)-1] % 64} }

// calls is a contestant that needs no connections of its own.
type calls struct {
	name    string
	calls   []func() error
	elapsed time.Duration
	trips   int
}

func (c *calls) round(b *testing.B, trips int) {
	b.Helper()
	start := time.Now()
	var working sync.WaitGroup
	for _, call := range c.calls {
		working.Go(func() {
			for range trips {
				if err := call(); err != nil {
					b.Errorf("%s: %v", c.name, err)
					return
				}
			}
		})
	}
	working.Wait()
	c.elapsed += time.Since(start)
	c.trips += trips * len(c.calls)
}

func (c *calls) result() (name string, perSecond float64) {
	return c.name, float64(c.trips) / c.elapsed.Seconds()
}

// bareS3 is the SDK with no more than it needs to work with any S3 server.
type bareS3 struct {
	client *s3.Client
	bucket string
}

func newBareS3(settings config.S3) *bareS3 {
	return &bareS3{s3.New(s3.Options{
		BaseEndpoint: &settings.Endpoint,
		Region:       settings.Region,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(settings.Key.Reveal(), settings.Secret.Reveal(), ""),
		HTTPClient:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: blockConnections}},

		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}), settings.Bucket}
}

// puts returns a function that stores another block each time.
func (s *bareS3) puts(b *testing.B) func() error {
	b.Helper()
	block := make([]byte, blockBytes)
	return func() error { return s.put(b.Context(), "bare/"+parsec.NewUUID().String(), block) }
}

func (s *bareS3) put(ctx context.Context, name string, block []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &name, Body: bytes.NewReader(block)})
	return err
}

// gets returns a function that reads a block, without keeping it.
func (s *bareS3) gets(b *testing.B) func() error {
	b.Helper()
	name := "bare/" + parsec.NewUUID().String()
	if err := s.put(b.Context(), name, make([]byte, blockBytes)); err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, blockBytes)
	return func() error {
		output, err := s.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &name})
		if err != nil {
			return err
		}
		defer output.Body.Close()
		_, err = io.ReadFull(output.Body, buffer)
		return err
	}
}
