package datafolder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/datafolder/layout"
)

// restoringName is a file of a folder that is not whole yet.
const restoringName = "restoring"

// Restore makes a folder of an archive. The folder is empty or does not exist; what is
// not finished is refused by Open, and begun again by the next Restore.
func Restore(ctx context.Context, options Options, archive string) (done Summary, err error) {
	file, err := os.Open(archive)
	if err != nil {
		return done, fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	defer file.Close()
	in := newArchiveReader(file)
	head, err := in.readHead()
	if err != nil {
		return done, fmt.Errorf("%s: %w", archive, err)
	}
	found, err := latestPrograms(ctx)
	if err != nil {
		return done, err
	}
	if found.major < head.PostgreSQL {
		return done, fmt.Errorf("%s is of PostgreSQL %d, and this machine has only %d: install PostgreSQL %d or later", archive, head.PostgreSQL, found.major, head.PostgreSQL)
	}
	f, err := openEmpty(ctx, options)
	if err != nil {
		return done, err
	}
	defer f.Close()
	done = Summary{PostgreSQL: found.major, BlocksIncluded: head.Blocks}
	if err := done.extract(ctx, f, in); err != nil {
		return done, fmt.Errorf("%s: %w", archive, err)
	}
	if err := f.fill(ctx, found); err != nil {
		return done, err
	}
	unix.Sync() // All files at once: there may be millions.
	if err := os.Remove(f.File(restoringName)); err != nil {
		return done, err
	}
	return done, syncFolder(string(f.Folder))
}

// openEmpty takes a folder that has nothing, or only what an interrupted Restore has
// left, which it removes.
func openEmpty(ctx context.Context, options Options) (_ *Folder, err error) {
	f, err := open(ctx, options)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	names, err := os.ReadDir(string(f.Folder))
	if err != nil {
		return nil, err
	}
	_, unfinished := os.Stat(f.File(restoringName))
	for _, name := range names {
		switch name := name.Name(); {
		case name == layout.LockName, name == restoringName, name == "lost+found":
		case unfinished != nil:
			return nil, fmt.Errorf("the folder %s is not empty: a backup is restored to a folder of its own", f.Folder)
		default:
			if err := os.RemoveAll(f.File(name)); err != nil {
				return nil, err
			}
		}
	}
	return f, writeFile(f.File(restoringName), nil)
}

// extract writes the files of an archive, and compares them with its checksums.
func (s *Summary) extract(ctx context.Context, f *Folder, in *archiveReader) error {
	root, err := os.OpenRoot(string(f.Folder))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		name, content, err := in.next()
		if err != nil || name == "" {
			return errors.Join(err, s.finishBlocks(f))
		}
		size, err := writeFrom(root, name, content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if strings.Count(name, "/") > 1 {
			s.Blocks++
			s.Bytes += size
		}
	}
}

// finishBlocks makes what a folder of blocks needs besides its files.
func (s *Summary) finishBlocks(f *Folder) error {
	if !s.BlocksIncluded {
		return nil
	}
	return os.Mkdir(filepath.Join(f.Blocks(), blockstore.FolderUnfinished), privateMode)
}

func writeFrom(root *os.Root, name string, content io.Reader) (size int64, err error) {
	if folder := path.Dir(name); folder != "." {
		if err := root.MkdirAll(folder, privateMode); err != nil {
			return 0, err
		}
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, secretMode)
	if err != nil {
		return 0, err
	}
	size, err = io.Copy(file, content)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCutArchive
	}
	return size, errors.Join(err, file.Close())
}

// fill makes the database of what was extracted.
func (f *Folder) fill(ctx context.Context, programs programs) error {
	if err := f.checkSocket(); err != nil {
		return err
	}
	if err := f.initialize(ctx, programs, f.Postgres()); err != nil {
		return err
	}
	database, err := f.start(ctx, programs, f.Postgres())
	if err != nil {
		return err
	}
	defer database.Stop()
	if err := restoreDatabase(ctx, programs, f.DSN(), f.File(dumpName)); err != nil {
		return err
	}
	return os.Remove(f.File(dumpName))
}
