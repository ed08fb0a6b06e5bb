package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
)

// bundleVariable names the file of the only authorities that S3 servers are
// believed by, as it does for the official server
// (docs/protocol/deployment-facts.md).
const bundleVariable = "AWS_CA_BUNDLE"

// blockStoreOptions are what block stores need besides their own settings.
type blockStoreOptions struct {
	// database is that of POSTGRESQL.
	database config.Database
	// degradedWrites is for RAID1 and RAID5.
	degradedWrites bool
	logger         *slog.Logger
	// wrap makes something around each node, also around the only one; nil for
	// nothing.
	wrap func(node int, store blockstore.Store) blockstore.Store
}

// openBlockStore is openBlocks for a command, which logs nothing of the store and asks no
// node by itself.
func openBlockStore(settings config.Blockstore, inDatabase config.Database) (store blockstore.Store, end func(), err error) {
	store, _, end, err = openBlocks(settings, blockStoreOptions{database: inDatabase, logger: slog.New(slog.DiscardHandler)})
	return store, end, err
}

// openBlocks puts together the store that settings describe, and its bare nodes, without
// connecting to them. The caller ends them with the function that it gets.
func openBlocks(settings config.Blockstore, options blockStoreOptions) (store blockstore.Store, array *blockstore.Array, end func(), err error) {
	nodes, endNodes, err := openBlockNodes(settings, options.database, options.logger)
	if err != nil {
		return nil, nil, nil, err
	}
	if array, err = blockstore.NewArray(raidLevel(settings), nodes); err != nil {
		endNodes()
		return nil, nil, nil, err
	}
	store, end, err = assembleBlockStore(settings, options, nodes, endNodes)
	return store, array, end, err
}

// assembleBlockStore makes one store of nodes.
func assembleBlockStore(settings config.Blockstore, options blockStoreOptions, nodes []blockstore.Store, endNodes func()) (store blockstore.Store, end func(), err error) {
	if options.wrap != nil {
		for i, node := range nodes {
			nodes[i] = options.wrap(i, node)
		}
	}
	raid := blockstore.RAIDOptions{DegradedWrites: options.degradedWrites, Logger: options.logger}
	switch settings.Kind {
	case config.BlockstoreRAID0:
		return blockstore.NewRAID0(nodes), endNodes, nil
	case config.BlockstoreRAID1:
		store := blockstore.NewRAID1(nodes, raid)
		return store, func() { store.Close(); endNodes() }, nil
	case config.BlockstoreRAID5:
		store, err := blockstore.NewRAID5(nodes, raid)
		if err != nil {
			endNodes()
			return nil, nil, err
		}
		return store, func() { store.Close(); endNodes() }, nil
	default:
		return nodes[0], endNodes, nil
	}
}

// openBlockNodes opens each node of a RAID, or the one store that there is.
func openBlockNodes(settings config.Blockstore, inDatabase config.Database, logger *slog.Logger) (nodes []blockstore.Store, end func(), err error) {
	var pool *pgxpool.Pool
	end = func() {
		if pool != nil {
			pool.Close()
		}
	}
	if settings.Uses(config.BlockstorePostgreSQL) {
		if pool, err = database.NewPool(storeOptions(inDatabase, nil).Source, inDatabase.MaxConnections); err != nil {
			return nil, nil, err
		}
	}
	if len(settings.Nodes) == 0 {
		store, err := openSimpleBlockStore(settings, pool, logger)
		if err != nil {
			end()
			return nil, nil, err
		}
		return []blockstore.Store{store}, end, nil
	}
	nodes = make([]blockstore.Store, len(settings.Nodes))
	for i, node := range settings.Nodes {
		if nodes[i], err = openSimpleBlockStore(node, pool, logger); err != nil {
			end()
			return nil, nil, fmt.Errorf("node %d of the block store: %w", i, err)
		}
	}
	return nodes, end, nil
}

// openSimpleBlockStore uses pool for POSTGRESQL.
func openSimpleBlockStore(settings config.Blockstore, pool *pgxpool.Pool, logger *slog.Logger) (store blockstore.Store, err error) {
	switch settings.Kind {
	case config.BlockstorePostgreSQL:
		store = blockstore.NewPostgres(pool)
	case config.BlockstoreS3:
		var roots *x509.CertPool
		if roots, err = bundledRoots(os.Getenv(bundleVariable)); err != nil {
			return nil, err
		}
		store, err = blockstore.NewS3(blockstore.S3Options{
			Endpoint: settings.S3.Endpoint,
			Region:   settings.S3.Region,
			Bucket:   settings.S3.Bucket,
			Key:      settings.S3.Key.Reveal(),
			Secret:   settings.S3.Secret.Reveal(),
			RootCAs:  roots,
		})
	case config.BlockstoreSwift:
		store, err = blockstore.NewSwift(blockstore.SwiftOptions{
			AuthURL:   settings.Swift.AuthURL,
			Tenant:    settings.Swift.Tenant,
			Container: settings.Swift.Container,
			User:      settings.Swift.User,
			Password:  settings.Swift.Password.Reveal(),
		})
	case config.BlockstoreFolder:
		store, err = blockstore.NewFolder(blockstore.FolderOptions{Path: settings.Folder, Logger: logger})
	default:
		return blockstore.NewMemory(), nil
	}
	if err != nil {
		return nil, err
	}
	return blockstore.NewLimited(store, blockstore.DefaultLimits()), nil
}

// bundledRoots reads authorities in PEM; those of the system if there is no
// file.
func bundledRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	bundle, err := os.ReadFile(path) //nolint:gosec // An operator names the file.
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundleVariable, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, errors.New(bundleVariable + ": no certificate in PEM in " + path)
	}
	return roots, nil
}
