// Package invariants3 tests the invariants of docs/protocol/v5/commands.md §13, on one
// server in memory and on two processes of the command over one PostgreSQL, and that
// each lock of the store is needed for them.
package invariants3
