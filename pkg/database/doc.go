// Package database is the engine on PostgreSQL, version 12 or later, that several
// servers may share: connections, transactions, events, pruning, migrations. It
// knows the table of the events and that of the migrations, and no other:
// whoever keeps tables stands on it, and hands it statements.
//
// # Transactions
//
// Update takes a list of decisions about one locked thing, and commits them
// together, in two round trips. A refused decision leaves no trace, and the
// others stand. Stores gather what they decide together by pkg/gather.
//
// Lock first, then facts: a statement that waits for a lock sees, of all rows but
// the locked one, what was there when it began to wait. So what locks and what
// reads facts are statements of their own, sent together in this order.
//
// Transactions that PostgreSQL ends because of others (a deadlock, two
// creations of one thing) run again. When the connection is lost while COMMIT
// is under way, nobody knows the outcome: the caller gets an error.
//
// # Events
//
// A transaction writes its events as one row of the outbox, in the batch that
// commits. A server reads the rows in the order of their ids and publishes them
// to its bus, each once. Its place, the cursor, is the id of the last row that it
// has published, and moves past an id that is missing only once nobody can commit
// it any more. It is woken by its own commits, by the notifications of other
// servers, and by a clock, so that neither is needed. See delivery.
//
// # Goroutines
//
// A Database of a server has two, which Close ends: one delivers events, on a
// connection of its own, and one prunes and looks at the clocks. That of the command of
// an operator has neither. A Batcher has goroutines while it runs something.
package database
