package database

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// clockTolerance is how far the clocks of a server and of its database may be
	// apart before the log says so. Clients of Parsec 3 stop at 300 s
	// (docs/protocol/v5/quirks.md), and what two servers date is then out of order.
	clockTolerance = time.Second
	// clockSamples is how often the time is asked at once: the answer that came
	// fastest says it best.
	clockSamples = 3
)

// clocks compares the clock of the server with that of the database, which all servers
// on it share.
type clocks struct {
	// now is the clock of the server.
	now func() time.Time
	// offset is how far it was ahead when last compared, in nanoseconds.
	offset atomic.Int64
	// apart reports that the log said so; one goroutine at a time uses it.
	apart bool
}

// clockReading is one answer to what time it is there.
type clockReading struct {
	// offset is how far the server is ahead, as if the answer had been given half way.
	offset time.Duration
	// took is the time between question and answer: offset is right within half of it.
	took time.Duration
}

// compareClocks looks at the clock of the database, and tells the log when the two drift
// apart, and when they agree again.
func (d *Database) compareClocks(ctx context.Context) error {
	var best clockReading
	err := d.connected(ctx, acquireLimit, func(ctx context.Context, connection *pgx.Conn) error {
		for i := range clockSamples {
			reading, err := d.clocks.read(ctx, connection)
			if err != nil {
				return err
			}
			if i == 0 || reading.took < best.took {
				best = reading
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.clocks.settle(ctx, best, d.logger)
	return nil
}

func (c *clocks) read(ctx context.Context, connection *pgx.Conn) (clockReading, error) {
	asked := time.Now() // has a clock that nobody sets
	var there time.Time
	if err := connection.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&there); err != nil {
		return clockReading{}, err
	}
	here, took := c.now(), time.Since(asked)
	return clockReading{offset: here.Sub(there) - took/2, took: took}, nil
}

// settle takes for apart only what no slow answer explains.
func (c *clocks) settle(ctx context.Context, reading clockReading, logger *slog.Logger) {
	defer c.offset.Store(int64(reading.offset))
	before := c.apart
	c.apart = reading.offset.Abs()-reading.took/2 > clockTolerance
	switch {
	case c.apart && !before:
		logger.WarnContext(ctx, "the clock of this server and that of its database differ: set both by NTP",
			slog.Duration("ahead", reading.offset.Round(time.Millisecond)))
	case before && !c.apart:
		logger.InfoContext(ctx, "the clock of this server and that of its database agree again")
	}
}
