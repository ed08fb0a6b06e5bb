//go:build !without_versitygw

package blockstore_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

func TestS3OnVersityGW(t *testing.T) {
	exerciseRemoteStore(t, s3Place(testkit.VersityGW(t)))
}
