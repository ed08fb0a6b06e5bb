//go:build !without_swift

package blockstore_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

func TestSwift(t *testing.T) {
	container, bucket := testkit.Swift(t)
	t.Run("Swift", func(t *testing.T) { exerciseRemoteStore(t, swiftPlace(container)) })
	if bucket == nil {
		return
	}
	// Access to one container is enough where it is there, to Init as well.
	t.Run("least privilege", func(t *testing.T) {
		there, absent := container, container
		there.Container, absent.Container = "there", "absent"
		swiftPlace(there).initialized(t)
		exerciseLeastPrivilege(t, swiftPlace(there), swiftPlace(testkit.LimitSwift(t, there)))
		wantNotCreated(t, swiftPlace(testkit.LimitSwift(t, absent)))
	})
	// The same server is a second S3, of another make than MinIO.
	t.Run("S3 on Swift", func(t *testing.T) { exerciseRemoteStore(t, s3Place(*bucket)) })
	t.Run("RAID", func(t *testing.T) { exerciseRemoteRAID(t, s3Place(*bucket), swiftPlace(container)) })
}
