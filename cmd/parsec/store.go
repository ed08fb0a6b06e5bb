package main

import (
	"context"
	"log/slog"

	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

// storeOptions returns the options of the database that settings describe.
func storeOptions(settings config.Database, logger *slog.Logger) postgres.Options {
	return postgres.Options{
		Options: database.Options{
			Source:         database.Source{DSN: settings.DSN.Reveal(), Reread: settings.CurrentDSN, Logger: logger},
			MinConnections: settings.MinConnections,
			MaxConnections: settings.MaxConnections,
			Migrate:        settings.Migrate,
			Retry:          database.Retry{Attempts: settings.ConnectionAttempts, Pause: settings.ConnectionPause},
		},
		Now: systemClock,
	}
}

// openStore opens the store that settings describe for a server, and migrates it
// if they say so. The caller ends it with the function that it gets.
func openStore(ctx context.Context, settings config.Database, bus *event.Bus, logger *slog.Logger) (store rules.Store, end func(), err error) {
	if settings.Mocked() {
		return memory.New(organizations.New(bus)), func() {}, nil
	}
	opened, err := postgres.Open(ctx, storeOptions(settings, logger), bus)
	if err != nil {
		return nil, nil, err
	}
	return opened, opened.Close, nil
}
