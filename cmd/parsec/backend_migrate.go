package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
)

func (p program) backendMigrateCommand() *cobra.Command {
	options := &settingsFlags{}
	var dryRun bool
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the database to the version of this server. Several may run at once.",
		Args:  noArguments,
	}
	options.defineSome(command.PersistentFlags(), "db")
	options.tolerateAll(command.PersistentFlags())
	command.Flags().BoolVar(&dryRun, "dry-run", false, "Print what would be applied, and change nothing.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.migrate(command.Context(), options, dryRun)
	}
	command.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "Print every migration, and since when it is applied.",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return p.migrationStatus(command.Context(), options)
		},
	})
	return command
}

func (p program) migrate(ctx context.Context, options *settingsFlags, dryRun bool) error {
	dsn, err := config.LoadDSN(options.given, p.environment)
	if err != nil {
		return err
	}
	retry, err := p.retry(options)
	if err != nil {
		return err
	}
	told := false
	err = database.Await(ctx, dsn.Reveal(), retry, func(err error) {
		if !told {
			fmt.Fprintf(p.stderr, "The database is not ready yet: %s\n", oneLine(explainDatabase(err).Error()))
		}
		told = true
	})
	if err != nil {
		return err
	}
	before, err := database.MigrationStatus(ctx, dsn.Reveal())
	if err != nil {
		return err
	}
	for _, migration := range before {
		switch {
		case migration.Applied:
			fmt.Fprintf(p.stdout, "%s (already applied)\n", migration.File)
		case dryRun:
			fmt.Fprintf(p.stdout, "%s (to be applied)\n", migration.File)
		}
	}
	if dryRun {
		return nil
	}
	applied, err := database.Migrate(ctx, dsn.Reveal())
	for _, migration := range applied {
		fmt.Fprintf(p.stdout, "%s ✔\n", migration.File)
	}
	return err
}

// retry is how long a command that an orchestrator starts beside the stores waits
// for them, as the server does.
func (p program) retry(options *settingsFlags) (database.Retry, error) {
	attempts, wait, err := config.LoadRetry(options.given, p.environment)
	return database.Retry{Attempts: attempts, Pause: wait}, err
}

func (p program) migrationStatus(ctx context.Context, options *settingsFlags) error {
	dsn, err := config.LoadDSN(options.given, p.environment)
	if err != nil {
		return err
	}
	migrations, err := database.MigrationStatus(ctx, dsn.Reveal())
	if err != nil {
		return err
	}
	for _, migration := range migrations {
		state := "pending"
		if migration.Applied {
			state = "applied on " + migration.AppliedOn.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(p.stdout, "%s %s\n", migration.File, state)
	}
	return nil
}
