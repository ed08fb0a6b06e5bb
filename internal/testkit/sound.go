package testkit

import (
	"context"
	"log/slog"
	"testing"

	"parsec-server/internal/whole"
	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
)

// Soundness is what a test says of the database that it leaves.
type Soundness uint8

// Unsound is for a database with certificates that nobody has signed, or rows that no
// command has written.
const Unsound Soundness = 1

// Faults returns what `parsec backend check` finds in a database, blocks apart.
func Faults(t testing.TB, dsn string) (faults []check.Fault) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	opened, err := database.Open(ctx, database.Options{
		Source: database.Source{DSN: dsn, Logger: slog.New(slog.DiscardHandler)}, MaxConnections: 1, Codec: Codec, ReadOnly: true,
	}, nil)
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	defer opened.Close()
	err = opened.Inspect(ctx, func(ctx context.Context, on *database.Inspection) error {
		_, err := whole.Check(ctx, on, whole.Options{Report: func(fault check.Fault) { faults = append(faults, fault) }})
		return err
	})
	if err != nil {
		t.Fatalf("check the database: %v", err)
	}
	return faults
}

// checkSound wants nothing to be found in a database that a test leaves.
func checkSound(t testing.TB, dsn string) {
	t.Helper()
	for _, fault := range Faults(t, dsn) {
		t.Errorf("the database that the test leaves: %s: %s %s: %s", fault.Rule.Name, fault.Organization, fault.Subject, fault.Detail)
	}
}
