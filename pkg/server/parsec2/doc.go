// Package parsec2 serves API 1 to 3 on a server: WebSockets with their
// handshake, HTTP RPC and event streams (docs/protocol/transport.md). It finds
// out who calls, decodes requests, calls the rules, and sends what they answer;
// it decides nothing about organizations.
//
// Each WebSocket connection has one goroutine that reads it, so that control
// frames are answered at any time, and at most two more: one runs the command
// of the moment, one closes. A connection owns and awaits them; the wing owns
// connections and ends them in Drain and Cut.
package parsec2
