package server

import (
	"bytes"
	"net"
	"net/http"
)

// net/http answers a request whose path has a malformed percent escape by
// itself, with a 400 in plain text. To an administrator that path is one of no
// organization (docs/protocol/administration.md §4): 404 with JSON, after the
// token. So such an escape becomes, on its way in, a character that no id has.

// escapesListener accepts connections that mend escapes. Those in TLS stay as
// they are: net/http must know them to speak HTTP/2.
type escapesListener struct{ net.Listener }

// Accept implements net.Listener.
func (l escapesListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &escapesConn{TCPConn: tcp}, err
	}
	return conn, err
}

// escapesConn is used by one goroutine at a time, as net/http reads.
type escapesConn struct {
	*net.TCPConn
	// begins reports whether what is read next begins a request.
	begins bool
}

// Read implements net.Conn.
func (c *escapesConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.begins && n > 0 {
		c.begins = false
		mendEscapes(p[:n])
	}
	return n, err
}

// track is a hook of http.Server.
func (c *escapesConn) track(state http.ConnState) {
	c.begins = state == http.StateNew || state == http.StateIdle
}

// mendEscapes changes the malformed escapes in the path of a request to the
// administration, as far as its beginning is there. The length stays.
func mendEscapes(request []byte) {
	_, target, found := bytes.Cut(request, []byte(" "))
	if !found || !bytes.HasPrefix(target, []byte("/administration/")) {
		return
	}
	if end := bytes.IndexAny(target, "? \r\n"); end >= 0 {
		target = target[:end]
	}
	for i, char := range target {
		if char == '%' && (i+2 >= len(target) || !isHex(target[i+1]) || !isHex(target[i+2])) {
			target[i] = '!'
		}
	}
}

func isHex(char byte) bool {
	return '0' <= char && char <= '9' || 'a' <= char && char <= 'f' || 'A' <= char && char <= 'F'
}
