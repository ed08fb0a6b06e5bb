// Package postgres keeps the state of every organization of API 1 to 3 in a
// PostgreSQL database, by the engine of the package database.
// docs/database.md explains the schema and what each command costs.
//
// Update costs two round trips, and each method of its transaction that asks for
// more facts costs one more. The reads of one command are one round trip: one
// statement, or several in one snapshot.
//
// Locks are taken in the order organization, realm, block or recipients. That
// of an organization is an advisory lock, the others are rows, locked FOR NO KEY
// UPDATE. Every write to a realm takes its row: each of them changes its
// counters, so that a weaker lock would be raised later, and two that wait for
// each other would have to start again.
package postgres
