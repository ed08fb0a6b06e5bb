// Package postgres keeps the state of every organization in a PostgreSQL
// database, version 12 or later, that several servers may share.
// docs/database.md explains the schema and what each command costs.
//
// # Transactions
//
// Update costs two round trips: one for BEGIN, the locks and the facts of the
// scope, one for the effects, the events and COMMIT. Each method of the
// transaction that asks for more facts costs one more. The reads of one
// command are one round trip: one statement, or several in one snapshot.
//
// Locks are taken in the order organization, realm, block or recipients. That
// of an organization is an advisory lock, because a row that many transactions
// share would keep a list of them; the others are rows, locked FOR NO KEY
// UPDATE. Every write to a realm takes its row: each of them changes its
// counters, so that a weaker lock would be raised later, and two that wait for
// each other would have to start again. Statements that read facts come after
// those that lock, so that they see what the previous holder left.
//
// Transactions that PostgreSQL ends because of others (a deadlock, two
// creations of one thing) run again. When the connection is lost while COMMIT
// is under way, nobody knows the outcome: the caller gets an error.
//
// # Events
//
// A transaction writes its events as one row of a table, the outbox. One
// goroutine of each store, that Close ends, reads the rows in the order of
// their ids and publishes them to the bus. It is woken by the store's own
// commits, by the notifications of other stores, and by a clock, so that
// neither is needed. See delivery.
package postgres
