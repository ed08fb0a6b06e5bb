package blockstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"parsec-server/pkg/parsec"
)

const (
	folderMode = 0o700
	objectMode = 0o600
	// placements bounds how often a write makes the folder that it needs, which who
	// deletes blocks takes away when it is empty.
	placements = 5
)

// The names in a folder that are of no organization, for whoever saves and restores it.
const (
	// FolderMarker is the file that says that a folder is a block store: where it is
	// missing, a volume is not mounted, or the folder is another. No folder of an
	// organization has such a name.
	FolderMarker = "parsec-blocks.txt"
	// FolderUnfinished is the folder of what is being written.
	FolderUnfinished = "unfinished.tmp"
)

// markerText is what the marker begins with, and explains.
const (
	markerText    = "parsec blocks 1\n"
	markerExplain = "This folder is the block store of a Parsec server. Blocks are encrypted, and named\nby the database: change nothing here, and save it after the database.\n"
)

var (
	errNoFolder    = fmt.Errorf("no such block store, mount its volume, or create it with `%s`", initCommand)
	errOtherFolder = errors.New("its " + FolderMarker + " is of another version of the server")
)

var _ Inventory = (*Folder)(nil)

// FolderOptions are those of a Folder.
type FolderOptions struct {
	// Path is that of the folder.
	Path string
	// Logger is told when space gets scarce.
	Logger *slog.Logger
}

// Folder keeps each block in a file of its own, below a folder of this machine or of a
// file server (docs/blockstore.md):
//
//	<folder>/parsec-blocks.txt
//	<folder>/<organization>/8/0/8006a491-f070-4040-ae9a-197ca7501f71
//
// Several processes may use it at once. A file is written beside the others, and takes
// its name when its bytes are on the disk: no name ever has half a block. Its
// methods are safe for concurrent use, try once, and cannot be interrupted
// where the file system hangs.
type Folder struct {
	path   string
	logger *slog.Logger

	// placed are the folders whose names are on the disk as well.
	placing sync.Mutex
	placed  map[parsec.OrganizationID]*[256 / 64]uint64

	// tidied is when what killed writes have left was last removed, in Unix seconds.
	tidied atomic.Int64
	space  atomic.Pointer[Space]
	scarce atomic.Bool
	// look is the one under way of Ready.
	looking sync.Mutex
	look    *look
}

// NewFolder opens nothing yet: the folder may come and go.
func NewFolder(options FolderOptions) (*Folder, error) {
	if options.Path == "" {
		return nil, errors.New("the folder of the block store has no name")
	}
	absolute, err := filepath.Abs(options.Path)
	if err != nil {
		return nil, err
	}
	return &Folder{path: absolute, logger: options.Logger, placed: map[parsec.OrganizationID]*[256 / 64]uint64{}}, nil
}

// String names the store in logs.
func (f *Folder) String() string { return "folder " + f.path }

// open opens the folder, if it is the block store. The caller closes it.
func (f *Folder) open(ctx context.Context) (*os.Root, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, f.failure(errNoFolder)
	}
	if err != nil {
		return nil, f.failure(err)
	}
	if _, err := root.Lstat(FolderMarker); err != nil {
		_ = root.Close() // It was only looked at.
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoFolder
		}
		return nil, f.failure(err)
	}
	return root, nil
}

// failure names the store in an error, and says in it whether another try may help.
func (f *Folder) failure(err error) error {
	if err == nil {
		return nil
	}
	named := fmt.Errorf("%s: %w", f, err)
	for _, permanent := range []error{
		errNoFolder, errOtherFolder, errNoSpace, fs.ErrPermission, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOTDIR, syscall.EFBIG,
	} {
		if errors.Is(err, permanent) {
			return &permanentError{named}
		}
	}
	return named
}

// Read implements Store.
func (f *Folder) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	root, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = f.read(root, key{organization, id}, into)
	if err == nil {
		err = verify(into, checksum)
	}
	if errors.Is(err, ErrNotFound) {
		return err
	}
	return f.failure(err)
}

func (f *Folder) read(root *os.Root, k key, into [][]byte) error {
	file, err := root.Open(k.path())
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := checkLength(into, info.Size()); err != nil {
		return err
	}
	for _, part := range into {
		if _, err := io.ReadFull(file, part); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	return nil
}

// Create implements Store.
func (f *Folder) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	root, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	f.tidy(ctx, root)
	if err := f.checkRoom(int64(len(block))); err != nil {
		return f.failure(err)
	}
	unfinished := path.Join(FolderUnfinished, rand.Text())
	err = writeDurably(root, unfinished, block)
	if err == nil {
		err = ctx.Err() // Nobody waits any more: nothing needs a name.
	}
	if err == nil {
		err = f.place(root, unfinished, key{organization, id})
	}
	if err != nil {
		_ = root.Remove(unfinished) // What stays is removed an hour later.
	}
	return f.failure(err)
}

