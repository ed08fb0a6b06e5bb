package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/datafolder"
)

var errFolderLost = errors.New("another server has taken the folder of --data, because this one was not seen alive")

// openData takes the folder of --data, and starts what the server needs of it. The
// context that it returns ends with the hold of the folder; the caller calls end, once
// the server has ended.
func openData(ctx context.Context, settings config.Config, logger *slog.Logger, stdout io.Writer) (held context.Context, end func(), err error) {
	folder, err := datafolder.Open(ctx, datafolder.Options{Path: settings.Data.Folder, User: settings.Data.User, Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	stopDatabase := func() {}
	defer func() {
		if err != nil {
			stopDatabase()
			folder.Close()
		}
	}()
	// Blocks that are missing where there is a database are lost, or not mounted.
	known := folder.HasDatabase() || !settings.Data.Database && folder.HasBlocks()
	if settings.Data.Blocks && !known {
		if err := initFolderOfBlocks(ctx, folder.Blocks(), logger); err != nil {
			return nil, nil, err
		}
	}
	fmt.Fprintf(stdout, "Data in %s\n", folder.Folder)
	if settings.Data.Database {
		database, err := folder.StartDatabase(ctx)
		if err != nil {
			return nil, nil, err
		}
		stopDatabase = database.Stop
		fmt.Fprintf(stdout, "PostgreSQL %d runs in it\n", database.Major())
	}
	if settings.Data.Token {
		isNew, err := folder.KeepToken(settings.AdministrationToken.Reveal())
		if err != nil {
			return nil, nil, err
		}
		words := "Administration token in"
		if isNew {
			words = "A new administration token is in"
		}
		fmt.Fprintf(stdout, "%s %s\n", words, folder.Token())
	}
	held, cancel := context.WithCancelCause(ctx)
	endWatch := inBackground(context.WithoutCancel(ctx), func(ctx context.Context) {
		select {
		case <-folder.Lost():
			cancel(errFolderLost)
		case <-ctx.Done():
		}
	})
	return held, func() {
		endWatch()
		cancel(nil)
		stopDatabase()
		folder.Close()
	}, nil
}

func initFolderOfBlocks(ctx context.Context, path string, logger *slog.Logger) error {
	store, err := blockstore.NewFolder(blockstore.FolderOptions{Path: path, Logger: logger})
	if err != nil {
		return err
	}
	return store.Init(ctx)
}

// dataCommand makes a command whose arguments are files, and that works on a folder of
// data.
func (p program) dataCommand(use, short string, run func(ctx context.Context, options datafolder.Options, paths []string) error) *cobra.Command {
	var user string
	command := &cobra.Command{Use: use, Short: short, Args: namedArguments(strings.Fields(use)[1:]...)}
	command.Flags().StringVar(&user, "data-user", "postgres", "Who runs the PostgreSQL of the folder where root runs the command.")
	command.RunE = func(command *cobra.Command, given []string) error {
		paths := make([]string, len(given))
		for i, path := range given {
			var err error
			if paths[i], err = filepath.Abs(path); err != nil {
				return err
			}
		}
		return run(command.Context(), datafolder.Options{User: user, Logger: slog.New(slog.DiscardHandler)}, paths)
	}
	return command
}

func (p program) backendBackupCommand() *cobra.Command {
	return p.dataCommand("backup FOLDER ARCHIVE", "Save a folder of --data in an archive (tar), whether its server runs or not.",
		func(ctx context.Context, options datafolder.Options, paths []string) error {
			options.Path = paths[0]
			done, err := datafolder.Backup(ctx, options, paths[1], p.build.String())
			if err != nil {
				return wrongFolder(err)
			}
			fmt.Fprintf(p.stdout, "Saved %s in %s: %s\n", paths[0], paths[1], savedInWords(done))
			return nil
		})
}

func (p program) backendRestoreCommand() *cobra.Command {
	return p.dataCommand("restore ARCHIVE FOLDER", "Make a folder for --data of an archive. The folder is empty, or does not exist yet.",
		func(ctx context.Context, options datafolder.Options, paths []string) error {
			options.Path = paths[1]
			done, err := datafolder.Restore(ctx, options, paths[0])
			if errors.Is(err, datafolder.ErrNoBackup) {
				return invalidValue("ARCHIVE", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "Restored %s from %s: %s\n", paths[1], paths[0], savedInWords(done))
			return nil
		})
}

func (p program) backendUpgradeCommand() *cobra.Command {
	return p.dataCommand("upgrade FOLDER", "Move the database of a folder of --data, whose server is stopped, to the latest PostgreSQL of the machine.",
		func(ctx context.Context, options datafolder.Options, paths []string) error {
			options.Path = paths[0]
			from, to, err := datafolder.Upgrade(ctx, options)
			if err != nil {
				return wrongFolder(err)
			}
			fmt.Fprintf(p.stdout, "%s is of PostgreSQL %d now. What PostgreSQL %d had is in %s/postgres.%d: remove it once the server works.\n", paths[0], to, from, paths[0], from)
			return nil
		})
}

// wrongFolder is for an error of a folder that was typed, which may be none of data.
func wrongFolder(err error) error {
	if errors.Is(err, datafolder.ErrNoDatabase) {
		return invalidValue("FOLDER", err)
	}
	return err
}

func savedInWords(done datafolder.Summary) string {
	words := fmt.Sprintf("database of PostgreSQL %d", done.PostgreSQL)
	if !done.BlocksIncluded {
		return words + "; the blocks are elsewhere, and not in the archive."
	}
	return words + fmt.Sprintf(", %d blocks, %s.", done.Blocks, byteCount(done.Bytes))
}
