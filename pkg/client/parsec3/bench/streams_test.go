package bench_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	idleStreams      = 10_000
	streamsPerDevice = 10 // more, and the server ends the oldest
)

// BenchmarkIdleStreams measures what the server, in a process of its own, has resident
// for each event stream on which nothing happens: as soon as they are open, and once
// every one has been kept alive.
func BenchmarkIdleStreams(b *testing.B) {
	program, err := testkit.BuildMeasuredParsec(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for _, encrypted := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "TLS"}[encrypted], func(b *testing.B) {
			for b.Loop() {
				measureIdleStreams(b, program, encrypted)
			}
		})
	}
}

func measureIdleStreams(b *testing.B, program string, encrypted bool) {
	const silence = 10 * time.Second
	arguments := []string{"--sse-keepalive", fmt.Sprint(silence.Seconds())}
	var trusted *tls.Config
	if encrypted {
		file, roots := selfSigned(b)
		b.Setenv("SSL_CERT_FILE", file) // for the kit, which asks whether the server is ready
		trusted = &tls.Config{RootCAs: roots}
		arguments = append(arguments, "--ssl-certfile", file, "--ssl-keyfile", file)
	}
	server := testkit.StartParsec(b, program, arguments...)
	devices, _ := newDevices(b, server.Address, trusted, idleStreams/streamsPerDevice)
	before := server.Memory()
	streams := make([]*rawStream, idleStreams)
	for i := range streams {
		streams[i] = openRaw(b, server.Address, trusted, devices[i%len(devices)])
	}
	opened := server.Memory()
	for _, stream := range streams {
		stream.await(b, "event:keepalive\ndata:\n\n")
	}
	b.ReportMetric(float64(opened-before)/idleStreams/1024, "KiB/stream-opened")
	b.ReportMetric(float64(server.Memory()-before)/idleStreams/1024, "KiB/stream-idle")
	for _, stream := range streams {
		stream.conn.Close()
	}
	if err := server.Stop(); err != nil {
		b.Error(err)
	}
}

// newDevices returns devices of a new organization, and a realm of their user.
func newDevices(b *testing.B, address parsec.ServerAddress, trusted *tls.Config, count int) ([]*client3.Device, parsec.RealmID) {
	b.Helper()
	c := client3.New(address, client3.LatestVersion, client.Options{TLS: trusted})
	defer c.Close()
	organization, err := parsec.ParseOrganizationID("Streams")
	check(b, err)
	text, err := c.Administration(testkit.AdministrationToken).Create(b.Context(), organization, client.OrganizationSettings{})
	check(b, err)
	token, err := parsec3.ParseAccessToken(text)
	check(b, err)
	label, err := parsec3.ParseDeviceLabel("laptop")
	check(b, err)
	handle, err := parsec3.ParseHumanHandle("bench@example.com", "Bench")
	check(b, err)
	founder, bootstrap, err := client3.NewOrganization(client3.Founding{Organization: organization, Token: &token},
		client3.Person{Label: label, HumanHandle: handle}, now())
	check(b, err)
	_, err = client3.Call(b.Context(), c.Anonymous(organization), protocol.OrganizationBootstrap, bootstrap)
	check(b, err)
	as := c.Authenticated(founder)
	realm := parsec.RealmID(parsec.NewUUID())
	creation, err := founder.NewRealm(realm, now())
	check(b, err)
	_, err = client3.Call(b.Context(), as, protocol.RealmCreate, creation)
	check(b, err)
	devices := []*client3.Device{founder}
	for len(devices) < count {
		device, creation, err := founder.NewDevice(label, now())
		check(b, err)
		_, err = client3.Call(b.Context(), as, protocol.DeviceCreate, creation)
		check(b, err)
		devices = append(devices, device)
	}
	return devices, realm
}

// BenchmarkFanout measures the time from sending an update of a vlob until each of 64
// streams has told of it.
func BenchmarkFanout(b *testing.B) {
	server := testkit.StartGenerations(b, testkit.GenerationsOptions{})
	measureFanout(b, server.Address, server.Address)
}

const listeners = 64