// writeDurably makes a file whose bytes are on the disk. It leaves one that it could
// not finish.
func writeDurably(root *os.Root, name string, content []byte) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, objectMode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// place gives a file the name of a block, durably.
func (f *Folder) place(root *os.Root, unfinished string, k key) error {
	var err error
	for range placements {
		if err = f.makeFolder(root, k); err != nil {
			return err
		}
		if err = root.Rename(unfinished, k.path()); err == nil {
			return syncFolder(root, path.Dir(k.path()))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.forgetFolder(k) // Somebody has removed it, with the last block in it.
	}
	return err
}

// makeFolder has the folder of a block be on the disk.
func (f *Folder) makeFolder(root *os.Root, k key) error {
	f.placing.Lock()
	defer f.placing.Unlock()
	leaves := f.placed[k.organization]
	if leaves == nil {
		leaves = new([256 / 64]uint64)
		f.placed[k.organization] = leaves
	}
	leaf := k.block[0]
	if leaves[leaf/64]&(1<<(leaf%64)) != 0 {
		return nil
	}
	// What is there already may be another process's, and not on the disk yet.
	for parent, rest := ".", k.folders(); len(rest) > 0; rest = rest[1:] {
		if err := root.Mkdir(rest[0], folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncFolder(root, parent); err != nil {
			return err
		}
		parent = rest[0]
	}
	leaves[leaf/64] |= 1 << (leaf % 64)
	return nil
}

func (f *Folder) forgetFolder(k key) {
	f.placing.Lock()
	defer f.placing.Unlock()
	delete(f.placed, k.organization)
}

// syncFolder has the names in a folder be on the disk.
func syncFolder(root *os.Root, name string) error {
	folder, err := root.Open(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil // Some file servers do so by themselves.
	}
	return err
}

// Init makes the folder a block store unless it is one. It takes none that holds
// something else.
func (f *Folder) Init(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(f.path, folderMode); err != nil {
		return f.failure(err)
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return f.failure(err)
	}
	defer func() { _ = root.Close() }()
	return f.failure(f.initialize(root))
}

func (f *Folder) initialize(root *os.Root) error {
	if _, err := root.Lstat(FolderMarker); err == nil {
		return checkMarker(root)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names, err := namesIn(root, ".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != FolderUnfinished && name != "lost+found" {
			return fmt.Errorf("it is not empty, and has no %s: choose another folder, or restore that file if this is a copy of a block store", FolderMarker)
		}
	}
	// The folder may be a volume's, of somebody else, who lets this user write.
	if err := root.Chmod(".", folderMode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err := root.Mkdir(FolderUnfinished, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	unfinished := path.Join(FolderUnfinished, rand.Text())
	if err := writeDurably(root, unfinished, []byte(markerText+markerExplain)); err != nil {
		return err
	}
	if err := root.Rename(unfinished, FolderMarker); err != nil {
		return err
	}
	if err := syncFolder(root, "."); err != nil {
		return err
	}
	parent, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return nil // Who may not read the folder above has not made this one.
	}
	defer func() { _ = parent.Close() }()
	return syncFolder(parent, ".")
}

func checkMarker(root *os.Root) error {
	marker, err := root.ReadFile(FolderMarker)
	if err != nil {
		return err
	}
	if len(marker) < len(markerText) || string(marker[:len(markerText)]) != markerText {
		return errOtherFolder
	}
	return nil
}

// look is one look at the folder, which ends when the file system answers.
type look struct {
	ended chan struct{}
	err   error
}

// Ready implements Store: the folder is the block store, and can be written. Where
// the file system hangs, one look waits for it, and Ready does not.
func (f *Folder) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.looking.Lock()
	current := f.look
	if current == nil {
		current = &look{ended: make(chan struct{})}
		f.look = current
		go func() {
			current.err = f.ready(context.WithoutCancel(ctx))
			f.looking.Lock()
			f.look = nil
			f.looking.Unlock()
			close(current.ended)
		}()
	}
	f.looking.Unlock()
	select {
	case <-current.ended:
		return current.err
	case <-ctx.Done():
		return f.failure(fmt.Errorf("the file system does not answer: %w", context.Cause(ctx)))
	}
}

func (f *Folder) ready(ctx context.Context) error {
	root, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := checkMarker(root); err != nil {
		return f.failure(err)
	}
	if err := f.lookAtSpace(ctx); err != nil {
		return f.failure(err)
	}
	if err := f.checkRoom(0); err != nil {
		return f.failure(err)
	}
	probe := path.Join(FolderUnfinished, rand.Text())
	file, err := root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, objectMode)
	if err != nil {
		return f.failure(err)
	}
	return f.failure(errors.Join(file.Close(), root.Remove(probe)))
}

// leftoverAge is how old a file is that no write will finish: far above what one may
// take, and what clocks of two machines differ.
const leftoverAge = time.Hour

// tidy removes what killed writes have left, once an hour.
func (f *Folder) tidy(ctx context.Context, root *os.Root) {
	now := time.Now()
	last := f.tidied.Load()
	if now.Unix()-last < int64(leftoverAge/time.Second) || !f.tidied.CompareAndSwap(last, now.Unix()) {
		return
	}
	names, err := namesIn(root, FolderUnfinished)
	removed := 0
	for _, name := range names {
		name = path.Join(FolderUnfinished, name)
		info, gone := root.Lstat(name)
		if gone != nil || info.ModTime().After(now.Add(-leftoverAge)) {
			continue
		}
		if failed := root.Remove(name); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = failed
			continue
		}
		removed++
	}
	if removed > 0 || err != nil {
		f.logger.InfoContext(ctx, "leftovers of interrupted writes removed", slog.String("store", f.String()), slog.Int("files", removed), slog.Any("error", err))
	}
}
