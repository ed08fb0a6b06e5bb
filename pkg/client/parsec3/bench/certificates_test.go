//go:build !without_postgresql

package bench_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// BenchmarkFirstSynchronization has a device ask for all of 100,000 certificates, as it
// does after its first login, and measures what the server, in a process of its own, has
// resident meanwhile beyond what it has at rest.
func BenchmarkFirstSynchronization(b *testing.B) {
	program, err := testkit.BuildMeasuredParsec(b.Context(), b.TempDir())
	check(b, err)
	dsn := testkit.NewPostgres(b, testkit.Unsound)
	server := testkit.StartParsec(b, program, "--db", dsn)
	devices, _ := newDevices(b, server.Address, nil, 1)
	testkit.Execute(b, testkit.Connect(b, dsn), `
INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
SELECT 'Streams', 'common', '00000000-0000-0000-0000-000000000000', $1::bigint + i, 0, decode(repeat(md5(i::text), 20), 'hex')
FROM generate_series(1, 100000) i`, int64(now()))
	var most, length int64
	for b.Loop() {
		before := server.Memory()
		done := make(chan int64)
		go func() { done <- synchronize(b, server.Address, devices[0]) }()
		for running := true; running; {
			select {
			case length = <-done:
				running = false
			case <-time.After(time.Millisecond):
				most = max(most, server.Memory()-before)
			}
		}
	}
	b.SetBytes(length)
	b.ReportMetric(float64(most)/(1<<20), "MiB/reply")
}

// synchronize reads all certificates, and returns their length.
func synchronize(b *testing.B, address parsec.ServerAddress, device *client3.Device) int64 {
	message, err := wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: protocol.CertificateGet.Name}}, &protocol.CertificateGetRequest{})
	if err != nil {
		b.Error(err)
		return 0
	}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address.HTTPOrigin()+"/authenticated/Streams", bytes.NewReader(message))
	if err != nil {
		b.Error(err)
		return 0
	}
	request.Header = http.Header{
		"Api-Version": {client3.LatestVersion.String()}, "Content-Type": {"application/msgpack"}, "Authorization": {device.Token(now())},
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Error(err)
		return 0
	}
	defer response.Body.Close()
	length, err := io.Copy(io.Discard, response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.Errorf("status %d after %d bytes: %v", response.StatusCode, length, err)
	}
	return length
}
