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

	"parsec-server/migrations"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

const (
	// pollPeriod is the time between two looks at the outbox when nothing
	// wakes the delivery, and between two attempts to connect.
	pollPeriod = time.Second
	// deafPollPeriod takes its place behind a pooler that has another session
	// for each transaction, so that nothing can be listened to.
	deafPollPeriod = 200 * time.Millisecond
	// notifyPeriod is the least time between two notifications.
	notifyPeriod = 2 * time.Millisecond
	// gapPatience is how long an id is missing before the delivery makes sure
	// that nobody will commit it.
	gapPatience = time.Second
	// settleLimit bounds the wait for the transactions that are writing to the
	// outbox; those that come later wait behind.
	settleLimit = 200 * time.Millisecond
	// rowsPerRead bounds the rows read at once.
	rowsPerRead = 100
	// channel is that of the notifications, which say nothing.
	channel = "parsec_events"
)

// delivery reads the outbox and publishes it to the bus, each row once, in the
// order of the ids.
//
// A transaction gets the id of its row while it holds its locks, so that of
// two transactions of which one waits for the other the ids have the order of
// the commits. But an id may be seen before a lower one is committed. So the
// delivery stops at the first id that is missing. When its transaction
// commits, the delivery is woken and goes on. When it is rolled back, or the
// server of the database crashes, the id stays missing: after a while the
// delivery locks the outbox against writers for an instant, and what is
// missing then is missing for ever.
//
// place is always the id of a row: of the last one published. As long as that
// row is there, no row after it is pruned.
type delivery struct {
	from     *connector
	instance *instance
	codec    Codec
	bus      *event.Bus
	logger   *slog.Logger
	// unknown has the kinds of events that were left out and said to be.
	unknown map[unknownKind]bool
	// commits are those of this server that have events.
	commits signal

	place int64
	// gapSince is when the row after place was found missing, zero if it was
	// not.
	gapSince time.Time
	// notified is when the last notification was sent, and pending reports that
	// commits have come since.
	notified time.Time
	pending  bool
	// looked is when instances that vanished were looked for last.
	looked time.Time

	// caughtUp is when the outbox had been read to its end.
	caughtUp atomic.Pointer[time.Time]

	mu    sync.Mutex // guards state
	state error
}

func newDelivery(from *connector, of *Database, bus *event.Bus) *delivery {
	d := &delivery{
		from: from, instance: of.instance, codec: of.codec, bus: bus, logger: of.logger,
		unknown: map[unknownKind]bool{}, state: errNotServing,
	}
	d.caughtUp.Store(new(time.Now()))
	return d
}

// connect opens a connection to deliver on, that the caller closes.
func (d *delivery) connect(ctx context.Context) (*pgx.Conn, error) {
	config := d.from.now(ctx)
	config.RuntimeParams["application_name"] += " events"
	return pgx.ConnectConfig(ctx, config)
}

// ready returns why events are not delivered, nil if they are.
func (d *delivery) ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// become sets the state, and logs it when it changes: Ready says so, and who asks it
// tells the administrator.
func (d *delivery) become(ctx context.Context, state error) {
	d.mu.Lock()
	before := d.state
	d.state = state
	d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case state == nil && before != nil && !errors.Is(before, errNotServing):
		d.logger.DebugContext(ctx, "events are delivered again")
	case state != nil && (before == nil || before.Error() != state.Error()):
		d.logger.DebugContext(ctx, "events are not delivered", slog.Any("error", state))
	}
}

// run delivers until ctx is done, on one connection after the other, beginning
// with connection. It closes serving once it knows where to begin, unless it
// knows already.
func (d *delivery) run(ctx context.Context, connection *pgx.Conn, serving chan struct{}) {
	for {
		err := d.serve(ctx, connection, serving)
		d.become(ctx, err)
		_ = closeConnection(connection)
		for connection = nil; connection == nil; {
			if pause(ctx, pollPeriod) != nil {
				return
			}
			if connection, err = d.connect(ctx); err != nil {
				d.become(ctx, fmt.Errorf("connect to the database: %w", err))
			}
		}
	}
}

