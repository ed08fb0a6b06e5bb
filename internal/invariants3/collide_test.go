//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// call is a command with its request.
type call func(ctx context.Context) error

func send[Request, Reply any](by *parsec3.RPC, command *rpc.Command[Request, Reply], request *Request) call {
	return func(ctx context.Context) error {
		_, err := parsec3.Call(ctx, by, command, request)
		return err
	}
}

// ask sends a command that must be accepted.
func ask[Request, Reply any](m *member, instance int, command *rpc.Command[Request, Reply], request *Request) *Reply {
	m.w.Helper()
	reply, err := parsec3.Call(m.w.ctx, m.on[instance], command, request)
	if err != nil {
		m.w.Fatalf("%s: %v", command.Name, err)
	}
	return reply
}

// anytime dates what is signed at the time of the call, and later as often as the
// server asks for it.
const anytime parsec.DateTime = 0

// dated sends what sign makes for a date.
func dated[Request, Reply any](by *parsec3.RPC, command *rpc.Command[Request, Reply], date parsec.DateTime, sign func(parsec.DateTime) (*Request, error)) call {
	return func(ctx context.Context) error {
		on := date
		if date == anytime {
			on = now()
		}
		for {
			request, err := sign(on)
			if err != nil {
				return err
			}
			_, err = parsec3.Call(ctx, by, command, request)
			last, refused := requiredDate(err)
			if date != anytime || !refused {
				return err
			}
			on = max(now(), last+1)
		}
	}
}

// requiredDate returns what a date must be greater than, if that is why it is refused.
func requiredDate(err error) (parsec.DateTime, bool) {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	if !refused || refusal.Status != protocol.StatusRequireGreaterTimestamp {
		return 0, false
	}
	return refusal.Details.(*protocol.RequireGreaterTimestampDetails).StrictlyGreaterThan, true
}

// status shows the outcome of a call; HTTP statuses are as "HTTP 461".
func status(err error) protocol.Status {
	if err == nil {
		return protocol.StatusOK
	}
	if refusal, refused := errors.AsType[*protocol.Refusal](err); refused {
		return refusal.Status
	}
	if answer, answered := errors.AsType[*client.HTTPError](err); answered {
		return onHTTP(answer.Status)
	}
	if _, refused := errors.AsType[*organization.GreaterTimestampError](err); refused {
		return protocol.StatusRequireGreaterTimestamp
	}
	return protocol.Status("failure: " + err.Error())
}

func onHTTP(code int) protocol.Status { return protocol.Status(fmt.Sprintf("HTTP %d", code)) }

// revoked is the outcome of what a revoked user asks for.
var revoked = onHTTP(461)

func (w *world) no(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) ok(calls ...call) {
	w.Helper()
	for _, call := range calls {
		w.no(call(w.ctx))
	}
}

// want makes a call that must end so.
func (w *world) want(status_ protocol.Status, call call) {
	w.Helper()
	if got := status(call(w.ctx)); got != status_ {
		w.Fatalf("got %s, want %s", got, status_)
	}
}

// wantAfter makes a call that must be refused for its date, which must be after one.
func (w *world) wantAfter(date parsec.DateTime, call call) {
	w.Helper()
	err := call(w.ctx)
	if last, refused := requiredDate(err); !refused || last != date {
		w.Fatalf("got %v, want a date after %s", err, date)
	}
}

// race makes calls all at once, and returns the outcome of each.
func (w *world) race(calls ...call) []protocol.Status {
	w.Helper()
	return w.start(calls, new(atomic.Int64))()
}

// start begins calls, which done counts the ends of, and returns what waits for them.
func (w *world) start(calls []call, done *atomic.Int64) (wait func() []protocol.Status) {
	got := make([]protocol.Status, len(calls))
	begin := make(chan struct{})
	var running sync.WaitGroup
	for i, call := range calls {
		running.Go(func() {
			<-begin
			got[i] = status(call(w.ctx))
			done.Add(1)
		})
	}
	close(begin)
	return func() []protocol.Status {
		running.Wait()
		return got
	}
}

// collide is race, but on PostgreSQL nothing is written before every call has either
// read its facts, or waits for a lock that another one holds, or for another one of its
// process that does: what locks do not keep apart meets.
func (w *world) collide(calls ...call) []protocol.Status {
	w.Helper()
	if w.stall == nil {
		return w.race(calls...)
	}
	return w.stalled(func() {}, calls)
}

