// Package webhook calls out of the server over HTTP: it asks sequester services
// about what is written, and announces new organizations
// (docs/protocol/administration.md §3 and §6, docs/protocol/v5/administration.md
// §7). It takes plain values.
//
// A sequester call is made once, by the command that waits for it. The calls
// about new organizations wait in a bounded queue for the one goroutine of the
// Client, which Close ends.
package webhook
