//go:build !without_postgresql

package database_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
)

// TestLimits has every connection bounded, unless its DSN says otherwise.
func TestLimits(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	for _, test := range []struct{ dsn, lock string }{
		{dsn, "10s"},
		{dsn + " lock_timeout=3s", "3s"},
	} {
		pool, err := database.NewPool(database.Source{DSN: test.dsn}, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		for name, want := range map[string]string{
			"statement_timeout": "30s", "idle_in_transaction_session_timeout": "5s", "lock_timeout": test.lock,
		} {
			var got string
			if err := pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
}
