package postgres

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
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Store = (*Store)(nil)

// Options are the settings of a store.
type Options struct {
	// DSN and Reread are those of a Source.
	DSN    string
	Reread func() (string, error)
	// MinConnections are kept open, and MaxConnections is the most that are,
	// at least one. One more is held for events.
	MinConnections, MaxConnections int32
	// Migrate brings the schema to the version that this server works with
	// first, as the function Migrate does.
	Migrate bool
	// Retry is for the first connection. What is lost later is opened again
	// when it is needed.
	Retry Retry
	// Now is the clock of the rules, by which reservations of blocks expire.
	Now func() parsec.DateTime
	// Logger is told when the delivery of events stops and starts, and what a
	// Source tells.
	Logger *slog.Logger
}

// Store implements rules.Store. Its methods are safe for concurrent use.
// Once a statement is sent, they no longer end with their context, which would
// cost the connection, but within limits of their own.
type Store struct {
	pool      *pgxpool.Pool
	delivery  *delivery
	instance  *instance
	now       func() parsec.DateTime
	logger    *slog.Logger
	keys      keyCache
	vlobReads gatherer[*vlobRead]
	// serving is closed once events are delivered for the first time.
	serving chan struct{}
	// full tells that something that was written did not fit on the disk of the
	// database, and nothing was written since.
	full atomic.Bool
	// schema is the version of the schema last seen.
	schema atomic.Int64

	stop   context.CancelFunc
	routes sync.WaitGroup
}

// Open connects to the database. It fails when the schema is newer than this
// server knows; when it is older, the store opens but is not ready until the
// schema is migrated. The store publishes to bus until Close, and tells it of
// events lost when it was without database for longer than they are kept.
func Open(ctx context.Context, options Options, bus *event.Bus) (*Store, error) {
	from, err := newConnector(Source{DSN: options.DSN, Reread: options.Reread, Logger: options.Logger}, nil)
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
	s := &Store{instance: newInstance(), now: options.Now, logger: options.Logger, serving: make(chan struct{})}
	s.vlobReads = gatherer[*vlobRead]{run: s.readVlobs, most: vlobReadsTogether, runs: vlobReadRuns, patience: vlobReadPatience}
	s.delivery = newDelivery(from, s.instance, bus, notice.Codec{}, options.Logger)
	connection, err := options.Retry.connect(ctx, s.delivery.connect, options.Logger)
	if err != nil {
		return nil, explained(err)
	}
	if options.Migrate {
		err = s.migrate(ctx, options.DSN)
	}
	if err == nil {
		err = s.start(ctx, config, connection)
	}
	if err != nil {
		return nil, errors.Join(explained(err), closeConnection(connection))
	}
	return s, nil
}

// migrate tells of each step.
func (s *Store) migrate(ctx context.Context, dsn string) error {
	applied, err := Migrate(ctx, dsn)
	for _, migration := range applied {
		s.logger.InfoContext(ctx, "migration applied", slog.String("file", migration.File))
	}
	return err
}

