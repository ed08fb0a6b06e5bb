//go:build !without_minio

package blockstore_test

import (
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
)

func TestS3OnMinIO(t *testing.T) {
	exerciseRemoteStore(t, s3Place(testkit.S3(t)))
}

// A key that has the rights which the documentation asks for, and no other, is
// enough where the bucket is there, to Init as well.
func TestS3LeastPrivilege(t *testing.T) {
	minio := testkit.StartMinIO(t)
	rights := []string{"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
	exerciseLeastPrivilege(t, s3Place(minio.S3("there")), s3Place(minio.LimitedS3(t, "there", rights...)))
	wantNotCreated(t, s3Place(minio.LimitedS3(t, "absent", rights...)))

	// A right too few is told.
	s3Place(minio.S3("half")).initialized(t)
	half := s3Place(minio.LimitedS3(t, "half", "s3:GetObject")).open(t, "", "", "")
	if err := half.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "access denied, check the key, the secret and the permissions") {
		t.Errorf("init without the right to list: %v", err)
	}
}

// What MinIO refuses is said in words that name what to change.
func TestS3OnMinIOSaysWhatIsWrong(t *testing.T) {
	settings := testkit.S3(t)
	s3Place(settings).initialized(t)
	unknown := settings
	unknown.Key = config.NewSecret("nobody")
	for want, store := range map[string]remoteStore{
		"the store does not know the key":   s3Place(unknown).open(t, "", "", ""),
		"the secret is not that of the key": s3Place(settings).open(t, "", "", "this-is-not-the-secret"),
	} {
		// A MinIO that has just started does not know yet whom it knows.
		testkit.Await(t, "the store says that "+want, func() bool {
			err := store.Ready(t.Context())
			return err != nil && strings.Contains(err.Error(), want)
		})
	}
}
