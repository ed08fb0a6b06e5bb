package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
)

func (p program) backendBlockstoreCommand() *cobra.Command {
	group := p.group("blockstore", "The block store and its administration.")
	options := &settingsFlags{}
	command := &cobra.Command{
		Use:   "init",
		Short: "Create the bucket or container of each node. What exists stays as it is.",
		Args:  noArguments,
	}
	options.defineOne(command.Flags(), "blockstore")
	options.defineOne(command.Flags(), "db")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.initBlockStore(command.Context(), options)
	}
	group.AddCommand(command)
	return group
}

func (p program) initBlockStore(ctx context.Context, options *settingsFlags) error {
	settings, err := config.LoadBlockstore(options.given, p.environment)
	if err != nil {
		return err
	}
	database, err := p.databaseOfBlocks(options, settings)
	if err != nil {
		return err
	}
	store, end, err := openBlockStore(settings, blockStoreOptions{database: database, logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer end()
	if err := blockstore.Init(ctx, store); err != nil {
		return err
	}
	if err := store.Ready(ctx); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The block store is ready (%s).\n", settings.Type())
	return nil
}

// operatorConnections is how many connections to the database the commands of
// operators may open.
const operatorConnections = 4

// databaseOfBlocks is the database of the stores that are in one.
func (p program) databaseOfBlocks(options *settingsFlags, stores ...config.Blockstore) (config.Database, error) {
	inDatabase := func(store config.Blockstore) bool { return store.Uses(config.BlockstorePostgreSQL) }
	if !slices.ContainsFunc(stores, inDatabase) {
		return config.Database{}, nil
	}
	return p.database(options)
}

func (p program) database(options *settingsFlags) (config.Database, error) {
	dsn, err := config.LoadDSN(options.given, p.environment)
	return config.Database{DSN: dsn, MaxConnections: operatorConnections}, err
}
