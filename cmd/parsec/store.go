package main

import (
	"context"
	"log/slog"

	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
	"parsec-server/pkg/erasure"
	erasurememory "parsec-server/pkg/erasure/memory"
	erasurestore "parsec-server/pkg/erasure/postgres"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
	parsec3memory "parsec-server/pkg/parsec3/memory"
	parsec3notice "parsec-server/pkg/parsec3/notice"
	parsec3postgres "parsec-server/pkg/parsec3/postgres"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// stores are what a process keeps state in: that of the organizations, and that
// of each generation.
type stores struct {
	organizations organization.Store
	parsec2       rules.Store
	parsec3       parsec3rules.Store
	// gathered counts the transactions of Parsec 3 that have none of their own.
	gathered func() int
	// blocks is what they know of blocks, nil in memory.
	blocks *blocksOfAll
	// erasing is what is to be erased of any generation, and erasures the same on a
	// database, nil in memory.
	erasing  erasure.List
	erasures *erasurestore.List
	// database is what all of them stand on, nil in memory.
	database *database.Database
	// dsn is that of database, for what is said of it.
	dsn string
}

// openStores opens the stores that settings describe for a server, and migrates
// their database if they say so. The caller closes them.
func openStores(ctx context.Context, settings config.Database, bus *event.Bus, logger *slog.Logger, absence *outage.Dependency) (stores, error) {
	if settings.Mocked() {
		organizations := organizationmemory.New(bus)
		second, third := memory.New(organizations), parsec3memory.New(organizations)
		return stores{organizations: organizations, parsec2: second, parsec3: third, gathered: third.Gathered, erasing: erasurememory.New(organizations,
			map[organization.Generation]erasurememory.Wing{organization.Parsec2: second, organization.Parsec3: third})}, nil
	}
	options := storeOptions(settings, logger)
	options.Outage = absence
	return openDatabase(ctx, options, bus)
}

// storeOptions returns the options of the database that settings describe.
func storeOptions(settings config.Database, logger *slog.Logger) database.Options {
	return database.Options{
		Source:         database.Source{DSN: settings.DSN.Reveal(), Reread: settings.CurrentDSN, Logger: logger},
		MinConnections: settings.MinConnections,
		MaxConnections: settings.MaxConnections,
		Migrate:        settings.Migrate,
		Retry:          database.Retry{Attempts: settings.ConnectionAttempts, Pause: settings.ConnectionPause},
		Codec:          database.Codecs{notice.Codec{}, parsec3notice.Codec{}},
	}
}

// openDatabase opens the stores on a database, for a server or, without bus, for
// the command of an operator. The caller closes them.
func openDatabase(ctx context.Context, options database.Options, bus *event.Bus) (stores, error) {
	opened, err := database.Open(ctx, options, bus)
	if err != nil {
		return stores{}, err
	}
	organizations := organizationpostgres.New(opened)
	second := postgres.New(opened, organizations, systemClock)
	third := parsec3postgres.New(opened, organizations, systemClock)
	erasures := &erasurestore.List{Database: opened, Wings: map[organization.Generation]erasurestore.Wing{
		organization.Parsec2: second, organization.Parsec3: third,
	}}
	return stores{
		dsn:           options.DSN,
		organizations: organizations,
		parsec2:       second,
		parsec3:       third,
		gathered:      third.Gathered,
		blocks: &blocksOfAll{organizations, []generationBlocks{
			{second, organization.Parsec2}, {third, organization.Parsec3},
		}, opened},
		erasing:  erasures,
		erasures: erasures,
		database: opened,
	}, nil
}

func (s stores) close() {
	if s.database != nil {
		s.database.Close()
	}
}
