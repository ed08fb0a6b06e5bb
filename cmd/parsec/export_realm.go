package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/export"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// realmExport3 is what of Parsec 3 is exported, as of a snapshot, nil for the latest
// possible one; and where to, "" for a file of the default name.
type realmExport3 struct {
	organization parsec.OrganizationID
	realm        parsec.RealmID
	snapshot     *parsec.DateTime
	output       string
}

// exportRealmCommand is the official export_realm
// (docs/protocol/v5/administration.md §5).
func (p program) exportRealmCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "export-realm [OUTPUT]",
		Aliases: []string{"export_realm"},
		Short:   "Write a realm of Parsec 3 into an SQLite file, for its members and sequester services. What is in the file already stays.",
		Args:    optionalArgument,
	}
	flags := command.Flags()
	flags.SortFlags = false
	organization := organizationOption(flags)
	realm := flags.String("realm", "", "Id of the realm.")
	snapshot := flags.String("snapshot-timestamp", "", "Date of what is exported, as 2030-01-31T12:30:00Z; at the latest, and without it, 320 seconds ago.")
	require(flags, "realm")
	options := databaseOptions(flags)
	options.defineSome(flags, "blockstore")
	command.RunE = func(command *cobra.Command, args []string) (err error) {
		var wanted realmExport3
		if wanted.organization, err = organization(); err != nil {
			return err
		}
		id, err := uuidOption("realm", *realm)
		if err != nil {
			return err
		}
		if wanted.snapshot, err = dateOption("snapshot-timestamp", *snapshot); err != nil {
			return err
		}
		if len(args) > 0 {
			wanted.output = args[0]
		}
		wanted.realm = parsec.RealmID(id)
		return p.exportRealm3(command.Context(), options, wanted)
	}
	return command
}

// optionalArgument permits one argument, beside options.
func optionalArgument(command *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return noArguments(command, args[1:])
}

// path returns where a realm is exported to as of a snapshot.
func (w *realmExport3) path(snapshot parsec.DateTime) string {
	name := fmt.Sprintf("parsec-export-%s-realm-%s-%s.sqlite", w.organization, parsec.UUID(w.realm).Hex(), snapshot.Time().UTC().Format("20060102T150405Z"))
	return inFolder(w.output, name)
}

// exportRealm3 exports a realm from the database and the block store that options name.
func (p program) exportRealm3(ctx context.Context, options *settingsFlags, wanted realmExport3) error {
	return p.withBlocks(options, func(blocks blockstore.Store) error {
		return p.operate(ctx, options, wanted.organization, operation{parsec3: func(b *parsec3rules.Rules) error {
			source, err := b.ExportRealm(ctx, wanted.organization, wanted.realm, wanted.snapshot)
			if err != nil {
				return explainRealm(err, wanted.realm, wanted.organization)
			}
			return p.writeExport3(ctx, wanted, source, blocks)
		}})
	})
}

func (p program) writeExport3(ctx context.Context, wanted realmExport3, source *parsec3rules.RealmExport, blocks blockstore.Store) (err error) {
	path := wanted.path(source.Snapshot)
	work, err := export.Open(ctx, path, source)
	if other, is := errors.AsType[*export.OtherExportError](err); is && other.Of == "timestamp" {
		return fmt.Errorf("%w; to go on with it give --snapshot-timestamp %s", other, other.Got)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	if left := work.LeftOut(); left > 0 {
		fmt.Fprintf(p.stdout, "left out %d versions of files, which have the date of their next ones\n", left)
	}
	to := exportTarget{wanted.organization, path, work.Bytes(), fmt.Sprintf("the same command with --snapshot-timestamp %s goes on", source.Snapshot)}
	return p.followExport(to, func(advance func(int, int64), lost func(parsec.BlockID)) error {
		work.Blocks, work.Advance, work.Lost = blocks, advance, lost
		return work.Run(ctx)
	})
}