// start takes the connection unless it fails.
func (s *Store) start(ctx context.Context, config *pgxpool.Config, connection *pgx.Conn) error {
	version, err := checkDatabase(ctx, connection)
	if err != nil {
		return err
	}
	s.schema.Store(version)
	if err := warnOfLimit(ctx, connection, config.MaxConns+1, s.logger); err != nil {
		return err
	}
	if version == migrations.Latest() { // Otherwise Ready says so.
		if err := s.delivery.begin(ctx, connection); err != nil {
			return err
		}
		close(s.serving)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	if s.pool, err = pgxpool.NewWithConfig(running, config); err != nil {
		stop()
		return fmt.Errorf("open the database: %w", err)
	}
	s.stop = stop
	s.routes.Go(func() { s.delivery.run(running, connection, s.serving) })
	s.routes.Go(func() { s.maintain(running) })
	return nil
}

// Close ends the delivery of events, lets the commands that have begun finish,
// and closes every connection.
func (s *Store) Close() {
	s.stop()
	s.routes.Wait()
	s.pool.Close()
}

// Ready implements rules.Store: the database answers and takes writes, its
// schema is not older than this server wants, events are delivered, and there
// is room for what is written.
func (s *Store) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var version int64
	// It ends with ctx, at the price of the connection.
	err := s.connected(ctx, acquireLimit, func(_ context.Context, connection *pgx.Conn) (err error) {
		if err := checkWritable(ctx, connection); err != nil {
			return err
		}
		if version, err = schemaVersion(ctx, connection); err != nil {
			return err
		}
		s.schema.Store(version)
		if s.full.Load() {
			return s.checkRoom(ctx, connection)
		}
		return nil
	})
	// The errors of connections name hosts and users: they are for the log.
	switch {
	case errors.Is(err, errReadOnly):
		return errors.New("the database is read-only")
	case isFullDisk(err):
		return rules.ErrNoRoom
	case err != nil:
		s.logger.DebugContext(ctx, "database not ready", slog.Any("error", err))
		return errors.New("the database does not answer")
	case version < migrations.Latest():
		return errOldSchema(version)
	case s.delivery.ready() != nil:
		return errors.New("the events of the database are not delivered yet")
	default:
		return nil
	}
}

// The limits of one use of a connection.
const (
	// acquireLimit bounds the wait for a connection of the pool.
	acquireLimit = 10 * time.Second
	// againLimit bounds it when a connection was lost before, which may have
	// taken silenceLimit.
	againLimit = 5 * time.Second
	// fullPause is between two attempts when the server of the database has no
	// connection left.
	fullPause = 20 * time.Millisecond
	// useLimit bounds what is done with it.
	useLimit = time.Minute
)

var errNotServing = errors.New("the database is not ready")

// use runs work with a connection, once the store serves. Its errors are
// classified.
func (s *Store) use(ctx context.Context, work func(context.Context, *pgx.Conn) error) error {
	return s.useWithin(ctx, acquireLimit, work)
}

// useWithin is use that waits for a connection no longer than for patience.
func (s *Store) useWithin(ctx context.Context, patience time.Duration, work func(context.Context, *pgx.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.serving:
		return classified(s.connected(ctx, patience, work))
	default:
		return classified(errNotServing)
	}
}

// connected runs work with a connection, and a context that does not end with
// ctx.
func (s *Store) connected(ctx context.Context, patience time.Duration, work func(context.Context, *pgx.Conn) error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	acquired, err := s.acquire(waiting)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("wait for a database connection: %w", &unavailableError{err})
	}
	defer acquired.Release()
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), useLimit)
	defer cancel()
	err = work(working, acquired.Conn())
	switch {
	case err == nil:
		return nil
	case acquired.Conn().IsClosed():
		s.pool.Reset() // The others have likely died with it.
		s.keys.forget()
		if working.Err() != nil {
			return &unavailableError{err}
		}
		return &lostError{err}
	case isReadOnly(err):
		s.pool.Reset() // New ones may find the primary.
	case isFullDisk(err):
		s.full.Store(true)
	}
	return err
}

// acquire takes a connection of the pool. When the database allows no more, it
// waits for one of those that there are.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		acquired, err := s.pool.Acquire(ctx)
		if !isFull(err) || pause(ctx, fullPause) != nil {
			return acquired, err
		}
	}
}

// lostError tells that the connection was lost.
type lostError struct{ err error }

func (e *lostError) Error() string { return "database connection lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func isLost(err error) bool {
	_, lost := errors.AsType[*lostError](err)
	return lost
}

// read is use for work that changes nothing: it runs again when its connection
// is lost.
func (s *Store) read(ctx context.Context, work func(context.Context, *pgx.Conn) error) error {
	err := s.use(ctx, work)
	if isLost(err) {
		err = s.useWithin(ctx, againLimit, work)
	}
	return err
}

// closeConnection ends a connection that nothing is under way on.
func closeConnection(connection *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return connection.Close(ctx)
}
