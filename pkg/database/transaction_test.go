//go:build !without_postgresql

package database_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// newAccounts returns a database with the account 1, which has 10.
func newAccounts(t *testing.T) (dsn string) {
	t.Helper()
	dsn = testkit.NewPostgres(t, testkit.Unsound)
	testkit.Execute(t, testkit.Connect(t, dsn), createAccounts+"; INSERT INTO account VALUES (1, 10)")
	return dsn
}

// account is what decisions share: each has the facts of those before.
type account struct {
	// told hears of it, Acme if zero.
	told    parsec.OrganizationID
	balance int
	entries int
}

func (a *account) reads() []database.Statement {
	var found bool
	return []database.Statement{
		{SQL: "SELECT FROM account WHERE id = 1 FOR NO KEY UPDATE"},
		database.Row(&found, "SELECT balance, (SELECT count(*) FROM entry) FROM account WHERE id = 1", nil, &a.balance, &a.entries),
	}
}

var errTooLittle = errors.New("too little")

// take returns a decision to take an amount from the account.
func (a *account) take(amount int, text string) database.Decision {
	return func(tx *database.Tx) error {
		tx.QueueOne("UPDATE account SET balance = balance - $1 WHERE id = 1", amount)
		tx.QueueOne("INSERT INTO entry VALUES ($1, $2)", a.entries+1, text)
		tx.Emit(event.Event{Organization: cmp.Or(a.told, acme), Body: ping(text)})
		if a.balance < amount {
			return errTooLittle
		}
		a.balance -= amount
		a.entries++
		return nil
	}
}

func state(t testing.TB, connection *pgx.Conn) (text string) {
	t.Helper()
	err := connection.QueryRow(t.Context(), `
SELECT (SELECT balance FROM account)::text || coalesce((SELECT string_agg(' ' || number || ':' || text, '' ORDER BY number) FROM entry), '')`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func wantErrors(t testing.TB, got []error, want ...error) {
	t.Helper()
	if !slices.EqualFunc(got, want, errors.Is) {
		t.Errorf("the decisions get %v, want %v", got, want)
	}
}

// TestDecisions takes some about one account together: what is refused leaves no
// trace, the others stand, and their events come in order.
func TestDecisions(t *testing.T) {
	dsn := newAccounts(t)
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	on, reader := open(t, options(dsn), bus), testkit.Connect(t, dsn)
	rows := func() int64 { return testkit.Number(t, reader, "SELECT count(*) FROM event_outbox") }
	before := rows()
	wantErrors(t, on.Update(t.Context(), func() database.Transaction {
		var a account
		return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{
			a.take(11, "refused at first"), a.take(4, "one"), a.take(7, "refused"), a.take(6, "two"), a.take(1, "refused at last"),
		}}
	}), errTooLittle, nil, errTooLittle, nil, errTooLittle)
	if got := state(t, reader); got != "0 1:one 2:two" {
		t.Errorf("the account is %s", got)
	}
	if got := rows() - before; got != 1 {
		t.Errorf("one transaction has %d rows of events", got)
	}
	wantErrors(t, on.Update(t.Context(), func() database.Transaction {
		var a account
		return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{a.take(1, "refused"), a.take(2, "refused")}}
	}), errTooLittle, errTooLittle)
	if errs := on.Update(t.Context(), func() database.Transaction { return database.Transaction{} }); len(errs) != 0 {
		t.Errorf("no decision gets %v", errs)
	}
	if got := rows() - before; got != 1 {
		t.Errorf("refused decisions have written events: %d rows", got)
	}
	publish(t, on, "the end")
	events.Want(ping("one"), ping("two"), ping("the end"))
}

// TestDecisionsConclude has decisions share an effect, which is sent if one of them
// stands.
func TestDecisionsConclude(t *testing.T) {
	dsn := newAccounts(t)
	on, reader := open(t, options(dsn), testkit.NewBus(t)), testkit.Connect(t, dsn)
	take := func(sums ...int) []error {
		taken := 0
		return on.Update(t.Context(), func() database.Transaction {
			var a account
			transaction := database.Transaction{Reads: a.reads(), Conclude: func(tx *database.Tx) {
				tx.QueueOne("UPDATE account SET balance = balance - $1 WHERE id = 1", taken)
			}}
			for _, sum := range sums {
				transaction.Decisions = append(transaction.Decisions, func(*database.Tx) error {
					if a.balance-taken < sum {
						return errTooLittle
					}
					taken += sum
					return nil
				})
			}
			return transaction
		})
	}
	wantErrors(t, take(3, 8, 4), nil, errTooLittle, nil)
	wantErrors(t, take(4, 5), errTooLittle, errTooLittle)
	if got := state(t, reader); got != "3" {
		t.Errorf("the account is %s", got)
	}
}

