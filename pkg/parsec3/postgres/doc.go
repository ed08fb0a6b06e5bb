// Package postgres keeps the state of every organization of Parsec 3 in a
// PostgreSQL database, by the engine of the package database.
// docs/database.md explains the schema, parsec3, and what each command costs.
//
// Every key begins with the organization, and every statement of a command names
// it for each of its tables, as $1: so the tables can be distributed by it.
//
// Update costs two round trips, and each method of its transaction that asks for
// more facts costs one more. What waits for one topic is run together, in one
// transaction: a batch. So is what writes data in several realms. Of data, all
// facts are read at first, and what a rule changes of them for the next one is
// followed in memory; its effects are sent together. Otherwise each rule but the
// first has its facts read again, after the effects of those before. The reads of
// one command are one round trip: one statement, or several in one snapshot.
//
// Every lock is a row, but that of the organization itself, which both generations
// share. A lock is taken by a statement of its own, before those that read facts.
// A topic that is shared is locked FOR SHARE, one that grows FOR NO KEY UPDATE.
// Writers of vlobs and blocks share the topic of their realm: what orders them is
// the row of its counters, which is the last that their transaction takes.
package postgres