// measureFanout has a writer at one server, and listeners at another.
func measureFanout(b *testing.B, writing, listening parsec.ServerAddress) {
	devices, realm := newDevices(b, writing, nil, 1+listeners/8)
	c := client3.New(writing, client3.LatestVersion, client.Options{})
	defer c.Close()
	as, vlob := c.Authenticated(devices[0]), parsec.VlobID(parsec.NewUUID())
	blob := make([]byte, 1<<10)
	_, err := client3.Call(b.Context(), as, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realm, VlobID: vlob, Timestamp: now(), Blob: blob,
	})
	check(b, err)
	told := make(chan time.Time, 2*listeners)
	for i := range listeners {
		stream := openRaw(b, listening, nil, devices[1+i%(len(devices)-1)])
		stream.listen(b)
		go func() {
			for stream.next(len(blob)) == nil { // else it is closed
				told <- time.Now()
			}
		}()
	}
	var latencies []time.Duration
	update := func(version uint32) {
		start := time.Now()
		_, err := client3.Call(b.Context(), as, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			RealmID: realm, VlobID: vlob, Timestamp: now(), Version: version, Blob: blob,
		})
		check(b, err)
		for range listeners {
			latencies = append(latencies, (<-told).Sub(start))
		}
	}
	// The creation may come to a stream that was opened after it, and what begins is not
	// measured.
	update(2)
	for waiting := true; waiting; {
		select {
		case <-told:
		case <-time.After(time.Second):
			waiting = false
		}
	}
	latencies = nil
	before := processorTime(b)
	for version := uint32(3); b.Loop(); version++ {
		update(version)
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(len(latencies)), "cpu-µs/event")
	slices.Sort(latencies)
	b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds())/1000, "ms-p99")
}

// rawStream is a stream of which the client keeps little.
type rawStream struct {
	conn net.Conn
	read *bufio.Reader
}

// openRaw opens a stream, and awaits its first event.
func openRaw(b *testing.B, address parsec.ServerAddress, trusted *tls.Config, device *client3.Device) *rawStream {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", net.JoinHostPort(address.Hostname(), fmt.Sprint(address.Port())))
	check(b, err)
	if trusted != nil {
		config := trusted.Clone()
		config.ServerName = address.Hostname()
		conn = tls.Client(conn, config)
	}
	b.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /authenticated/Streams/events HTTP/1.1\r\nHost: localhost\r\nApi-Version: 5.5\r\nAccept: text/event-stream\r\n"+
		"Authorization: %s\r\nUser-Agent: Parsec-Client/3.9.3 Linux\r\nContent-Length: 0\r\n\r\n", device.Token(now()))
	check(b, err)
	s := &rawStream{conn, bufio.NewReaderSize(conn, 16)}
	s.await(b, "data:")
	return s
}

// maxEvent is more than an event of a vlob has.
const maxEvent = 16 << 10

// listen reads on with room for events.
func (s *rawStream) listen(b *testing.B) {
	b.Helper()
	check(b, s.conn.SetReadDeadline(time.Time{}))
	read, err := s.read.Peek(s.read.Buffered())
	check(b, err)
	s.read = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(read)), s.conn), maxEvent)
}

// next reads to the end of a line that has more than so many bytes.
func (s *rawStream) next(bytes int) error {
	for {
		line, err := s.read.ReadSlice('\n')
		if err != nil || len(line) > bytes {
			return err
		}
	}
}

// await reads to the end of a text.
func (s *rawStream) await(b *testing.B, text string) {
	b.Helper()
	check(b, s.conn.SetReadDeadline(time.Now().Add(time.Minute)))
	for read := ""; !strings.HasSuffix(read, text); {
		next, err := s.read.ReadByte()
		if err != nil {
			b.Fatalf("%v after %q", err, read)
		}
		read += string(next)
	}
}

// selfSigned writes a certificate for localhost, with its key.
func selfSigned(b *testing.B) (file string, roots *x509.CertPool) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(b, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(b, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(b, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	file = filepath.Join(b.TempDir(), "certificate")
	check(b, os.WriteFile(file, text, 0o600))
	certificate, err := x509.ParseCertificate(der)
	check(b, err)
	roots = x509.NewCertPool()
	roots.AddCert(certificate)
	return file, roots
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
