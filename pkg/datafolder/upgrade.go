package datafolder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// The names of data of PostgreSQL on the way to the next major.
const (
	newSuffix   = ".new"   // not filled yet
	readySuffix = ".ready" // filled, and to take the place of the old
)

// Upgrade moves the database of a folder, which no server uses, to the latest
// PostgreSQL of the machine. The old data stays beside the new. It returns both majors.
func Upgrade(ctx context.Context, options Options) (from, to int, err error) {
	if _, err := os.Stat(options.Path); errors.Is(err, fs.ErrNotExist) { // Open would make it
		return 0, 0, fmt.Errorf("%s %w", options.Path, ErrNoDatabase)
	}
	f, err := Open(ctx, options)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if from, err = majorOf(f.Postgres()); err != nil {
		return 0, 0, err
	}
	if from == 0 {
		return 0, 0, fmt.Errorf("%s %w", f.Folder, ErrNoDatabase)
	}
	latest, err := newestPrograms(ctx)
	if err != nil {
		return 0, 0, err
	}
	if latest.major <= from {
		return from, from, fmt.Errorf("the folder %s is of PostgreSQL %d, and this machine has no later one: %s", f.Folder, from, installHint)
	}
	old, err := programsOf(ctx, f.Folder, from)
	if err != nil {
		return 0, 0, err
	}
	return from, latest.major, f.upgrade(ctx, old, latest)
}

// upgrade moves the database from one version of programs to another.
func (f *Folder) upgrade(ctx context.Context, old, latest programs) error {
	dump := f.File(dumpName)
	defer func() { _ = os.Remove(dump) }()
	if err := f.checkSocket(); err != nil {
		return err
	}
	if err := f.with(ctx, old, f.Postgres(), func() error { return dumpDatabase(ctx, latest, f.DSN(), dump) }); err != nil {
		return err
	}
	data := f.Postgres() + newSuffix
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := f.initialize(ctx, latest, data); err != nil {
		return err
	}
	if err := f.with(ctx, latest, data, func() error { return restoreDatabase(ctx, latest, f.DSN(), dump) }); err != nil {
		return err
	}
	if err := os.Rename(data, f.Postgres()+readySuffix); err != nil {
		return err
	}
	return f.settle()
}

// with does something while the database runs.
func (f *Folder) with(ctx context.Context, programs programs, data string, do func() error) error {
	database, err := f.start(ctx, programs, data)
	if err != nil {
		return err
	}
	defer database.Stop()
	return do()
}

// settle ends an upgrade, also one that was killed before its end.
func (f *Folder) settle() error {
	ready := f.Postgres() + readySuffix
	if _, err := os.Stat(ready); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := majorOf(f.Postgres())
	if err != nil {
		return err
	}
	if old != 0 {
		kept := f.Postgres() + "." + strconv.Itoa(old)
		if err := os.RemoveAll(kept); err != nil { // of an earlier try
			return err
		}
		if err := os.Rename(f.Postgres(), kept); err != nil {
			return err
		}
	}
	if err := os.Rename(ready, f.Postgres()); err != nil {
		return err
	}
	return syncFolder(string(f.Folder))
}
