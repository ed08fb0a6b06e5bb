package main

import (
	"context"
	"log/slog"

	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

// databaseSource names the database as settings do.
func databaseSource(settings config.Database) postgres.Source {
	return postgres.Source{DSN: settings.DSN.Reveal(), Reread: settings.CurrentDSN}
}

// openStore opens the store that settings describe, and migrates it if they
// say so. The caller ends it with the function that it gets.
func openStore(ctx context.Context, settings config.Database, bus *event.Bus, now func() parsec.DateTime, logger *slog.Logger) (store rules.Store, end func(), err error) {
	if settings.Mocked() {
		return memory.New(bus), func() {}, nil
	}
	options := postgres.Options{
		DSN:            settings.DSN.Reveal(),
		Reread:         settings.CurrentDSN,
		MinConnections: settings.MinConnections,
		MaxConnections: settings.MaxConnections,
		Migrate:        settings.Migrate,
		Retry:          postgres.Retry{Attempts: settings.ConnectionAttempts, Pause: settings.ConnectionPause},
		Now:            now,
		Logger:         logger,
	}
	opened, err := postgres.Open(ctx, options, bus)
	if err != nil {
		return nil, nil, err
	}
	return opened, opened.Close, nil
}
