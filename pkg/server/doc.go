// Package server is what every transport needs, on one port
// (docs/protocol/transport.md): limits and budgets, buffers, how a command is
// run, told and encoded, event streams, health and readiness, pages, REST
// administration, and the end. It knows no message: what a generation of the
// protocol asks and answers is in a Wing, which stands on it.
//
// The server owns the goroutines that its wings start by Start and Go, and awaits
// them in Shutdown.
package server
