package testkit

import (
	"context"
	"os"
	"testing"

	"parsec-server/pkg/config"
)

// S3Variable is a block store string, of an S3 server to test with instead of
// starting one. Its bucket is created where it does not exist.
const S3Variable = "PARSEC_TEST_S3"

const (
	minioUser     = "parsec-test"
	minioPassword = "parsec-test-secret"
)

// S3 returns a bucket, which may not exist yet, of a MinIO that runs until the
// test ends, or of the server of PARSEC_TEST_S3.
func S3(t testing.TB) config.S3 {
	t.Helper()
	if text := os.Getenv(S3Variable); text != "" {
		return parseStore(t, S3Variable, text, config.BlockstoreS3).S3
	}
	return StartMinIO(t).S3("parsec-test")
}

// MinIO is an S3 server with one disk, in a process of its own.
type MinIO struct {
	t       testing.TB
	program string
	port    string
	disk    string
	process *Process
}

// StartMinIO runs a MinIO until the test ends.
func StartMinIO(t testing.TB) *MinIO {
	t.Helper()
	m := &MinIO{
		t:       t,
		program: FindProgram(t, "minio", "go install github.com/minio/minio@latest"),
		port:    FreePort(t),
		disk:    t.TempDir(),
	}
	m.Start()
	return m
}

// Start runs the server again, after Kill. It returns once the server is ready.
func (m *MinIO) Start() {
	m.t.Helper()
	m.process = StartProcess(m.t,
		[]string{"MINIO_ROOT_USER=" + minioUser, "MINIO_ROOT_PASSWORD=" + minioPassword, "MINIO_BROWSER=off", "MINIO_UPDATE=off"},
		m.program, "server", "--quiet", "--address", "127.0.0.1:"+m.port, m.disk)
	m.process.Await(m.t, func(ctx context.Context) error {
		return GetOK(ctx, m.endpoint()+"/minio/health/ready")
	})
}

// Kill ends the server without letting it do anything more.
func (m *MinIO) Kill() { m.process.Kill() }

// LoseDisk has a server that was killed start with an empty disk.
func (m *MinIO) LoseDisk() { m.disk = m.t.TempDir() }

func (m *MinIO) endpoint() string { return "http://127.0.0.1:" + m.port }

// S3 returns a bucket, which may not exist yet.
func (m *MinIO) S3(bucket string) config.S3 {
	return config.S3{
		Endpoint: m.endpoint(),
		Region:   "us-east-1",
		Bucket:   bucket,
		Key:      config.NewSecret(minioUser),
		Secret:   config.NewSecret(minioPassword),
	}
}

func parseStore(t testing.TB, variable, text string, kind config.BlockstoreKind) config.Blockstore {
	t.Helper()
	store, err := config.ParseBlockstore([]string{text})
	if err != nil || store.Kind != kind {
		t.Fatalf("%s is not a block store string of kind %s: %v", variable, kind, err)
	}
	return store
}
