package testkit

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Connect returns a connection of the test's own to a database, until the test
// ends.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(context.WithoutCancel(t.Context())) })
	return connection
}

// Execute runs a statement.
func Execute(t testing.TB, connection *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := connection.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Number reads one number.
func Number(t testing.TB, connection *pgx.Conn, sql string, args ...any) (value int64) {
	t.Helper()
	if err := connection.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}
