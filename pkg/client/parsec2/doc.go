// Package parsec2 speaks to a server as the official clients of API 1, 2 and 3
// do: their WebSocket handshakes, HTTP RPC, both streams of events, and the
// certificates that users and devices are made with. Tests, the command line
// and load programs use it.
//
// A Client knows where the server is. From it come connections (Conn) and HTTP
// callers (RPC); Call sends the commands of package protocol over either. A
// refusal of the server is a *protocol.Refusal, a refused handshake a
// *HandshakeError, an HTTP answer other than the one wanted a
// *client.HTTPError; a server that does not keep to docs/protocol is
// client.ErrProtocol.
//
// Every goroutine of the package belongs to a Conn or an EventStream and ends
// with it.
package parsec2
