package database

import "time"

// Statistics are how a Database is doing.
type Statistics struct {
	// Acquired and Idle are connections of the pool, Maximum the most that it
	// opens.
	Acquired, Idle, Maximum int32
	// Acquires counts the connections taken, Waits those that had to be waited
	// for, and Waited is the time that all of this took.
	Acquires, Waits int64
	Waited          time.Duration
	// OutboxLag is what Lag returns.
	OutboxLag time.Duration
	// SchemaVersion is that last seen, 0 before.
	SchemaVersion int64
	// ClockOffset is how far the clock of the server was ahead of that of the database
	// when last compared, 0 before.
	ClockOffset time.Duration
}

// Lag returns how late an event may be: the time since every one had been read, 0 for
// the command of an operator, which hears of none. It asks nothing of the database.
func (d *Database) Lag() time.Duration {
	if d.delivery == nil {
		return 0
	}
	return time.Since(*d.delivery.caughtUp.Load())
}

// Statistics asks nothing of the database.
func (d *Database) Statistics() Statistics {
	pool := d.pool.Stat()
	return Statistics{
		Acquired: pool.AcquiredConns(), Idle: pool.IdleConns(), Maximum: pool.MaxConns(),
		Acquires: pool.AcquireCount(), Waits: pool.EmptyAcquireCount(), Waited: pool.AcquireDuration(),
		OutboxLag:     d.Lag(),
		SchemaVersion: d.schema.Load(),
		ClockOffset:   time.Duration(d.clocks.offset.Load()),
	}
}