// TestDecisionsAsk has decisions read while they are taken: they see what those
// before them have queued. What a refused one wrote and locked is undone.
func TestDecisionsAsk(t *testing.T) {
	dsn := newAccounts(t)
	testkit.Execute(t, testkit.Connect(t, dsn), "INSERT INTO account VALUES (2, 0), (3, 0)")
	on, reader := open(t, options(dsn), testkit.NewBus(t)), testkit.Connect(t, dsn)
	locked := func(id int) bool {
		return testkit.Number(t, reader, "SELECT count(*) FROM (SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED) free", id) == 0
	}
	ask := func(tx *database.Tx, want int) {
		t.Helper()
		var found bool
		var balance int
		if err := tx.Ask(database.Row(&found, "SELECT balance FROM account WHERE id = 1", nil, &balance)); err != nil || balance != want {
			t.Errorf("a decision sees %d, want %d (%v)", balance, want, err)
		}
	}
	errRefused := errors.New("refused")
	write := func(amount, id int) database.Statement {
		return database.Statement{SQL: "UPDATE account SET balance = balance + $1 WHERE id = $2", Args: []any{amount, id}}
	}
	wantErrors(t, on.Update(t.Context(), func() database.Transaction {
		return database.Transaction{
			Reads: []database.Statement{{SQL: "SELECT FROM account WHERE id = 1 FOR NO KEY UPDATE"}},
			Decisions: []database.Decision{
				func(tx *database.Tx) error {
					ask(tx, 10)
					tx.QueueOne("UPDATE account SET balance = 20 WHERE id = 1")
					ask(tx, 10) // Its own is not sent yet.
					return nil
				},
				func(tx *database.Tx) error {
					ask(tx, 20)
					if err := tx.Ask(write(1, 1), write(1, 2)); err != nil || !locked(2) {
						t.Errorf("it does not write: %v", err)
					}
					tx.QueueOne("UPDATE account SET balance = 0 WHERE id = 1")
					return errRefused
				},
				func(tx *database.Tx) error {
					ask(tx, 20)
					if locked(2) {
						t.Error("the lock of a refused decision is held")
					}
					return tx.Ask(write(5, 1), write(5, 3))
				},
				func(tx *database.Tx) error {
					ask(tx, 25)
					return tx.Ask(write(100, 3))
				},
				func(tx *database.Tx) error {
					if err := tx.Ask(write(1000, 3)); err != nil {
						return err
					}
					return errRefused
				},
			},
		}
	}), nil, errRefused, nil, nil, errRefused)
	for id, want := range map[int]int64{1: 25, 2: 0, 3: 105} {
		if got := testkit.Number(t, reader, "SELECT balance FROM account WHERE id = $1", id); got != want {
			t.Errorf("account %d has %d, want %d", id, got, want)
		}
	}
}

