package database

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/sleep"
)

const (
	// maxRuns bounds how often a transaction runs for one Update.
	maxRuns = 10
	// maxRunPause bounds the pause before each run but the first.
	maxRunPause = 20 * time.Millisecond
)

// Transaction is one run of decisions about one thing that is locked.
type Transaction struct {
	// Reads lock the thing, and then read facts about it, in one round trip. A
	// statement that reads facts comes after those that lock, so that it sees
	// what the previous holder of the lock left.
	Reads []Statement
	// Decisions are taken in order.
	Decisions []Decision
	// Conclude, unless it is nil, queues the effects that the decisions have
	// together, once they are taken and one of them stands.
	Conclude func(*Tx)
}

// Decision decides on facts that were read under the lock. It queues effects and
// events and returns nil, or returns an error, which refuses it alone: it leaves
// no trace, and the others stand. The facts that come with the transaction are
// from before all of its decisions: what an earlier one changes they take from
// it in Go, or Ask.
type Decision func(*Tx) error

// Update takes the decisions of a transaction, and commits what those that are
// not refused have queued, with their events in that order: one round trip for
// BEGIN and the reads, one for the effects, the events and COMMIT, and one for
// each Ask. It returns why each decision was refused, nil for those that are
// committed; when the transaction fails, that is the error of all.
//
// Each run begins with prepare, so that it has facts of its own, once there is a
// connection for it; without one, prepare says whose the error is. The transaction
// runs again, at most maxRuns times, when another one was in the way, or when
// the connection is lost before COMMIT is sent. When none of the runs succeeds the
// error is an outage.ErrUnavailable, whatever was in the way.
func (d *Database) Update(ctx context.Context, prepare func() Transaction) []error {
	patience := acquireLimit
	for run := 1; ; run++ {
		refusals, again, err := d.update(ctx, patience, prepare)
		if IsLost(err) {
			patience = againLimit
		}
		switch {
		case !again:
		case run == maxRuns:
			err = &unavailableError{err} // Others are in the way; the command is not wrong.
		default:
			if err = sleep.For(ctx, rand.N(maxRunPause)); err == nil {
				continue
			}
		}
		if err == nil {
			return refusals
		}
		if refusals == nil {
			refusals = make([]error, len(prepare().Decisions))
		}
		return slices.Repeat([]error{err}, len(refusals))
	}
}

// IsUndone reports whether a transaction with an error of Update surely left
// nothing, because of what is in it, or because others were always faster: its
// decisions may fare better each in a transaction of its own.
func IsUndone(err error) bool {
	return isRace(err) || !errors.Is(err, outage.ErrUnavailable)
}

// update runs a transaction once, and reports whether it may run again. The refusals
// are nil if it was not prepared.
func (d *Database) update(ctx context.Context, patience time.Duration, prepare func() Transaction) (refusals []error, again bool, err error) {
	var t *Tx
	err = d.use(ctx, patience, func(ctx context.Context, connection *pgx.Conn) (err error) {
		transaction := prepare()
		refusals = make([]error, len(transaction.Decisions))
		t = &Tx{ctx: ctx, connection: connection, codec: d.codec, several: len(refusals) > 1}
		returned := false
		defer func() {
			if !returned { // A decision that panics leaves nothing either.
				err = errors.New("the decision panics")
			}
			_ = rolledBack(ctx, connection, err) // The connection is closed if it is not rolled back.
		}()
		err = t.run(transaction, refusals)
		returned = true
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, errAllRefused):
		return refusals, false, nil
	default:
		committing := t != nil && t.committing
		return refusals, isRace(err) || IsLost(err) && !committing, err
	}
	if t.wrote {
		d.full.Store(false)
	}
	if len(t.events) > 0 {
		d.wake(ctx, t.events)
	}
	return refusals, false, nil
}

// errAllRefused has a transaction rolled back of which nothing stands.
var errAllRefused = errors.New("every decision is refused")

// Tx is what a decision works with. It is not safe for concurrent use. Its
// methods use a context that does not end with the command's.
type Tx struct {
	ctx        context.Context
	connection *pgx.Conn
	codec      Codec
	// several reports that there are other decisions, which stand when one is
	// refused.
	several bool

	// accepted are the effects, not sent yet, of the decisions before, and events
	// theirs.
	accepted []Statement
	events   []event.Event
	// effects and emitted are those of the decision under way.
	effects []Statement
	emitted []event.Event
	// saved reports that a savepoint was set for it.
	saved bool
	// wrote reports that there were effects or events.
	wrote bool
	// committing reports that the last effects, and COMMIT, are sent.
	committing bool
}

