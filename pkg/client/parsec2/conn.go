package parsec2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
)

// Conn is a WebSocket connection. Its pings are answered at any time by the
// goroutine that reads it, which ends when the connection does.
//
// RoundTrip, and so Call, may be called by several goroutines: one
// request is under way at a time. Send and Receive are for tests of bad input
// and of abandoned commands, which use nothing else until they have received
// every reply.
type Conn struct {
	socket         *websocket.Conn
	client, server parsec.APIVersion
	turn           chan struct{} // holds one item while a request is under way
	messages       chan []byte
	cancel         context.CancelFunc
	done           chan struct{} // closed when the reader has ended
	err            error         // why it has; written before done is closed
}

// Dial opens a WebSocket without any handshake. Its connection can only Send and
// Receive; use DialAuthenticated and its like for the rest.
//
// An answer that is not an upgrade is an *client.HTTPError.
//
//nolint:bodyclose // the library replaces the body of its response
func (c *Client) Dial(ctx context.Context) (*Conn, error) {
	socket, response, err := websocket.Dial(ctx, c.Address().HTTPOrigin()+"/ws", &websocket.DialOptions{
		HTTPClient:      c.HTTP(),
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			return nil, client.NewHTTPError(response)
		}
		return nil, fmt.Errorf("connect to %s: %w", c.Address(), client.WithoutURL(err))
	}
	socket.SetReadLimit(client.MaxMessageBytes)
	readContext, cancel := context.WithCancel(context.Background())
	conn := &Conn{
		socket:   socket,
		turn:     make(chan struct{}, 1),
		messages: make(chan []byte, 1),
		cancel:   cancel,
		done:     make(chan struct{}),
	}
	go conn.read(readContext)
	return conn, nil
}

// Version returns what the client announced in its handshake.
func (c *Conn) Version() parsec.APIVersion { return c.client }

// ServerVersion returns the server's version of the same major.
func (c *Conn) ServerVersion() parsec.APIVersion { return c.server }

// Done is closed when the connection is, by either side.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection is closed, or nil before Done is closed. It
// wraps the websocket.CloseError of a close frame.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// RoundTrip sends request and waits for its reply. When ctx ends first the
// connection is closed: the reply would be taken for that of another request.
func (c *Conn) RoundTrip(ctx context.Context, request []byte) ([]byte, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := c.Send(ctx, request); err != nil {
		return nil, err
	}
	return c.Receive(ctx)
}

// Send sends a binary message.
func (c *Conn) Send(ctx context.Context, message []byte) error {
	return c.write(ctx, websocket.MessageBinary, message)
}

// SendText sends a text message. The protocol has none.
func (c *Conn) SendText(ctx context.Context, text string) error {
	return c.write(ctx, websocket.MessageText, []byte(text))
}

func (c *Conn) write(ctx context.Context, kind websocket.MessageType, message []byte) error {
	err := c.socket.Write(ctx, kind, message)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// When the server has closed the connection, its reason says more.
	c.CloseNow()
	if websocket.CloseStatus(c.err) >= 0 {
		return c.err
	}
	return err
}

// Receive returns the next message. When ctx ends first the connection is
// closed.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	message, _, err := c.await(ctx, nil)
	return message, err
}

// receiveProbing is Receive with a probe whenever the server is silent. The
// server must answer before the next probe.
func (c *Conn) receiveProbing(ctx context.Context) ([]byte, error) {
	for {
		silence := time.NewTimer(probeInterval)
		message, silent, err := c.await(ctx, silence.C)
		silence.Stop()
		if !silent {
			return message, err
		}
		if err := c.probe(ctx); err != nil {
			return nil, fmt.Errorf("the server does not answer a ping: %w", err)
		}
	}
}

func (c *Conn) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	return c.Probe(ctx)
}

// await returns the next message, or reports that expired came first.
func (c *Conn) await(ctx context.Context, expired <-chan time.Time) (message []byte, expires bool, err error) {
	select {
	case message = <-c.messages:
		return message, false, nil
	case <-c.done:
		select {
		case message = <-c.messages: // came before the end
			return message, false, nil
		default:
			return nil, false, c.err
		}
	case <-expired:
		return nil, true, nil
	case <-ctx.Done():
		c.CloseNow()
		return nil, false, ctx.Err()
	}
}

// Probe sends a WebSocket ping and waits for its pong.
func (c *Conn) Probe(ctx context.Context) error { return c.socket.Ping(ctx) }

// Close closes the connection with a close frame and waits for the server's,
// a few seconds at most.
func (c *Conn) Close() {
	// Its error is that the server was faster, or did not answer.
	_ = c.socket.Close(websocket.StatusNormalClosure, "")
	c.CloseNow()
}

// CloseNow drops the connection, like a client that disappears.
func (c *Conn) CloseNow() {
	c.cancel()
	// Its error is that the connection was closed already.
	_ = c.socket.CloseNow()
	<-c.done
}

func (c *Conn) read(ctx context.Context) {
	defer close(c.done)
	var buffer bytes.Buffer
	for {
		kind, reader, err := c.socket.Reader(ctx)
		if err == nil {
			buffer.Reset()
			_, err = buffer.ReadFrom(reader)
		}
		if err == nil && kind != websocket.MessageBinary {
			err = fmt.Errorf("%w: text message", client.ErrProtocol)
		}
		if err != nil {
			c.end(err)
			return
		}
		select {
		case c.messages <- bytes.Clone(buffer.Bytes()):
		case <-ctx.Done():
			c.end(ctx.Err())
			return
		}
	}
}

func (c *Conn) end(err error) {
	if !errors.Is(err, client.ErrProtocol) && websocket.CloseStatus(err) < 0 {
		err = fmt.Errorf("connection lost: %w", err)
	}
	c.err = err
	_ = c.socket.CloseNow()
}
