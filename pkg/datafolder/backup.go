package datafolder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/datafolder/layout"
)

// Summary is what a backup or a restore has come to.
type Summary struct {
	PostgreSQL     int
	Blocks         int64
	Bytes          int64 // of the blocks
	BlocksIncluded bool
}

// ErrNoDatabase is of a folder that is not one of data, or keeps its database elsewhere.
var ErrNoDatabase = errors.New("has no database of its own")

// Backup saves a folder in an archive, which is there once it is whole. A server may
// use the folder meanwhile: what it has written before is in the archive.
//
// The database comes first, then the blocks: those that it names are there by then.
// Nobody deletes one meanwhile, while this holds the lock that deletions ask for.
func Backup(ctx context.Context, options Options, archive, server string) (done Summary, err error) {
	folder := layout.Folder(options.Path)
	major, err := majorOf(folder.Postgres())
	if err != nil {
		return done, err
	}
	if major == 0 {
		return done, fmt.Errorf("%s %w", folder, ErrNoDatabase)
	}
	found, err := programsOf(ctx, folder, major)
	if err != nil {
		return done, err
	}
	if _, err := os.Lstat(archive); err == nil {
		return done, fmt.Errorf("the archive %s is there already", archive)
	}
	end, err := wake(ctx, options)
	if err != nil {
		return done, err
	}
	defer end()
	holding, err := pgx.Connect(ctx, folder.DSN())
	if err != nil {
		return done, fmt.Errorf("the database of the folder does not answer: %w", err)
	}
	defer func() { _ = holding.Close(context.WithoutCancel(ctx)) }() // The lock ends with it.
	if _, err := holding.Exec(ctx, "SELECT pg_advisory_lock($1)", database.BackupLock); err != nil {
		return done, err
	}
	done = Summary{PostgreSQL: major}
	unfinished := archive + ".partial"
	if err = done.write(ctx, folder, found, unfinished, server); err == nil {
		err = holding.Ping(ctx) // The lock was there all the time.
	}
	if err == nil {
		err = os.Rename(unfinished, archive)
	}
	_ = os.Remove(unfinished) // The error says more.
	if err != nil {
		return done, err
	}
	return done, syncFolder(filepath.Dir(archive))
}

// wake has the database of a folder run until end: unless a server has it run.
func wake(ctx context.Context, options Options) (end func(), err error) {
	folder, err := Open(ctx, options)
	if inUse := (*InUseError)(nil); errors.As(err, &inUse) {
		if inUse.Host != hostName() {
			return nil, err
		}
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	running, err := folder.StartDatabase(ctx)
	if err != nil {
		folder.Close()
		return nil, err
	}
	return func() {
		running.Stop()
		folder.Close()
	}, nil
}

func (s *Summary) write(ctx context.Context, folder layout.Folder, programs programs, path, server string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, secretMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := newArchiveWriter(file)
	_, marked := os.Stat(filepath.Join(folder.Blocks(), blockstore.FolderMarker))
	s.BlocksIncluded = marked == nil
	head, err := json.MarshalIndent(archiveHead{archiveFormat, time.Now().UTC(), server, programs.major, s.BlocksIncluded}, "", "  ")
	if err != nil {
		return err
	}
	if err := out.addText(headName, string(head)+"\n"); err != nil {
		return err
	}
	dump := path + ".dump"
	defer func() { _ = os.Remove(dump) }()
	if err := dumpDatabase(ctx, programs, folder.DSN(), dump); err != nil {
		return err
	}
	if _, err := out.addFile(dumpName, dump); err != nil {
		return err
	}
	if _, err := out.addFile(layout.TokenName, folder.Token()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.BlocksIncluded {
		if err := s.addBlocks(ctx, out, folder.Blocks()); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	return file.Sync()
}

// addBlocks adds what the folder of blocks has, but for what is being written.
func (s *Summary) addBlocks(ctx context.Context, out *archiveWriter, blocks string) error {
	return filepath.WalkDir(blocks, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // It was removed meanwhile, with the last block in it.
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case entry.IsDir() && (entry.Name() == blockstore.FolderUnfinished || entry.Name() == "lost+found"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		relative, err := filepath.Rel(blocks, path)
		if err != nil {
			return err
		}
		size, err := out.addFile(layout.BlocksName+"/"+filepath.ToSlash(relative), path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && strings.Contains(relative, "/") {
			s.Blocks++
			s.Bytes += size
		}
		return err
	})
}

// dumpDatabase writes what pg_dump makes of a database to a file.
func dumpDatabase(ctx context.Context, programs programs, dsn, path string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, secretMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return runClient(exec.CommandContext(ctx, programs.path("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", "--dbname="+dsn), file)
}

// restoreDatabase fills an empty database with what dumpDatabase has written.
func restoreDatabase(ctx context.Context, programs programs, dsn, path string) error {
	command := exec.CommandContext(ctx, programs.path("pg_restore"), "--exit-on-error", "--no-owner", "--no-privileges", "--dbname="+dsn, path)
	return runClient(command, nil)
}

// runClient runs a client of PostgreSQL, whose errors are told.
func runClient(command *exec.Cmd, out *os.File) error {
	command.Env = []string{"LC_ALL=C", "PATH=" + filepath.Dir(command.Path) + ":/usr/bin:/bin"}
	if out != nil {
		command.Stdout = out
	}
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, strings.TrimSpace(said.String()))
	}
	return nil
}
