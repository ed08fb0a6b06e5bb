//go:build !without_postgresql

package parsec3_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

// TestStoryOnPostgreSQL has one server, and then two, on one database.
func TestStoryOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"one server": 1, "two servers": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testkit.NewPostgres(t)
			servers := make([]*testkit.Parsec, count)
			for i := range servers {
				servers[i] = testkit.StartParsec(t, program, "--db", dsn, "--blockstore", "POSTGRESQL")
			}
			tell(newWorld(t, servers...))
		})
	}
}

func TestBothGenerationsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	together(newWorld(t, testkit.StartParsec(t, program, "--db", testkit.NewPostgres(t), "--blockstore", "POSTGRESQL")))
}

// TestJoiningOnPostgreSQL has one server, and then two, on one database.
func TestJoiningOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"one server": 1, "two servers": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, mails := testkit.NewPostgres(t), testkit.StartSMTP(t, testkit.SMTPOptions{})
			servers := make([]*testkit.Parsec, count)
			for i := range servers {
				servers[i] = startWithMails(t, mails, "--db", dsn, "--blockstore", "POSTGRESQL")
			}
			join(newWorld(t, servers...), mails)
		})
	}
}