// serve delivers until the connection fails.
func (d *delivery) serve(ctx context.Context, connection *pgx.Conn, serving chan struct{}) error {
	if d.place == 0 {
		version, err := schemaVersion(ctx, connection)
		if err != nil {
			return err
		}
		if version < migrations.Latest() {
			return errOldSchema(version)
		}
		if err := d.begin(ctx, connection); err != nil {
			return err
		}
		close(serving)
	}
	if keepsSession(connection) {
		if _, err := connection.Exec(ctx, "LISTEN "+channel); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		if err := d.instance.hold(ctx, connection); err != nil {
			return err
		}
		defer d.instance.drop()
		if err := d.instance.enter(ctx, connection); err != nil {
			return err
		}
	}
	again := !d.looked.IsZero()
	begun := time.Now()
	for {
		if err := d.look(ctx, connection, again && time.Since(begun) < spareLimit); err != nil {
			return err
		}
		more, err := d.step(ctx, connection)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		d.become(ctx, nil)
		if err := d.wait(ctx, connection); err != nil {
			return err
		}
	}
}

// look publishes that an instance vanished, from time to time.
func (d *delivery) look(ctx context.Context, connection *pgx.Conn, spare bool) error {
	if !keepsSession(connection) || time.Since(d.looked) < lookPeriod {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	vanished, news, err := d.instance.look(ctx, connection, spare)
	if err != nil {
		return err
	}
	d.looked = time.Now()
	if news {
		d.logger.WarnContext(ctx, "a server has vanished", slog.Time("vanished_on", vanished))
		d.bus.Publish([]event.Event{{Body: event.InstanceVanished{On: parsec.DateTimeOf(vanished)}}})
	}
	return nil
}

// begin sets place to the last row, once every transaction that may have a
// lower id has ended.
func (d *delivery) begin(ctx context.Context, connection *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	var place int64
	err := send(ctx, connection,
		Statement{SQL: begin},
		Statement{SQL: lockOutbox},
		Only("SELECT coalesce(max(id), 0) FROM event_outbox", nil, &place),
		Statement{SQL: commit})
	if err != nil {
		return rolledBack(ctx, connection, fmt.Errorf("find the end of the outbox: %w", err))
	}
	if place == 0 {
		return errors.New("the outbox has no row")
	}
	d.place, d.gapSince = place, time.Time{}
	d.become(ctx, nil)
	return nil
}

// step publishes what can be, and reports whether there may be more at once.
func (d *delivery) step(ctx context.Context, connection *pgx.Conn) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	if d.commits.raised.Swap(false) {
		d.pending = true
	}
	var rows []outboxRow
	read := d.readOutbox(&rows)
	if d.pending && time.Since(d.notified) >= notifyPeriod {
		err = send(ctx, connection, Statement{SQL: notify}, read)
		d.pending, d.notified = err != nil, time.Now()
	} else {
		err = send(ctx, connection, read)
	}
	if err != nil {
		return false, fmt.Errorf("read the outbox: %w", err)
	}
	if len(rows) == 0 || rows[0].id != d.place {
		return true, d.lapse(ctx, connection)
	}
	complete := d.publish(ctx, rows[1:], false)
	switch {
	case complete:
		d.gapSince = time.Time{}
		if len(rows) < rowsPerRead {
			d.caughtUp.Store(new(time.Now()))
		}
		return len(rows) == rowsPerRead, nil
	case d.gapSince.IsZero():
		d.gapSince = time.Now()
		return false, nil
	case time.Since(d.gapSince) < gapPatience:
		return false, nil
	default:
		return d.settle(ctx, connection)
	}
}

const (
	notify = "SELECT pg_notify('" + channel + "', '')"

	// lockOutbox waits for the transactions that write to it.
	lockOutbox = "LOCK TABLE event_outbox IN SHARE MODE"
)

