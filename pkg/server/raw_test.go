package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// rawConn is an HTTP client that does what it is told only.
type rawConn struct {
	f    *fixture
	conn net.Conn
	read *bufio.Reader
}

// upgradeRaw returns a connection that was upgraded.
func (f *fixture) upgradeRaw(headers ...string) *rawConn {
	f.t.Helper()
	raw, response := f.tryUpgrade("/ws", append(upgradeHeaders(), headers...)...)
	if response.StatusCode != http.StatusSwitchingProtocols {
		f.t.Fatalf("upgrade: HTTP %d", response.StatusCode)
	}
	return raw
}

// upgradeHeaders returns the headers of the official clients.
func upgradeHeaders() []string {
	return []string{
		"Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
}

// tryUpgrade sends a GET over a connection of its own.
func (f *fixture) tryUpgrade(target string, headers ...string) (*rawConn, *http.Response) {
	f.t.Helper()
	raw := f.dialTCP()
	_, err := io.WriteString(raw.conn, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n"+strings.Join(headers, "\r\n")+"\r\n\r\n")
	f.ok(err)
	response, err := http.ReadResponse(raw.read, nil)
	f.ok(err)
	return raw, response
}

func (f *fixture) dialTCP() *rawConn {
	f.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(f.ctx, "tcp", strings.TrimPrefix(f.Address.HTTPOrigin(), "http://"))
	f.ok(err)
	f.t.Cleanup(func() { _ = conn.Close() })
	deadline, _ := f.ctx.Deadline()
	f.ok(conn.SetDeadline(deadline))
	return &rawConn{f: f, conn: conn, read: bufio.NewReader(conn)}
}

// unfinished sends a request with the beginning of a body of size bytes.
func (f *fixture) unfinished(method, target string, size int, begun []byte, headers ...string) *rawConn {
	f.t.Helper()
	raw := f.dialTCP()
	length := "Content-Length: " + strconv.Itoa(size)
	if size < 0 {
		length = "Transfer-Encoding: chunked"
	}
	head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n" + length + "\r\n"
	for _, header := range headers {
		head += header + "\r\n"
	}
	_, err := raw.conn.Write(append([]byte(head+"\r\n"), begun...))
	f.ok(err)
	return raw
}

// answer reads an HTTP answer.
func (r *rawConn) answer() *http.Response {
	r.f.t.Helper()
	response, err := http.ReadResponse(r.read, nil)
	r.f.ok(err)
	_, err = io.ReadAll(response.Body)
	r.f.ok(err)
	return response
}