// stalled makes calls, group after group, and does something when each of them has done
// all that it can do without writing.
func (w *world) stalled(meanwhile func(), groups ...[]call) (got []protocol.Status) {
	w.Helper()
	var done atomic.Int64
	var waits []func() []protocol.Status
	w.no(pgx.BeginFunc(w.ctx, w.stall, func(tx pgx.Tx) error {
		// Writers wait for this mode; readers, and who locks rows, do not.
		if _, err := tx.Exec(w.ctx, "LOCK TABLE organization, "+w.tables()+" IN SHARE MODE"); err != nil {
			return err
		}
		begun := 0
		for _, calls := range groups {
			waits = append(waits, w.start(calls, &done))
			begun += len(calls)
			if err := w.awaitLocks(begun, &done); err != nil {
				return err
			}
		}
		meanwhile()
		return nil
	}))
	for _, wait := range waits {
		got = append(got, wait()...)
	}
	return got
}

// awaitLocks waits until each of n calls, of which done counts the ends, has ended or
// waits for a lock, or for another one of its process that does.
func (w *world) awaitLocks(n int, done *atomic.Int64) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for settled := 0; settled < 2; { // what moves may be counted twice
		select {
		case <-ticker.C:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
		// A transaction knows only the connections of its first look, else.
		if _, err := w.stall.Exec(w.ctx, "SELECT pg_stat_clear_snapshot()"); err != nil {
			return err
		}
		var waiting int64
		err := w.stall.QueryRow(w.ctx, `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			return err
		}
		gathered, err := w.gathered()
		if err != nil {
			return err
		}
		settled++
		if waiting+gathered+done.Load() < int64(n) {
			settled = 0
		}
	}
	return nil
}

var gatheredGauge = regexp.MustCompile(`(?m)^parsec_writes_gathered (\d+)$`)

// gathered counts the commands of both processes that wait for others there, or are
// decided in their transactions.
func (w *world) gathered() (sum int64, err error) {
	for _, address := range w.metrics {
		request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			return 0, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return 0, err
		}
		found := gatheredGauge.FindSubmatch(text)
		if found == nil {
			return 0, fmt.Errorf("no such gauge: %s", text)
		}
		sum += must(strconv.ParseInt(string(found[1]), 10, 64))
	}
	return sum, nil
}

// tables names those of Parsec 3.
func (w *world) tables() string {
	rows, err := w.stall.Query(w.ctx, "SELECT string_agg(format('parsec3.%I', tablename), ', ') FROM pg_tables WHERE schemaname = 'parsec3'")
	w.no(err)
	names, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	w.no(err)
	return names
}

// each makes n calls, through either instance in turn.
func each(n int, prepare func(i, instance int) call) []call {
	calls := make([]call, n)
	for i := range calls {
		calls[i] = prepare(i, i%2)
	}
	return calls
}

// outcomes is how many calls ended how.
type outcomes = map[protocol.Status]int

func (w *world) wantOutcomes(got []protocol.Status, want outcomes) {
	w.Helper()
	counts := outcomes{}
	for _, status := range got {
		counts[status]++
	}
	if !reflect.DeepEqual(counts, want) {
		w.Fatalf("got %v, want %v", counts, want)
	}
}

// wantEither wants the outcomes of one of the serial orders.
func (w *world) wantEither(got []protocol.Status, orders ...[]protocol.Status) {
	w.Helper()
	for _, order := range orders {
		if slices.Equal(got, order) {
			return
		}
	}
	w.Fatalf("got %v, want one of %v", got, orders)
}

// serial is the outcomes of calls.
func serial(statuses ...protocol.Status) []protocol.Status { return statuses }

// inBothOrders runs a race as often as locks need to be caught, with its calls begun in
// either order; prepare returns them, and what is wanted of their outcomes.
func (w *world) inBothOrders(rounds int, prepare func() (first, second call, check func(first, second protocol.Status))) {
	w.Helper()
	for round := range rounds {
		first, second, check := prepare()
		if round%2 == 0 {
			got := w.collide(first, second)
			check(got[0], got[1])
		} else {
			got := w.collide(second, first)
			check(got[1], got[0])
		}
	}
}

// rounds is how often two calls meet that locks keep apart.
const rounds = 6

// neverBoth is a check of two calls of which one must be refused.
func (w *world) neverBoth(what string) func(first, second protocol.Status) {
	return func(first, second protocol.Status) {
		w.Helper()
		if (first == protocol.StatusOK) == (second == protocol.StatusOK) {
			w.Fatalf("%s: %s and %s", what, first, second)
		}
	}
}