const (
	save     = "SAVEPOINT decision"
	undo     = "ROLLBACK TO SAVEPOINT decision"
	forget   = "RELEASE SAVEPOINT decision"
	rollBack = "ROLLBACK"
)

func (t *Tx) run(transaction Transaction, refusals []error) error {
	if err := send(t.ctx, t.connection, append([]Statement{{SQL: begin}}, transaction.Reads...)...); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	stands := len(refusals) == 0
	for i, decide := range transaction.Decisions {
		err := decide(t)
		if err != nil && (isRace(err) || t.connection.PgConn().TxStatus() == failed || t.connection.IsClosed()) {
			return err // It is not the decision that fails.
		}
		t.end(err == nil)
		refusals[i] = classified(err)
		stands = stands || err == nil
	}
	if !stands {
		return errAllRefused
	}
	if transaction.Conclude != nil {
		transaction.Conclude(t)
		t.end(true)
	}
	published, err := outboxInsert(t.codec, t.events)
	if err != nil {
		return err
	}
	t.wrote = t.wrote || len(t.accepted)+len(published) > 0
	t.committing = true
	if err := send(t.ctx, t.connection, append(append(t.accepted, published...), Statement{SQL: commit})...); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// end keeps what the decision under way has queued, or undoes what it did.
func (t *Tx) end(accepted bool) {
	switch {
	case accepted && len(t.accepted) == 0 && !t.saved:
		t.accepted, t.events = t.effects, append(t.events, t.emitted...)
	case accepted:
		if t.saved {
			t.accepted = append(t.accepted, Statement{SQL: forget})
		}
		t.accepted, t.events = append(t.accepted, t.effects...), append(t.events, t.emitted...)
	case t.saved:
		t.accepted = append(t.accepted, Statement{SQL: undo}, Statement{SQL: forget})
	}
	t.effects, t.emitted, t.saved = nil, nil, false
}

// Ask runs statements at once, in one round trip. They see what the decisions
// before have queued, not what this one has.
func (t *Tx) Ask(statements ...Statement) error {
	if !t.several {
		return send(t.ctx, t.connection, statements...)
	}
	all := t.accepted
	t.wrote, t.accepted = t.wrote || len(all) > 0, nil
	if !t.saved { // What it writes, and locks, is undone if it is refused.
		t.saved = true
		all = append(all, Statement{SQL: save})
	}
	return send(t.ctx, t.connection, append(all, statements...)...)
}

// Queue adds an effect.
func (t *Tx) Queue(sql string, args ...any) { t.QueueAll(0, sql, args...) }

// QueueOne adds an effect that changes one row, or the transaction runs again.
func (t *Tx) QueueOne(sql string, args ...any) { t.QueueAll(1, sql, args...) }

// QueueAll adds an effect that changes so many rows, or the transaction runs
// again; 0 is any number.
func (t *Tx) QueueAll(rows int, sql string, args ...any) {
	t.effects = append(t.effects, Statement{SQL: sql, Args: args, Affected: int64(rows)})
}

// Emit queues an event, published after the commit in the order of the calls.
func (t *Tx) Emit(e event.Event) { t.emitted = append(t.emitted, e) }

// LockOrganization returns the statement that locks an organization until the
// end of the transaction: for all others, or shared. It is an advisory lock,
// because a row that many transactions share would keep a list of them.
func LockOrganization(organization parsec.OrganizationID, exclusively bool) Statement {
	sql := "SELECT pg_advisory_xact_lock_shared($1)"
	if exclusively {
		sql = "SELECT pg_advisory_xact_lock($1)"
	}
	return Statement{SQL: sql, Args: []any{advisoryKey("organization " + organization.String())}}
}

// LockThings returns the statements that lock what these names stand for, each alone and
// until the end of the transaction, in the same order for everybody. There need not be a
// row for them.
func LockThings(names ...string) []Statement {
	keys := make([]int64, len(names))
	for i, name := range names {
		keys[i] = advisoryKey(name)
	}
	slices.Sort(keys)
	locks := make([]Statement, len(keys))
	for i, key := range keys {
		locks[i] = Statement{SQL: "SELECT pg_advisory_xact_lock($1)", Args: []any{key}}
	}
	return locks
}

// advisoryKey returns a number of its own for each thing to lock. Two things
// with one number would only wait for each other without need.
func advisoryKey(thing string) int64 {
	sum := sha256.Sum256([]byte("parsec-server " + thing))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
