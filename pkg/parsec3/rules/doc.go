// Package rules holds the rules of Parsec 3: who may do what, when, and what it
// changes. It knows nothing of sockets, HTTP or SQL.
//
// A rule reads like the tables of docs/protocol/v5/commands.md, top to bottom. A
// rule that writes loads the certificates of its request first. Then it runs
// inside Store.Update: it gets facts under the locks that its scope declares,
// decides in plain Go, and queues effects and events on the transaction, which
// the store applies together or not at all. Stores answer questions and apply
// effects; they never decide. Whatever is slow (an upload, a webhook) happens
// outside of Update, and the rule then runs again.
//
// The errors of commands are *protocol.Refusal for what the client did wrong, an
// Abort where the answer is an HTTP status, and anything else for a failure of
// the server, which is never shown to the client.
package rules
