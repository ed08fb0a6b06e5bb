package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"parsec-server/pkg/parsec"
)

// ErrProtocol is wrapped by the errors of a server that breaks the protocol,
// such as a reply that does not decode.
var ErrProtocol = errors.New("the server broke the protocol")

// MaxMessageBytes is the longest message or HTTP body that a client reads. The
// protocol sets no limit to replies: the changes of two million vlobs fit, and a
// reply that never ends does not.
const MaxMessageBytes = 64 << 20

const (
	maxIdleConnections    = 64
	idleConnectionTimeout = 90 * time.Second
)

// Options are the optional settings of a Client.
type Options struct {
	// TLS is used with an address that wants TLS; nil trusts the authorities
	// of the system.
	TLS *tls.Config
	// DialContext opens the TCP connections; nil is that of net.Dialer. A load
	// program chooses its source addresses here.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock; the system's if nil.
	Now func() parsec.DateTime
}

// Client reaches one server. It may be used by several goroutines.
type Client struct {
	address   parsec.ServerAddress
	transport *http.Transport
	http      *http.Client
	now       func() parsec.DateTime
}

// New returns a client of the server at address. It sends nothing yet.
func New(address parsec.ServerAddress, options Options) *Client {
	now := options.Now
	if now == nil {
		now = func() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }
	}
	// Clients never need HTTP/2 (docs/protocol/transport.md §2), and WebSocket
	// needs HTTP/1.1.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         options.DialContext,
		TLSClientConfig:     options.TLS.Clone(),
		MaxIdleConnsPerHost: maxIdleConnections,
		IdleConnTimeout:     idleConnectionTimeout,
		DisableCompression:  true,
		Protocols:           protocols,
	}
	return &Client{
		address:   address,
		transport: transport,
		now:       now,
		http: &http.Client{
			Transport: transport,
			// A redirection means that the address is wrong: it is reported.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Address is where the server is.
func (c *Client) Address() parsec.ServerAddress { return c.address }

// HTTP returns what the client sends its requests with.
func (c *Client) HTTP() *http.Client { return c.http }

// Now returns the time of the client's clock.
func (c *Client) Now() parsec.DateTime { return c.now() }

// Close drops the idle HTTP connections. Other connections and streams are
// closed one by one.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