// readOutbox reads from the last row published on.
func (d *delivery) readOutbox(rows *[]outboxRow) Statement {
	return List(rows, `
SELECT id, organizations, authors, kinds, bodies FROM event_outbox
WHERE id >= $1 ORDER BY id LIMIT $2`, []any{d.place, rowsPerRead}, func(r *outboxRow) []any {
		return []any{&r.id, &r.organizations, &r.authors, &r.kinds, &r.bodies}
	})
}

// publish publishes rows, stops before the first id that is missing, unless it is
// missing for ever, and reports whether there was none.
func (d *delivery) publish(ctx context.Context, rows []outboxRow, settled bool) (complete bool) {
	for _, row := range rows {
		if row.id != d.place+1 && !settled {
			return false
		}
		events, problems := row.events(d.codec)
		for _, problem := range problems {
			d.leaveOut(ctx, problem)
		}
		d.bus.Publish(events)
		d.place, d.gapSince = row.id, time.Time{}
	}
	return true
}

// leaveOut logs why an event is not published: once for each kind that only a
// later server knows, as they come all the time while such a server runs beside.
func (d *delivery) leaveOut(ctx context.Context, problem error) {
	kind, later := errors.AsType[unknownKind](problem)
	switch {
	case !later:
		d.logger.ErrorContext(ctx, "event left out", slog.Any("error", problem))
	case !d.unknown[kind]:
		d.unknown[kind] = true
		d.logger.InfoContext(ctx, "events of a later server are left out", slog.String("kind", string(kind)))
	}
}

// settle goes past the ids that are missing for ever. It gives up, for now,
// when a transaction keeps writing to the outbox for too long.
func (d *delivery) settle(ctx context.Context, connection *pgx.Conn) (more bool, err error) {
	d.gapSince = time.Now()
	var rows []outboxRow
	err = send(ctx, connection,
		Statement{SQL: begin},
		Statement{SQL: "SET LOCAL lock_timeout = '" + settleLimit.String() + "'"},
		Statement{SQL: lockOutbox},
		d.readOutbox(&rows),
		Statement{SQL: commit})
	if codeOf(err) == "55P03" { // lock_not_available
		_, err = connection.Exec(ctx, rollBack)
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("settle the outbox: %w", err)
	}
	if len(rows) == 0 || rows[0].id != d.place {
		return true, d.lapse(ctx, connection)
	}
	d.publish(ctx, rows[1:], true)
	return len(rows) == rowsPerRead, nil
}

// lapse is called when the row of the last event published is pruned, and maybe
// others after it: it tells every subscription, and begins anew.
func (d *delivery) lapse(ctx context.Context, connection *pgx.Conn) error {
	d.logger.WarnContext(ctx, "events are lost, and clients look at everything again: the database was out of reach for too long", slog.Int64("place", d.place))
	if err := d.begin(ctx, connection); err != nil {
		return err
	}
	d.bus.Lose()
	return nil
}

// wait returns once there may be something to do.
func (d *delivery) wait(ctx context.Context, connection *pgx.Conn) error {
	limit := pollPeriod
	if !keepsSession(connection) {
		limit = deafPollPeriod
	}
	if d.pending {
		limit = min(limit, max(0, notifyPeriod-time.Since(d.notified)))
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// First the one, then the other: a signal raised between them is not missed.
	d.commits.wake.Store(&cancel)
	defer d.commits.wake.Store(nil)
	if d.commits.raised.Load() {
		return nil
	}
	for {
		notification, err := connection.WaitForNotification(waiting)
		switch {
		case err == nil && notification.PID == connection.PgConn().PID():
			continue
		case err != nil && waiting.Err() == nil, ctx.Err() != nil, connection.IsClosed():
			return fmt.Errorf("wait for notifications: %w", errors.Join(err, ctx.Err()))
		default:
			return nil
		}
	}
}

// signal is raised by commits, and wakes the delivery.
type signal struct {
	raised atomic.Bool
	// wake is called when the signal is raised, nil while nobody waits.
	wake atomic.Pointer[context.CancelFunc]
}

func (s *signal) raise() {
	s.raised.Store(true)
	if wake := s.wake.Load(); wake != nil {
		(*wake)()
	}
}
