package testkit

import (
	"net"
	"testing"

	"parsec-server/pkg/config"
)

const (
	versityGWUser     = "parsec-test"
	versityGWPassword = "parsec-test-secret"
	installVersityGW  = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
)

// VersityGW returns a bucket, which may not exist yet, of a VersityGW, an S3
// server of another make than MinIO, that runs until the test ends.
func VersityGW(t testing.TB) config.S3 {
	t.Helper()
	port := FreePort(t)
	address := net.JoinHostPort("127.0.0.1", port)
	process := StartProcess(t, nil, FindProgram(t, "versitygw", installVersityGW),
		"--quiet", "--port", address, "--access", versityGWUser, "--secret", versityGWPassword, "posix", t.TempDir())
	process.AwaitPort(t, port)
	return config.S3{
		Endpoint: "http://" + address,
		Region:   "us-east-1",
		Bucket:   "parsec-test",
		Key:      config.NewSecret(versityGWUser),
		Secret:   config.NewSecret(versityGWPassword),
	}
}