// TestDecisionsRunAgain has a transaction meet what makes it run again: all its
// decisions are taken on new facts.
func TestDecisionsRunAgain(t *testing.T) {
	for name, meet := range map[string]func(t *testing.T, dsn string, tx *database.Tx) error{
		"unique": func(t *testing.T, dsn string, _ *database.Tx) error {
			testkit.Execute(t, testkit.Connect(t, dsn), "INSERT INTO entry VALUES (1, 'of another')")
			return nil
		},
		"raced": func(t *testing.T, dsn string, _ *database.Tx) error {
			testkit.Execute(t, testkit.Connect(t, dsn), "INSERT INTO entry VALUES (1, 'of another')")
			return fmt.Errorf("%w: the facts are old", database.ErrRaced)
		},
		"lost": func(t *testing.T, dsn string, tx *database.Tx) error {
			other := testkit.Connect(t, dsn)
			testkit.Execute(t, other, "INSERT INTO entry VALUES (1, 'of another')")
			testkit.Execute(t, other, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
				WHERE datname = current_database() AND state = 'idle in transaction'`)
			return tx.Ask(database.Statement{SQL: "SELECT 1"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := newAccounts(t)
			bus := testkit.NewBus(t)
			events := testkit.Record(t, bus, event.OrganizationTopic(acme))
			on := open(t, options(dsn), bus)
			losses, runs := 0, 0
			on.OnLost(func() { losses++ })
			wantErrors(t, on.Update(t.Context(), func() database.Transaction {
				var a account
				runs++
				met := func(tx *database.Tx) error {
					if runs == 1 {
						return meet(t, dsn, tx)
					}
					return nil
				}
				return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{
					a.take(1, "one"), a.take(10, "refused"), met, a.take(2, "two"),
				}}
			}), nil, errTooLittle, nil, nil)
			if got := state(t, testkit.Connect(t, dsn)); got != "7 1:of another 2:one 3:two" || runs != 2 {
				t.Errorf("after %d runs the account is %s", runs, got)
			}
			if lost := name == "lost"; lost != (losses > 0) {
				t.Errorf("%d losses are told", losses)
			}
			publish(t, on, "the end")
			events.Want(ping("one"), ping("two"), ping("the end"))
		})
	}
}

// TestDecisionsFail has a transaction fail for all of them: nothing is left.
func TestDecisionsFail(t *testing.T) {
	dsn := newAccounts(t)
	on, reader := open(t, options(dsn), testkit.NewBus(t)), testkit.Connect(t, dsn)
	for name, test := range map[string]struct {
		decide database.Decision
		code   string
		runs   int
		// unavailable is what may be over when the command is sent again.
		unavailable bool
	}{
		"at once": {func(tx *database.Tx) error { return tx.Ask(database.Statement{SQL: "SELECT 1/0"}) }, "22012", 1, false},
		"at the end": {func(tx *database.Tx) error {
			tx.Queue("SELECT 1/0")
			return nil
		}, "22012", 1, false},
		"always": {func(tx *database.Tx) error {
			tx.Queue("INSERT INTO account VALUES (1, 0)")
			return nil
		}, "23505", 10, true},
	} {
		runs := 0
		errs := on.Update(t.Context(), func() database.Transaction {
			var a account
			runs++
			return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{a.take(1, "one"), test.decide, a.take(1, "two")}}
		})
		for _, err := range errs {
			refusal, refused := errors.AsType[*pgconn.PgError](err)
			if !refused || refusal.Code != test.code || !database.IsUndone(err) || errors.Is(err, outage.ErrUnavailable) != test.unavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := state(t, reader); len(errs) != 3 || got != "10" || runs != test.runs {
			t.Errorf("%s: %d errors, the account is %s after %d runs", name, len(errs), got, runs)
		}
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		on.Update(t.Context(), func() database.Transaction {
			var a account
			return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{
				a.take(1, "one"), func(*database.Tx) error { panic("decision") },
			}}
		})
	}()
	if got := state(t, reader); got != "10" {
		t.Errorf("after a panic the account is %s", got)
	}
	on.Close()
	for _, err := range on.Update(t.Context(), func() database.Transaction {
		var a account
		return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{a.take(1, "one"), a.take(1, "two")}}
	}) {
		if !errors.Is(err, outage.ErrUnavailable) || database.IsUndone(err) {
			t.Errorf("after its end: %v", err)
		}
	}
}

// TestDecisionsOfManyAtOnce gathers what arrives together for one account, as
// writes of one realm may be: nothing is lost or done twice.
func TestDecisionsOfManyAtOnce(t *testing.T) {
	const writers, together = 8, 5
	dsn := newAccounts(t)
	testkit.Execute(t, testkit.Connect(t, dsn), "UPDATE account SET balance = 1000")
	settings := options(dsn)
	settings.MaxConnections = 4
	on := open(t, settings, testkit.NewBus(t))
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			errs := on.Update(t.Context(), func() database.Transaction {
				var a account
				decisions := []database.Decision{a.take(2000, "refused")}
				for range together {
					decisions = append(decisions, a.take(1, "x"))
				}
				return database.Transaction{Reads: a.reads(), Decisions: decisions}
			})
			wantErrors(t, errs, append([]error{errTooLittle}, make([]error, together)...)...)
		})
	}
	group.Wait()
	reader := testkit.Connect(t, dsn)
	if got := testkit.Number(t, reader, "SELECT balance FROM account"); got != 1000-writers*together {
		t.Errorf("the account has %d", got)
	}
	if got := testkit.Number(t, reader, "SELECT count(*) FROM entry"); got != writers*together {
		t.Errorf("%d entries", got)
	}
}

// TestOpenForCommand works on a database for an operator: nothing listens or
// prunes, servers hear of what it commits, and an old schema is refused.
func TestOpenForCommand(t *testing.T) {
	dsn := newAccounts(t)
	listener, watcher := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	testkit.Execute(t, listener, "LISTEN parsec_events")
	on, err := database.Open(t.Context(), options(dsn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if stacks := goroutines(t); strings.Contains(stacks, "database.(*delivery)") || strings.Contains(stacks, "database.(*Database).maintain") {
		t.Errorf("goroutines of a server:\n%s", stacks)
	}
	if err := on.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	wantErrors(t, on.Update(t.Context(), func() database.Transaction {
		var a account
		return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{a.take(1, "one")}}
	}), nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := listener.WaitForNotification(ctx); err != nil {
		t.Errorf("servers are not notified: %v", err)
	}
	if got := testkit.Number(t, watcher, "SELECT count(*) "+deliveries); got != 0 {
		t.Errorf("%d connections deliver events", got)
	}
	if got := testkit.Number(t, watcher, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); got != 0 {
		t.Errorf("%d locks tell that a server lives", got)
	}
	if got := testkit.Number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'parsec-server'"); got > 1 {
		t.Errorf("%d connections, of at most one", got)
	}
	if got := on.Statistics(); got.OutboxLag != 0 || got.Maximum != 1 {
		t.Errorf("statistics %+v", got)
	}
	on.Close()
	if _, err := database.Open(t.Context(), options(testkit.NewBlankPostgres(t)), nil); err == nil || !strings.Contains(err.Error(), "run `parsec backend migrate`") {
		t.Errorf("without schema: %v", err)
	}
}

func goroutines(t testing.TB) string {
	t.Helper()
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
		t.Fatal(err)
	}
	return stacks.String()
}
