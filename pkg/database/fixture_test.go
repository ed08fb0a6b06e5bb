//go:build !without_postgresql

package database_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// options returns the options for one connection, which is tried once.
func options(dsn string) database.Options {
	return database.Options{
		Source:         database.Source{DSN: dsn, Logger: slog.New(slog.DiscardHandler)},
		MaxConnections: 1,
		Codec:          database.PingedCodec{},
	}
}

func open(t testing.TB, options database.Options, bus *event.Bus) *database.Database {
	t.Helper()
	opened, err := database.Open(t.Context(), options, bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var (
	acme = must(parsec.ParseOrganizationID("Acme"))
	bank = must(parsec.ParseOrganizationID("Bank"))
)

func ping(text string) event.Body { return database.Pinged{Ping: text} }

func publish(t testing.TB, on *database.Database, text string) {
	t.Helper()
	if err := on.Publish(t.Context(), event.Event{Organization: acme, Body: ping(text)}); err != nil {
		t.Fatal(err)
	}
}

const (
	// deliveries are the connections that deliver events.
	deliveries = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'parsec-server events'"

	// insertPing writes an event behind the back of the servers.
	insertPing = "INSERT INTO event_outbox (organizations, authors, kinds, bodies) VALUES ('{Acme}', '{\"\"}', '{pinged}', ARRAY[$1::bytea])"
)

func pingBytes(text string) []byte { return must(wire.Marshal(ping(text))) }

// createAccounts makes tables that the engine knows nothing of. Those of a
// database that other tests use again are there already, and empty.
const createAccounts = `
CREATE TABLE IF NOT EXISTS account (id integer PRIMARY KEY, balance integer NOT NULL);
CREATE TABLE IF NOT EXISTS entry (number integer PRIMARY KEY, text text NOT NULL)`

// openWide is open with several connections.
func openWide(t testing.TB, dsn string, bus *event.Bus) *database.Database {
	t.Helper()
	settings := options(dsn)
	settings.MaxConnections = 7
	return open(t, settings, bus)
}

// populate creates the account 1, which has 1.
func populate(t testing.TB, on *database.Database) {
	t.Helper()
	var statements []database.Statement
	for sql := range strings.SplitSeq(createAccounts, ";") {
		statements = append(statements, database.Statement{SQL: sql})
	}
	if err := on.Together(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
	if err := on.Together(t.Context(), database.Statement{SQL: "INSERT INTO account VALUES (1, 1)"}); err != nil {
		t.Fatal(err)
	}
}

// deposit adds 1 to the account, with an entry and an event, for the bank, that
// have the new balance.
func deposit(ctx context.Context, on *database.Database) error {
	return on.Update(ctx, func() database.Transaction {
		a := account{told: bank}
		return database.Transaction{Reads: a.reads(), Decisions: []database.Decision{func(tx *database.Tx) error {
			return a.take(-1, fmt.Sprint(a.balance+1))(tx)
		}}}
	})[0]
}

// balance reads that of the account.
func balance(t testing.TB, on *database.Database) (balance int) {
	t.Helper()
	var found bool
	if err := on.One(t.Context(), database.Row(&found, "SELECT balance FROM account WHERE id = 1", nil, &balance)); err != nil {
		t.Fatal(err)
	}
	return balance
}
