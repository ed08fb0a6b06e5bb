//go:build !without_minio

package blockstore_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

func TestS3OnMinIO(t *testing.T) {
	exerciseRemoteStore(t, s3Place(testkit.S3(t)))
}
