//go:build !without_postgresql

package database_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/migrations"
	"parsec-server/pkg/database"
)

// TestMigrateAtStart brings the schema up to date before anything needs it:
// nobody is told to run what is being done.
func TestMigrateAtStart(t *testing.T) {
	var lines testkit.Output
	settings := options(testkit.NewBlankPostgres(t))
	steps, err := database.MigrationStatus(t.Context(), settings.DSN)
	if err != nil {
		t.Fatal(err)
	}
	settings.Migrate = true
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	populate(t, open(t, settings, testkit.NewBus(t)))
	if applied := strings.Count(lines.String(), "migration applied"); applied != len(steps) || strings.Contains(lines.String(), "WARN") {
		t.Errorf("logged %s", lines.String())
	}
}

// TestNewerSchema is that of a later server that is being rolled out.
func TestNewerSchema(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	store := open(t, options(dsn), testkit.NewBus(t))
	testkit.Execute(t, testkit.Connect(t, dsn), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if err := store.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMigrate(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	status := func() (applied int) {
		t.Helper()
		list, err := database.MigrationStatus(t.Context(), dsn)
		if err != nil || int64(len(list)) != migrations.Latest() {
			t.Fatalf("%+v, %v", list, err)
		}
		for i, migration := range list {
			if migration.Version != int64(i)+1 || !strings.HasSuffix(migration.File, ".sql") || migration.Applied == migration.AppliedOn.IsZero() {
				t.Errorf("%+v", migration)
			}
			if migration.Applied {
				applied++
			}
		}
		return applied
	}
	if applied := status(); applied != 0 {
		t.Errorf("%d migrations of a blank database", applied)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var applied []database.Migration
	for range 2 {
		group.Go(func() {
			list, err := database.Migrate(t.Context(), dsn)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, list...)
		})
	}
	group.Wait()
	if len(applied) != status() || int64(len(applied)) != migrations.Latest() {
		t.Errorf("applied %+v", applied)
	}
	if again, err := database.Migrate(t.Context(), dsn); len(again) != 0 || err != nil {
		t.Errorf("again: %+v, %v", again, err)
	}
	occupied := testkit.NewBlankPostgres(t)
	testkit.Execute(t, testkit.Connect(t, occupied), "CREATE TABLE organization ()")
	if _, err := database.Migrate(t.Context(), occupied); err == nil || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("over a table of others: %v", err)
	}
}
