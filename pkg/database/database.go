package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/migrations"
	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// Options are the settings of a Database.
type Options struct {
	// Source names the database, and its logger is told when the delivery of
	// events stops and starts.
	Source
	// MinConnections are kept open, and MaxConnections is the most that are,
	// at least one. A server holds one more for events.
	MinConnections, MaxConnections int32
	// Migrate brings the schema to the version that this server works with
	// first, as the function Migrate does.
	Migrate bool
	// Outage is told when the first connection has to be waited for, and when it is
	// there; nil is told nothing.
	Outage *outage.Dependency
	// Retry is for the first connection. What is lost later is opened again
	// when it is needed.
	Retry Retry
	// ReadOnly permits a database that takes no writes, such as a replica, for
	// the command of an operator.
	ReadOnly bool
	// Codec reads and writes the events of the outbox.
	Codec Codec
	// Now is the clock of the server, which is compared with that of the database; nil
	// is that of the system.
	Now func() time.Time
}

// Database is a pool of connections, and what a server does with its database
// beside the statements of commands. Its methods are safe for concurrent use.
// Once a statement is sent, they no longer end with their context, which would
// cost the connection, but at its deadline, and within limits of their own.
type Database struct {
	pool   *pgxpool.Pool
	codec  Codec
	logger *slog.Logger
	outage *outage.Dependency
	// delivery is nil for the command of an operator.
	delivery *delivery
	instance *instance
	// serving is closed once the schema is that of this server, and events are
	// delivered if they are to be.
	serving chan struct{}
	// full reports that something that was written did not fit on the disk of
	// the database, and nothing was written since.
	full atomic.Bool
	// schema is the version of the schema last seen.
	schema atomic.Int64
	clocks clocks

	mu      sync.Mutex // guards pruners, losses, judges and vanishes
	pruners []func(context.Context) error
	judges  []func(context.Context) error
	losses  []func()
	// vanishes is that of OnLeave, nil for none.
	vanishes func() bool

	stop   context.CancelFunc
	routes sync.WaitGroup
}

// Open connects a server to the database. It fails when the schema is newer than
// this server knows; when it is older, the Database opens but is not ready until
// the schema is migrated. It publishes events to bus, prunes, and compares the clocks,
// until Close. When it was without database for longer than events are kept, it reports
// to bus that events are lost.
//
// Without bus it connects the command of an operator: no event is delivered, and
// nothing pruned, so that there is no goroutine beside those of the pool and no
// connection beside those in use. It fails when the schema is not the one of this
// server.
func Open(ctx context.Context, options Options, bus *event.Bus) (*Database, error) {
	from, err := newConnector(options.Source, nil)
	if err != nil {
		return nil, err
	}
	if options.MaxConnections < 1 || options.MinConnections > options.MaxConnections {
		return nil, fmt.Errorf("%d to %d database connections are not possible", options.MinConnections, options.MaxConnections)
	}
	config := from.pool(options.MinConnections, options.MaxConnections)
	// A connection that died is found by the command that gets it, which takes
	// another one.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	d := &Database{codec: options.Codec, logger: from.source.Logger, outage: options.Outage, instance: &instance{last: numberOf(parsec.NewUUID())}, serving: make(chan struct{})}
	d.clocks.now = options.Now
	if d.clocks.now == nil {
		d.clocks.now = time.Now
	}
	connect := from.connect
	if bus != nil {
		d.delivery = newDelivery(from, d, bus)
		connect = d.delivery.connect
	}
	connection, err := options.Retry.connect(ctx, connect, options.ReadOnly, options.Outage)
	if err != nil {
		return nil, explained(err)
	}
	if options.Migrate {
		err = d.migrate(ctx, options.DSN)
	}
	if err == nil {
		err = d.start(ctx, config, connection)
	}
	if err != nil {
		return nil, errors.Join(explained(err), closeConnection(connection))
	}
	if bus == nil {
		return d, closeConnection(connection)
	}
	return d, nil
}

// migrate logs each step.
func (d *Database) migrate(ctx context.Context, dsn string) error {
	applied, err := Migrate(ctx, dsn)
	for _, migration := range applied {
		d.logger.InfoContext(ctx, "migration applied", slog.String("file", migration.File))
	}
	return err
}

// start has the delivery, if there is one, take the connection, unless it fails.
func (d *Database) start(ctx context.Context, config *pgxpool.Config, connection *pgx.Conn) error {
	version, err := checkDatabase(ctx, connection)
	if err != nil {
		return err
	}
	d.schema.Store(version)
	wanted := config.MaxConns
	if d.delivery != nil {
		wanted++
	}
	if err := warnOfLimit(ctx, connection, wanted, d.logger); err != nil {
		return err
	}
	switch current := version == migrations.Latest(); {
	case !current && d.delivery == nil:
		return errOldSchema(version)
	case current && d.delivery != nil: // Otherwise Ready says so.
		if err := d.delivery.begin(ctx, connection); err != nil {
			return err
		}
		close(d.serving)
	case current:
		close(d.serving)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	if d.pool, err = pgxpool.NewWithConfig(running, config); err != nil {
		stop()
		return fmt.Errorf("open the database: %w", err)
	}
	d.stop = stop
	if d.delivery != nil {
		d.routes.Go(func() { d.delivery.run(running, connection, d.serving) })
		d.routes.Go(func() { d.maintain(running) })
	}
	return nil
}

// Close tells the other instances, ends the delivery of events, lets the commands
// that have begun finish, and closes every connection.
func (d *Database) Close() {
	d.leave()
	d.stop()
	d.routes.Wait()
	d.pool.Close()
}

// Ready returns why the database cannot serve, in words that anybody may read;
// nil when it answers and takes writes, its schema is not older than this server
// wants, events are delivered, and there is room for what is written.
func (d *Database) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var version int64
	// It ends with ctx, at the price of the connection.
	err := d.connected(ctx, acquireLimit, func(_ context.Context, connection *pgx.Conn) (err error) {
		if err := checkWritable(ctx, connection); err != nil {
			return err
		}
		if version, err = schemaVersion(ctx, connection); err != nil {
			return err
		}
		d.schema.Store(version)
		if d.full.Load() {
			return d.checkRoom(ctx, connection)
		}
		return nil
	})
	// The errors of connections name hosts and users: they are for the log.
	switch {
	case errors.Is(err, errReadOnly):
		return &outage.Problem{Told: "the database is read-only", Cause: err}
	case isFullDisk(err):
		return outage.ErrNoRoom
	case err != nil:
		return &outage.Problem{Told: "the database does not answer", Cause: err}
	case version < migrations.Latest():
		return errOldSchema(version)
	case d.delivery != nil && d.delivery.ready() != nil:
		return &outage.Problem{Told: "the events of the database are not delivered yet", Cause: d.delivery.ready()}
	default:
		return d.judge(ctx)
	}
}

// OnReady has Ready fail with what a function says of what the database holds.
func (d *Database) OnReady(judge func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judges = append(d.judges, judge)
}

func (d *Database) judge(ctx context.Context) error {
	d.mu.Lock()
	judges := d.judges
	d.mu.Unlock()
	for _, judge := range judges {
		if err := judge(ctx); err != nil {
			return err
		}
	}
	return nil
}
