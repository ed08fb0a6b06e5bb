package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
)

// bundleVariable names the file of the only authorities that S3 servers are
// believed by, as it does for the official server
// (docs/protocol/deployment-facts.md).
const bundleVariable = "AWS_CA_BUNDLE"

// openBlockStore puts together the stores that settings describe, without
// connecting to them. The caller ends them with the function that it gets.
func openBlockStore(settings config.Blockstore, logger *slog.Logger) (store backend.BlockStore, end func(), err error) {
	nothing := func() {}
	switch settings.Kind {
	case config.BlockstoreRAID0, config.BlockstoreRAID1, config.BlockstoreRAID5:
	default:
		store, err = openSimpleBlockStore(settings)
		return store, nothing, err
	}
	nodes := make([]backend.BlockStore, len(settings.Nodes))
	for i, node := range settings.Nodes {
		if nodes[i], err = openSimpleBlockStore(node); err != nil {
			return nil, nil, fmt.Errorf("node %d of the block store: %w", i, err)
		}
	}
	options := blockstore.RAIDOptions{Logger: logger}
	switch settings.Kind {
	case config.BlockstoreRAID0:
		return blockstore.NewRAID0(nodes), nothing, nil
	case config.BlockstoreRAID1:
		raid := blockstore.NewRAID1(nodes, options)
		return raid, raid.Close, nil
	default:
		raid, err := blockstore.NewRAID5(nodes, options)
		if err != nil {
			return nil, nil, err
		}
		return raid, raid.Close, nil
	}
}

func openSimpleBlockStore(settings config.Blockstore) (backend.BlockStore, error) {
	switch settings.Kind {
	case config.BlockstoreMemory:
		return blockstore.NewMemory(), nil
	case config.BlockstoreS3:
		roots, err := bundledRoots(os.Getenv(bundleVariable))
		if err != nil {
			return nil, err
		}
		store, err := blockstore.NewS3(blockstore.S3Options{
			Endpoint: settings.S3.Endpoint,
			Region:   settings.S3.Region,
			Bucket:   settings.S3.Bucket,
			Key:      settings.S3.Key.Reveal(),
			Secret:   settings.S3.Secret.Reveal(),
			RootCAs:  roots,
		})
		if err != nil {
			return nil, err
		}
		return blockstore.NewLimited(store, blockstore.DefaultLimits()), nil
	case config.BlockstoreSwift:
		store, err := blockstore.NewSwift(blockstore.SwiftOptions{
			AuthURL:   settings.Swift.AuthURL,
			Tenant:    settings.Swift.Tenant,
			Container: settings.Swift.Container,
			User:      settings.Swift.User,
			Password:  settings.Swift.Password.Reveal(),
		})
		if err != nil {
			return nil, err
		}
		return blockstore.NewLimited(store, blockstore.DefaultLimits()), nil
	default:
		return nil, fmt.Errorf("this version has no block store of kind %s", settings.Kind)
	}
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

// watchBlockStore logs why the store is not ready until it is. The caller ends
// it with the function that it gets.
func watchBlockStore(ctx context.Context, store backend.BlockStore, logger *slog.Logger) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { blockstore.AwaitReady(ctx, store, logger) })
	return func() {
		cancel()
		watching.Wait()
	}
}
