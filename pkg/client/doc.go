// Package client speaks to a server as the official clients do: the WebSocket
// handshakes of API 1, 2 and 3, HTTP RPC, both streams of events, and the
// certificates that users and devices are made with. Tests, the command line
// and load programs are its users.
//
// A Client knows where the server is. From it come connections (Conn) and HTTP
// callers (RPC), which share the typed methods of Commands: one for each form
// of each command. A refusal of the server is a *protocol.Refusal, of the
// handshake a *HandshakeError, of HTTP an *HTTPError; a server that does not
// keep to docs/protocol is ErrProtocol.
//
// Every goroutine of the package belongs to a Conn or an EventStream and ends
// with it.
package client
