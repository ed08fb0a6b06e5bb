package main

import (
	"context"
	"fmt"
	"log/slog"

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
	store, end, err := openBlockStore(settings, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer end()
	if err := blockstore.Init(ctx, store); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The block store is ready (%s).\n", settings.Type())
	return nil
}
