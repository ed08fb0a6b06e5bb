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
	"parsec-server/pkg/sleep"
)

const (
	// pollPeriod is the time between two looks at the outbox when nothing
	// wakes the delivery, and between two attempts to connect.
	pollPeriod = time.Second
	// deafPollPeriod takes its place behind a pooler that has another session
	// for each transaction, so that nothing can be listened to.
	deafPollPeriod = 200 * time.Millisecond
	// deafTrust is how long nothing is thought to be lost behind such a pooler: it has
	// another session for who was idle when the server of the database crashed.
	deafTrust = 10 * time.Second
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
// place is always a row: the last one published. As long as that row is there, no
// row after it is pruned. Where another one has its id, the server of the database has
// forgotten what it had committed, as a replica does that is promoted too early.
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

	place outboxPlace
	// read is when the outbox was read, and unread reports that there may be rows that are
	// to be published at once.
	read   time.Time
	unread bool
	// behind reports that a row may be missing: whoever commits has the outbox read.
	behind atomic.Bool
	// gapSince is when the row after place was found missing, zero if it was
	// not.
	gapSince time.Time
	// notified is when the last notification was sent, and pending reports that
	// commits have come since.
	notified time.Time
	pending  bool
	// looked is when the other instances were looked for last, and called reports that one
	// of them has notified since: it may have just begun.
	looked time.Time
	called bool
	// alone reports that there was none, so that nobody listens.
	alone atomic.Bool
	// resumed is when event.Resumed was last published.
	resumed time.Time

	// caughtUp is when the outbox was last read that was read to its end.
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
			if sleep.For(ctx, pollPeriod) != nil {
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
	if d.place.id == 0 {
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
	defer d.alone.Store(false)
	d.resume()
	// What has come while there was no connection is read, and who begins calls the others.
	d.unread, d.pending = true, true
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
		if !keepsSession(connection) && time.Since(d.resumed) >= deafTrust {
			d.resume()
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

// resume says that the server of the database may be another one than before.
func (d *delivery) resume() {
	d.resumed = time.Now()
	d.bus.Publish([]event.Event{{Body: event.Resumed{}}})
}

// look looks for the other instances, from time to time and when one calls, and publishes
// that one of them vanished. Whoever finds that it is not alone any more calls once: the
// other one has begun before, and may have missed what was committed meanwhile.
func (d *delivery) look(ctx context.Context, connection *pgx.Conn, spare bool) error {
	if !keepsSession(connection) || !d.called && time.Since(d.looked) < lookPeriod {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	vanished, news, others, err := d.instance.look(ctx, connection, spare)
	if err != nil {
		return err
	}
	d.looked, d.called = time.Now(), false
	if wasAlone := d.alone.Swap(!others); wasAlone && others {
		d.pending = true
	}
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
	var place outboxPlace
	var found bool
	err := send(ctx, connection,
		Statement{SQL: begin},
		Statement{SQL: lockOutbox},
		Row(&found, "SELECT id, written_on FROM event_outbox ORDER BY id DESC LIMIT 1", nil, &place.id, &place.writtenOn),
		Statement{SQL: commit})
	if err != nil {
		return rolledBack(ctx, connection, fmt.Errorf("find the end of the outbox: %w", err))
	}
	if !found {
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
	d.take()
	var rows []outboxRow
	var statements []Statement
	notifies := d.pending && time.Since(d.notified) >= notifyPeriod
	if notifies {
		statements = append(statements, Statement{SQL: notify})
	}
	reads := d.unread || d.untilRead(connection) <= 0
	if reads {
		d.behind.Store(true)
		statements = append(statements, d.readOutbox(&rows))
	}
	if len(statements) == 0 {
		return false, nil
	}
	asked := time.Now()
	if err = send(ctx, connection, statements...); err != nil {
		return false, fmt.Errorf("read the outbox: %w", err)
	}
	if notifies {
		d.pending, d.notified = false, time.Now()
	}
	if !reads {
		return false, nil
	}
	d.unread, d.read = false, time.Now()
	if !d.place.isFirstOf(rows) {
		return true, d.lapse(ctx, connection)
	}
	complete := d.publish(ctx, rows[1:], false)
	d.behind.Store(!complete)
	switch {
	case complete:
		d.gapSince = time.Time{}
		if len(rows) < rowsPerRead {
			d.caughtUp.Store(&asked)
		}
		d.unread = len(rows) == rowsPerRead
		return d.unread, nil
	case d.gapSince.IsZero():
		d.gapSince = d.read
		return false, nil
	case time.Since(d.gapSince) < gapPatience:
		return false, nil
	default:
		return d.settle(ctx, connection)
	}
}

// take takes note of what this server has committed.
func (d *delivery) take() {
	if d.commits.raised.Swap(false) { // before unread, which is set first
		d.pending = true
	}
	if d.commits.unread.Swap(false) {
		d.unread = true
	}
	d.pending = d.pending && !d.alone.Load()
}

// untilRead is the time until the outbox is read when nothing wakes the delivery.
func (d *delivery) untilRead(connection *pgx.Conn) time.Duration {
	period := pollPeriod
	if !keepsSession(connection) {
		period = deafPollPeriod
	}
	return period - time.Since(d.read)
}

const (
	// doNotWait has the commit of its transaction wait for no disk, nor for replicas.
	doNotWait = "set_config('synchronous_commit', 'off', true)"

	// notify need not survive the server of the database, whose end the listeners notice.
	notify = "SELECT pg_notify('" + channel + "', ''), " + doNotWait

	// lockOutbox waits for the transactions that write to it.
	lockOutbox = "LOCK TABLE event_outbox IN SHARE MODE"
)

// readOutbox reads from the last row published on.
func (d *delivery) readOutbox(rows *[]outboxRow) Statement {
	return List(rows, `
SELECT id, written_on, organizations, authors, kinds, bodies FROM event_outbox
WHERE id >= $1 ORDER BY id LIMIT $2`, []any{d.place.id, rowsPerRead}, func(r *outboxRow) []any {
		return []any{&r.id, &r.writtenOn, &r.organizations, &r.authors, &r.kinds, &r.bodies}
	})
}

// publish publishes rows, stops before the first id that is missing, unless it is
// missing for ever, and reports whether there was none.
func (d *delivery) publish(ctx context.Context, rows []outboxRow, settled bool) (complete bool) {
	for _, row := range rows {
		if row.id != d.place.id+1 && !settled {
			return false
		}
		events, problems := row.events(d.codec)
		for _, problem := range problems {
			d.leaveOut(ctx, problem)
		}
		d.bus.Publish(events)
		d.place, d.gapSince = row.outboxPlace, time.Time{}
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
	if !d.place.isFirstOf(rows) {
		return true, d.lapse(ctx, connection)
	}
	d.publish(ctx, rows[1:], true)
	d.unread = len(rows) == rowsPerRead
	return d.unread, nil
}

// lapse is called when the row of the last event published is gone, and maybe
// others after it: it tells every subscription, and begins anew.
func (d *delivery) lapse(ctx context.Context, connection *pgx.Conn) error {
	d.logger.WarnContext(ctx, "events are lost, and clients look at everything again: the database was out of reach for too long, or has lost what was committed last", slog.Int64("place", d.place.id))
	if err := d.begin(ctx, connection); err != nil {
		return err
	}
	d.bus.Lose()
	d.unread = true
	return nil
}

// wait returns once there may be something to do.
func (d *delivery) wait(ctx context.Context, connection *pgx.Conn) error {
	limit := d.untilRead(connection)
	if d.pending {
		limit = min(limit, notifyPeriod-time.Since(d.notified))
	}
	waiting, cancel := context.WithTimeout(ctx, max(0, limit))
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
		case err == nil:
			d.unread, d.called = true, d.called || d.alone.Load()
			return nil
		case waiting.Err() == nil, ctx.Err() != nil, connection.IsClosed():
			return fmt.Errorf("wait for notifications: %w", errors.Join(err, ctx.Err()))
		default:
			return nil
		}
	}
}

// signal is raised by commits, and wakes the delivery.
type signal struct {
	raised atomic.Bool
	// unread reports that this server, too, is to hear of their events.
	unread atomic.Bool
	// wake is called when the signal is raised, nil while nobody waits.
	wake atomic.Pointer[context.CancelFunc]
}

func (s *signal) raise(unread bool) {
	if unread {
		s.unread.Store(true)
	}
	s.raised.Store(true)
	if wake := s.wake.Load(); wake != nil {
		(*wake)()
	}
}
