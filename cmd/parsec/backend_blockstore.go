package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
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
		Short: "Create the bucket, container or folder of each node. What exists stays as it is.",
		Args:  noArguments,
	}
	options.defineSome(command.Flags(), "blockstore", "db")
	optional(command.Flags(), "db") // Only a store in the database needs it.
	options.tolerateAll(command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.initBlockStore(command.Context(), options)
	}
	group.AddCommand(command, p.blockstoreCheckCommand(), p.blockstoreRepairCommand(), p.blockstoreCopyCommand(), p.blockstoreOrphansCommand())
	return group
}

func (p program) initBlockStore(ctx context.Context, options *settingsFlags) error {
	settings, err := config.LoadBlockstore(options.given, p.environment)
	if err != nil {
		return err
	}
	var database config.Database
	if settings.Uses(config.BlockstorePostgreSQL) {
		if database, err = p.database(options); err != nil {
			return err
		}
	}
	store, end, err := openBlockStore(settings, database)
	if err != nil {
		return err
	}
	defer end()
	retry, err := p.retry(options)
	if err != nil {
		return err
	}
	err = retry.Do(ctx, func(ctx context.Context) error {
		if err := blockstore.Init(ctx, store); err != nil {
			return err
		}
		return store.Ready(ctx)
	}, func(err error) {
		fmt.Fprintf(p.stderr, "The block store is not ready yet: %s\n", oneLine(explainDatabase(err).Error()))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The block store is ready (%s).\n", settings.Type())
	return nil
}

// operatorConnections is how many connections to the database a pool of the
// commands of operators may open.
const operatorConnections = 8

func (p program) database(options *settingsFlags) (config.Database, error) {
	dsn, err := config.LoadDSN(options.given, p.environment)
	return config.Database{DSN: dsn, MaxConnections: operatorConnections}, err
}

var errMemoryBlockstore = &config.UsageError{Message: "A block store in memory belongs to the server that runs."}

// openArray opens the nodes of a store, one by one.
func openArray(settings config.Blockstore, database config.Database) (array *blockstore.Array, end func(), err error) {
	if settings.Uses(config.BlockstoreMemory) {
		return nil, nil, errMemoryBlockstore
	}
	nodes, end, err := openBlockNodes(settings, database, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	array, err = blockstore.NewArray(raidLevel(settings), nodes)
	if err != nil {
		end()
	}
	return array, end, err
}

func raidLevel(settings config.Blockstore) int {
	switch settings.Kind {
	case config.BlockstoreRAID1:
		return 1
	case config.BlockstoreRAID5:
		return 5
	default:
		return 0
	}
}

// sharesNode reports whether two stores have a place in common.
func sharesNode(a, b config.Blockstore) bool {
	return slices.ContainsFunc(places(a), func(place string) bool { return slices.Contains(places(b), place) })
}

// places name the buckets, containers and tables of a store, whatever opens
// them.
func places(store config.Blockstore) []string {
	var all []string
	for _, node := range store.Nodes {
		all = append(all, places(node)...)
	}
	switch store.Kind {
	case config.BlockstoreS3:
		return []string{fmt.Sprint(store.Kind, store.S3.Endpoint, " ", store.S3.Bucket)}
	case config.BlockstoreSwift:
		return []string{fmt.Sprint(store.Kind, store.Swift.AuthURL, " ", store.Swift.Tenant, " ", store.Swift.Container)}
	case config.BlockstorePostgreSQL:
		return []string{store.Type()}
	case config.BlockstoreFolder:
		return []string{fmt.Sprint(store.Kind, " ", realPath(store.Folder))}
	default:
		return all
	}
}

// realPath returns the one name of a folder, as far as it exists.
func realPath(folder string) string {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return folder
	}
	if followed, err := filepath.EvalSymlinks(absolute); err == nil {
		return followed
	}
	return absolute
}
