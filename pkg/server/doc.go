// Package server speaks the protocol to clients: WebSocket, HTTP RPC, event
// stream, pages and health, on one port (docs/protocol/transport.md). It
// decodes requests, calls the rules, and encodes what they
// answer; it decides nothing about organizations.
//
// Each WebSocket connection has one goroutine that reads it, so that control
// frames are answered at any time, and at most two more: one runs the command
// of the moment, one closes. A connection owns and awaits them; the server owns
// connections and ends them in Shutdown.
package server
