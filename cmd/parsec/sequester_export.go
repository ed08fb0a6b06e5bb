package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/export"
	"parsec-server/pkg/parsec2/rules"
)

// realmExport is what is exported, and where to.
type realmExport struct {
	rules.ExportKey
	path string
}

func (p program) sequesterExportCommand() *cobra.Command {
	command := sequesterSubcommand("export-realm", "export_realm",
		"Write a realm, with the copies for a service, into an SQLite file. What is in the file already stays.")
	flags := command.Flags()
	organization := organizationOption(flags)
	realm := flags.String("realm", "", "Id of the realm.")
	service := flags.String("service", "", "Id of the service.")
	output := flags.String("output", "", "File to write, or to go on with; in a directory, parsec-sequester-export-realm-<realm>.sqlite.")
	require(flags, "realm", "service", "output")
	options := databaseOptions(flags)
	options.defineSome(flags, "blockstore")
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := organization()
		if err != nil {
			return err
		}
		realmID, err := uuidOption("realm", *realm)
		if err != nil {
			return err
		}
		serviceID, err := uuidOption("service", *service)
		if err != nil {
			return err
		}
		if *output == "" {
			return missingOption("output")
		}
		return p.exportRealm(command.Context(), options, realmExport{
			ExportKey: rules.ExportKey{Organization: id, Realm: parsec.RealmID(realmID), Service: parsec.SequesterServiceID(serviceID)},
			path:      inFolder(*output, "parsec-sequester-export-realm-"+realmID.Hex()+".sqlite"),
		})
	}
	return command
}

func (p program) exportRealm(ctx context.Context, options *settingsFlags, wanted realmExport) error {
	return p.withBlocks(options, func(blocks blockstore.Store) error {
		return p.operate(ctx, options, wanted.Organization, operation{parsec2: func(b *rules.Rules) error {
			source, err := b.ExportRealm(ctx, wanted.ExportKey)
			if err != nil {
				return explainRealm(err, wanted.Realm, wanted.Organization)
			}
			return p.writeExport(ctx, wanted, source, blocks)
		}})
	})
}

func (p program) writeExport(ctx context.Context, wanted realmExport, source *rules.RealmExport, blocks blockstore.Store) (err error) {
	work, err := export.Open(ctx, wanted.path, wanted.ExportKey, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	to := exportTarget{wanted.Organization, wanted.path, int64(source.BlocksSize), sameCommand}
	return p.followExport(to, func(advance func(int, int64), lost func(parsec.BlockID)) error {
		work.Blocks, work.Advance, work.Lost = blocks, advance, lost
		return work.Run(ctx)
	})
}
