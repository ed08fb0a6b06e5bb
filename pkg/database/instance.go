package database

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
//
// The table instance has a row for each instance that has a lock. The row of one that
// ends goes; that of one that vanished stays, with a lock that anybody can get.
type instance struct {
	// last is the number that was locked last; only hold uses it.
	last instanceNumber
	// seen is when an instance vanished last, as far as was told; only look uses it.
	seen time.Time

	mu sync.Mutex // guards entered, entries and left
	// entered is the number that has a row, zero for none, and entries how often one was
	// written.
	entered instanceNumber
	entries uint64
	// left reports that the process ends: nothing is entered any more.
	left bool
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

// enter has the other instances notice when this one vanishes, which holds its number
// on the connection.
func (i *instance) enter(ctx context.Context, connection *pgx.Conn) error {
	i.mu.Lock()
	before, left := i.entered, i.left
	if !left {
		i.entered = i.last
	}
	i.mu.Unlock()
	if left {
		return nil
	}
	statements := []Statement{{SQL: enterInstance, Args: []any{i.last.lock()}}}
	if before != i.last && before != (instanceNumber{}) {
		statements = append(statements, Statement{SQL: leaveInstance, Args: []any{before.lock()}})
	}
	if err := send(ctx, connection, statements...); err != nil {
		return fmt.Errorf("tell that this server lives: %w", err)
	}
	i.mu.Lock()
	i.entries++
	i.mu.Unlock()
	return nil
}

// leave is called when the process ends, after enter. The others take it for one that
// vanished if it says so, or cannot say anything.
func (i *instance) leave(ctx context.Context, d *Database, vanishes bool) error {
	i.mu.Lock()
	entered := i.entered
	i.left = true
	i.mu.Unlock()
	if entered == (instanceNumber{}) {
		return nil
	}
	sql := leaveInstance
	if vanishes {
		sql = vanishInstance
	}
	return d.One(ctx, Statement{SQL: sql, Args: []any{entered.lock()}})
}

// look finds the instances that vanished, and reports when the last one did if that is
// news, and whether there are others that did not. Those that lost their connections
// together with this one may be away for another moment: spare has it only read what
// others have found.
func (i *instance) look(ctx context.Context, connection *pgx.Conn, spare bool) (vanished time.Time, news, others bool, err error) {
	var all []otherInstance
	err = send(ctx, connection, List(&all, `
SELECT lock, vanished_on IS NULL AND NOT $2 AND pg_try_advisory_xact_lock_shared(lock),
    vanished_on, clock_timestamp() FROM instance WHERE lock <> $1`,
		[]any{i.last.lock(), spare}, func(o *otherInstance) []any { return []any{&o.lock, &o.vanishes, &o.vanishedOn, &o.now} }))
	if err != nil {
		return vanished, false, false, fmt.Errorf("look for other servers: %w", err)
	}
	for _, other := range all {
		if other.vanishes {
			if err := send(ctx, connection, Statement{SQL: vanishInstance, Args: []any{other.lock}}); err != nil {
				return vanished, false, false, fmt.Errorf("tell that a server vanished: %w", err)
			}
			other.vanishedOn = &other.now
		}
		others = others || other.vanishedOn == nil
		if on := other.vanishedOn; on != nil && on.After(i.seen) {
			i.seen, news = *on, true
			vanished = time.Now().Add(on.Sub(other.now)) // the clock of the database is another one
		}
	}
	return vanished, news, others, nil
}

// otherInstance is a row of the table.
type otherInstance struct {
	lock int64
	// vanishes reports that nobody holds the lock, and nobody has said so yet.
	vanishes bool
	// vanishedOn is nil for one that is there, by the clock of the database as now is.
	vanishedOn *time.Time
	now        time.Time
}

const (
	enterInstance = "INSERT INTO instance (lock) VALUES ($1) ON CONFLICT (lock) DO UPDATE SET vanished_on = NULL"
	leaveInstance = "DELETE FROM instance WHERE lock = $1"
	// vanishInstance leaves the date of who was first.
	vanishInstance = "UPDATE instance SET vanished_on = clock_timestamp() WHERE lock = $1 AND vanished_on IS NULL"

	// vanishedKept is how long it is known that an instance vanished, longer than
	// anybody asks.
	vanishedKept = 5 * time.Minute
	// leaveLimit bounds what is told at the end.
	leaveLimit = time.Second
	// lookPeriod is the time between two looks for instances that vanished, and
	// spareLimit how long after a new connection none is found: others may need as
	// long to connect again.
	lookPeriod = time.Second
	spareLimit = 5 * time.Second
)

// pruneInstances forgets those that vanished.
func (d *Database) pruneInstances(ctx context.Context) error {
	return d.Repeat(ctx, `
DELETE FROM instance WHERE lock IN (
    SELECT lock FROM instance WHERE vanished_on < clock_timestamp() - $2::bigint * interval '1 second' LIMIT $1
)`, int64(vanishedKept.Seconds()))
}

// OnLeave has Close ask whether this instance leaves something that the others must
// take for what one leaves that vanished.
func (d *Database) OnLeave(vanishes func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.vanishes = vanishes
}

// leave tells the others that the process ends.
func (d *Database) leave() {
	d.mu.Lock()
	vanishes := d.vanishes != nil && d.vanishes()
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if err := d.instance.leave(ctx, d, vanishes); err != nil {
		d.logger.WarnContext(ctx, "other servers take this one for one that vanished", slog.Any("error", err))
	}
}

// Instance returns the key of the row of this instance in the table of that name, and how
// often it was written: others may have taken what this instance left before for that of
// one that vanished. It is 0 times where no instance can be told alive.
func (d *Database) Instance() (lock int64, entries uint64) {
	d.instance.mu.Lock()
	defer d.instance.mu.Unlock()
	return d.instance.entered.lock(), d.instance.entries
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
