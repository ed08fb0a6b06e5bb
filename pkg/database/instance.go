package database

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/parsec"
)

// instance is one Database of one process, as the others can find out whether it
// is still there: its delivery holds a lock of its session, which PostgreSQL
// frees at once when the process dies.
//
// The number of the lock is the beginning of its tokens, which are UUIDs of
// version 8. Those of version 4, made while there is no lock, do not show whose
// they are.
type instance struct {
	// last is the number that was locked last; only hold uses it.
	last instanceNumber
	// held is the number that is locked now, nil for none.
	held atomic.Pointer[instanceNumber]
}

type instanceNumber [6]byte

const (
	// The place of the version in the bytes of a UUID, and that of tokens with
	// a number (RFC 9562 §4.2, §5.8).
	versionByte    = 6
	versionMask    = 0xf0
	versionOfToken = 0x80
)

// numberOf returns the beginning of a UUID.
func numberOf(id parsec.UUID) instanceNumber { return instanceNumber(id[:len(instanceNumber{})]) }

// lock returns the key of the advisory lock.
func (n instanceNumber) lock() int64 { return advisoryKey(fmt.Sprintf("instance %x", n[:])) }

// hold locks a number on a connection, until drop: that of before, so that
// what has its tokens stays known, unless the connection of before still has it.
func (i *instance) hold(ctx context.Context, connection *pgx.Conn) error {
	for {
		number, locked := i.last, false
		if err := connection.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", number.lock()).Scan(&locked); err != nil {
			return fmt.Errorf("lock what tells that this server lives: %w", err)
		}
		if locked {
			i.held.Store(&number)
			return nil
		}
		i.last = numberOf(parsec.NewUUID())
	}
}

// drop is called when the connection ends.
func (i *instance) drop() { i.held.Store(nil) }

// NewToken returns a new token of this server.
func (d *Database) NewToken() parsec.UUID {
	token := parsec.NewUUID()
	if number := d.instance.held.Load(); number != nil {
		copy(token[:], number[:])
		token[versionByte] = token[versionByte]&^versionMask | versionOfToken
	}
	return token
}

// HasDied reports whether the server of a token is known to be dead.
func (d *Database) HasDied(ctx context.Context, token parsec.UUID) (dead bool, err error) {
	statement, known := asksWhetherDied(token, &dead)
	if !known {
		return false, nil
	}
	err = d.One(ctx, statement)
	return dead, err
}

// HasDied is that of Database, in one round trip.
func (t *Tx) HasDied(token parsec.UUID) (dead bool, err error) {
	statement, known := asksWhetherDied(token, &dead)
	if !known {
		return false, nil
	}
	err = t.Ask(statement)
	return dead, err
}

// asksWhetherDied returns the statement that sets dead; known is false for the
// token of nobody knows whom. The server of a token holds a lock as long as it
// lives.
func asksWhetherDied(token parsec.UUID, dead *bool) (statement Statement, known bool) {
	if token[versionByte]&versionMask != versionOfToken {
		return Statement{}, false
	}
	return Only("SELECT pg_try_advisory_xact_lock_shared($1)", []any{numberOf(token).lock()}, dead), true
}
