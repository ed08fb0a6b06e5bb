package datafolder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"parsec-server/pkg/datafolder/layout"
)

const (
	privateMode = 0o700
	// passableMode lets the user of PostgreSQL reach what is its own, where root starts it.
	passableMode = 0o711
	secretMode   = 0o600
)

// Options say which folder to open, and how.
type Options struct {
	// Path is absolute.
	Path string
	// User runs PostgreSQL where this process is root's.
	User   string
	Logger *slog.Logger
}

// Folder is a folder of data that this process holds.
type Folder struct {
	layout.Folder
	options Options
	account *account
	lock    *lock
}

// Open takes a folder for this process, and makes it if there is none. It returns an
// *InUseError if another process has it. The caller closes it.
func Open(ctx context.Context, options Options) (*Folder, error) {
	f, err := open(ctx, options)
	if err != nil {
		return nil, err
	}
	if _, unfinished := os.Stat(f.File(restoringName)); unfinished == nil {
		err = fmt.Errorf("a backup was not restored to the end in the folder %s: run `parsec backend restore` again", f.Folder)
	}
	if err = errors.Join(err, f.settle()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// open is Open of a folder that may be unfinished.
func open(ctx context.Context, options Options) (*Folder, error) {
	f := &Folder{Folder: layout.Folder(options.Path), options: options}
	var err error
	if f.account, err = accountOf(options.User); err != nil {
		return nil, err
	}
	if err := f.prepare(); err != nil {
		return nil, err
	}
	if f.lock, err = take(ctx, f.Folder, options.Logger); err != nil {
		return nil, err
	}
	return f, nil
}

// Close lets others have the folder.
func (f *Folder) Close() { f.lock.release() }

// Lost is closed when another machine has taken the folder all the same, because this
// process was not seen alive.
func (f *Folder) Lost() <-chan struct{} { return f.lock.lost }

// prepare makes the folder itself. It takes none that holds something else.
func (f *Folder) prepare() error {
	mode := fs.FileMode(privateMode)
	if f.account != nil {
		mode = passableMode
	}
	names, err := os.ReadDir(string(f.Folder))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(string(f.Folder), mode); err != nil {
			return err
		}
		return os.Chmod(string(f.Folder), mode) // Whatever the umask is.
	case err != nil:
		return err
	}
	foreign := ""
	for _, name := range names {
		switch name.Name() {
		case layout.LockName: // What only begun folders have too.
			return nil
		case "lost+found":
		default:
			foreign = name.Name()
		}
	}
	if foreign != "" {
		return fmt.Errorf("the folder %s holds something else (%s): name an empty one, or one that does not exist", f.Folder, foreign)
	}
	if err := os.Chmod(string(f.Folder), mode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// KeepToken writes the administration token to the folder, unless there is one.
func (f *Folder) KeepToken(token string) (isNew bool, err error) {
	if _, err := os.Stat(f.Token()); err == nil {
		return false, nil
	}
	return true, writeFile(f.Token(), []byte(token+"\n"))
}

// writeFile makes a file that is whole or not there.
func writeFile(path string, content []byte) error {
	unfinished := path + ".tmp"
	file, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, secretMode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder has the names in a folder be on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// maxSocketPath is what systems allow, with the zero at its end.
const maxSocketPath = 103

// checkSocket returns an error for a path that is too long.
func (f *Folder) checkSocket() error {
	if over := len(filepath.Join(f.Sockets(), layout.SocketName)) - maxSocketPath; over > 0 {
		return fmt.Errorf("the path of the folder %s is too long by %d bytes for the socket in it: choose a shorter one", f.Folder, over)
	}
	if strings.ContainsAny(string(f.Folder), ",\n") {
		return fmt.Errorf("the path of the folder %s has a comma, which PostgreSQL takes for the end of it", f.Folder)
	}
	return nil
}

// HasDatabase reports whether the folder has data of PostgreSQL.
func (f *Folder) HasDatabase() bool { return exists(f.Postgres()) }

// HasBlocks reports whether the folder has one for blocks.
func (f *Folder) HasBlocks() bool { return exists(f.Blocks()) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
