//go:build !without_minio

package parsec3_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
)

// TestUploadsOutlastTheBlockStore has the block store vanish while files are sent, for a
// minute in long tests: the clients are told so, and try again.
func TestUploadsOutlastTheBlockStore(t *testing.T) {
	t.Parallel()
	s3 := testkit.StartMinIO(t).S3("parsec")
	options := blockstore.S3Options{
		Endpoint: s3.Endpoint, Region: s3.Region, Bucket: s3.Bucket, Key: s3.Key.Reveal(), Secret: s3.Secret.Reveal(),
	}
	testkit.Await(t, "the bucket is made", func() bool { // it may be ready before it can be used
		return blockstore.Init(t.Context(), must(blockstore.NewS3(options))) == nil
	})
	proxy, address := testkit.StandInFor(t, s3.Endpoint)
	s := newSenders(t, testkit.StartParsec(t, program, "--blockstore", strings.Join([]string{
		"s3", strings.ReplaceAll(address, ":", `\:`), s3.Region, s3.Bucket, s3.Key.Reveal(), s3.Secret.Reveal(),
	}, ":")))
	s.outlast(func() {
		proxy.Set(testkit.Fault{Silent: true})
		s.await(http.StatusOK, "the block store does not answer")
		s.lastsFor(time.Minute)
		proxy.Set(testkit.Fault{})
		proxy.CloseConnections()
		s.await(http.StatusOK, "ok")
	})
	if output := s.server.Output(); strings.Contains(output, "command failed") || strings.Contains(output, "request refused") {
		t.Error("something is refused: " + output)
	}
}
