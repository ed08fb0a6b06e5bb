package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	words "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// http2Client is a device of API 5 that speaks HTTP/2.
type http2Client struct {
	t         *testing.T
	device    *parsec3.Device
	origin    string
	transport *http.Transport
	// dialled counts its connections.
	dialled atomic.Int32
}

// TestServeHTTP2 has a client of API 5 listen and send commands over one connection,
// and a WebSocket come over another one to the same port.
func TestServeHTTP2(t *testing.T) {
	certificateFile, keyFile, roots := testkit.CertificateFiles(t)
	s := startServing(t, config.Argument{Name: "ssl-certfile", Text: certificateFile}, config.Argument{Name: "ssl-keyfile", Text: keyFile},
		config.Argument{Name: "spontaneous-organization-bootstrap", Text: "true"})
	encryption := &tls.Config{RootCAs: roots}
	c := &http2Client{t: t, device: foundOver(t, s.address, encryption), origin: "https://" + s.address}
	c.transport = &http.Transport{TLSClientConfig: encryption.Clone(), ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c.dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	t.Cleanup(c.transport.CloseIdleConnections)

	answer := c.send(http.MethodGet, "/events", "Accept", "text/event-stream", nil)
	if answer == nil {
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
		t.Fatalf("listen: %s by %s", answer.Status, answer.Proto)
	}
	stream := client.NewServerSentEvents(answer.Body)
	if first, err := stream.Next(); err != nil || first.Data == nil {
		t.Errorf("the first event: %+v, %v", first, err)
	}
	var sent sync.WaitGroup
	for range 50 { // at once, each longer than the server receives before it reads
		sent.Go(func() { c.refusedBlock() })
	}
	sent.Wait()
	if n := c.dialled.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}

	encryption.NextProtos = []string{"http/1.1"} // as browsers ask for a WebSocket
	upgrading := &http.Client{Transport: &http.Transport{TLSClientConfig: encryption}}
	socket, _, err := websocket.Dial(t.Context(), "wss://"+s.address+"/ws", &websocket.DialOptions{HTTPClient: upgrading})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := socket.Read(t.Context()); err != nil {
		t.Errorf("a WebSocket begins with %v", err)
	}
	socket.CloseNow()
}

// foundOver creates an organization, and returns the device of its first user.
func foundOver(t *testing.T, address string, encryption *tls.Config) *parsec3.Device {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id, err := parsec.ParseOrganizationID("Acme")
	ok(err)
	label, err := words.ParseDeviceLabel("laptop")
	ok(err)
	handle, err := words.ParseHumanHandle("alice@example.com", "Alice")
	ok(err)
	device, request, err := parsec3.NewOrganization(parsec3.Founding{Organization: id}, parsec3.Person{Label: label, HumanHandle: handle}, systemClock())
	ok(err)
	server, err := parsec.Parsec3Scheme.ParseServerAddress("parsec3://" + address)
	ok(err)
	founder := parsec3.New(server, parsec3.LatestVersion, client.Options{TLS: encryption.Clone()})
	t.Cleanup(founder.Close)
	_, err = parsec3.Call(t.Context(), founder.Anonymous(id), protocol.OrganizationBootstrap, request)
	ok(err)
	return device
}

// send sends a request of the device; the caller closes the body of the answer. It
// returns nil after a failure.
func (c *http2Client) send(method, path, header, value string, body []byte) *http.Response {
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.origin+"/authenticated/"+c.device.Organization.String()+path, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return nil
	}
	request.Header.Set("Api-Version", parsec3.LatestVersion.String())
	request.Header.Set("Authorization", c.device.Token(systemClock()))
	request.Header.Set(header, value)
	answer, err := c.transport.RoundTrip(request)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	return answer
}

// refusedBlock sends a block of a realm that there is not, and reads that there is none.
func (c *http2Client) refusedBlock() {
	request := &protocol.BlockCreateRequest{
		RealmID: parsec.RealmID(parsec.NewUUID()), BlockID: parsec.BlockID(parsec.NewUUID()), KeyIndex: 1, Block: make([]byte, 512<<10),
	}
	message, err := wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: protocol.BlockCreate.Name}}, request)
	if err != nil {
		c.t.Error(err)
		return
	}
	answer := c.send(http.MethodPost, "", "Content-Type", "application/msgpack", message)
	if answer == nil {
		return
	}
	defer answer.Body.Close()
	reply, err := io.ReadAll(answer.Body)
	if status, _ := wire.LookupString(reply, "status"); err != nil || answer.StatusCode != http.StatusOK || status != "realm_not_found" {
		c.t.Errorf("%s, %q, %v", answer.Status, reply, err)
	}
}
