package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"parsec-server/migrations"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	// File is the name of the step, such as 00001_create_schema.sql.
	File string
	// Applied reports whether the step is in the database, and AppliedOn since
	// when.
	Applied   bool
	AppliedOn time.Time
}

// Migrate brings the schema to the version that this server works with, and
// returns the steps that it has applied. Several at once wait for one another.
// Each step is a transaction; the first one that fails ends the migration. The
// databases that Open refuses for what they are, Migrate refuses too, before it
// changes anything.
func Migrate(ctx context.Context, dsn string) ([]Migration, error) {
	var applied []Migration
	err := withProvider(ctx, dsn, func(provider *goose.Provider) error {
		results, err := provider.Up(ctx)
		if partial, failed := errors.AsType[*goose.PartialError](err); failed {
			results = partial.Applied
			err = fmt.Errorf("migrate to version %d: %w", partial.Failed.Source.Version, partial.Err)
		}
		for _, result := range results {
			applied = append(applied, Migration{
				Version: result.Source.Version, File: path.Base(result.Source.Path), Applied: true,
			})
		}
		return err
	})
	return applied, err
}

// MigrationStatus lists every step that this server knows, in order. It refuses
// the databases that Migrate refuses.
func MigrationStatus(ctx context.Context, dsn string) ([]Migration, error) {
	var list []Migration
	err := withProvider(ctx, dsn, func(provider *goose.Provider) error {
		states, err := provider.Status(ctx)
		for _, state := range states {
			list = append(list, Migration{
				Version:   state.Source.Version,
				File:      path.Base(state.Source.Path),
				Applied:   state.State == goose.StateApplied,
				AppliedOn: state.AppliedAt,
			})
		}
		return err
	})
	return list, err
}

func withProvider(ctx context.Context, dsn string, work func(*goose.Provider) error) error {
	from, err := newConnector(Source{DSN: dsn}, map[string]string{
		// To build an index takes as long as it takes.
		"statement_timeout": "0",
	})
	if err != nil {
		return err
	}
	database := stdlib.OpenDB(*from.last.ConnConfig)
	provider, err := goose.NewProvider(goose.DialectPostgres, database, migrations.Files,
		goose.WithLocker(&migrationLock{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return errors.Join(fmt.Errorf("prepare the migration: %w", err), database.Close())
	}
	if err := checkThrough(ctx, database); err != nil {
		return errors.Join(err, provider.Close())
	}
	return errors.Join(work(provider), provider.Close())
}

// checkThrough is checkDatabase for what goose works with. Goose itself would
// make its table first, and knows nothing of later versions.
func checkThrough(ctx context.Context, database *sql.DB) error {
	connection, err := database.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	err = connection.Raw(func(driver any) error {
		_, err := checkDatabase(ctx, driver.(*stdlib.Conn).Conn())
		return err
	})
	return errors.Join(err, connection.Close())
}

// checkDatabase returns the version of the schema, 0 without schema. It fails for
// every database that this server must neither serve nor migrate: one that
// cannot hold every text, that of the official server, and one that a later
// server has migrated.
func checkDatabase(ctx context.Context, connection *pgx.Conn) (version int64, err error) {
	var encoding string
	var official bool
	err = connection.QueryRow(ctx, selectNature).Scan(&encoding, &official)
	if err != nil {
		return 0, fmt.Errorf("ask what the database is: %w", err)
	}
	if encoding != "UTF8" {
		return 0, fmt.Errorf("the encoding of the database is %s, it must be UTF8", encoding)
	}
	if version, err = schemaVersion(ctx, connection); err != nil {
		return 0, err
	}
	switch latest := migrations.Latest(); {
	case version == 0 && official:
		return 0, errOfficial
	case version > latest:
		return 0, fmt.Errorf("the schema of the database is version %d, newer than version %d of this server: install a later server", version, latest)
	default:
		return version, nil
	}
}

// selectNature reads the encoding, and whether there are tables that only the
// official server makes: `migration` since its version 1.13, and
// `vlob_encryption_revision` before (docs/protocol/import.md §1, §2).
const selectNature = `
SELECT current_setting('server_encoding'),
    to_regclass('migration') IS NOT NULL OR to_regclass('vlob_encryption_revision') IS NOT NULL`

var errOfficial = errors.New("this is a database of the official Parsec server, which this server cannot use as it is; nothing was changed. " +
	"To move in, give an empty database, and run `parsec backend migrate` on that, then `parsec backend import --from` this one (docs/import.md)")

// schemaVersion is 0 for a database without schema.
func schemaVersion(ctx context.Context, connection *pgx.Conn) (version int64, err error) {
	err = connection.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	if codeOf(err) == "42P01" { // undefined_table
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the schema: %w", err)
	}
	return version, nil
}

func errOldSchema(version int64) error {
	return fmt.Errorf("the schema of the database is version %d, this server needs version %d: run `parsec backend migrate`", version, migrations.Latest())
}
