package blockstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"
)

// Space is what the file system of a store has, in bytes.
type Space struct {
	// Free is what the server may still use.
	Free uint64
	Size uint64
}

const (
	// reservedSpace is what blocks leave free, so that what else lives on the volume,
	// as the database, can go on.
	reservedSpace = 64 << 20
	// scarceShare of the volume, or scarceSpace if that is less, is worth a warning.
	scarceShare = 10
	scarceSpace = 10 << 30
)

var errNoSpace = errors.New("no space left")

// scarce reports whether the end is near.
func (s Space) scarce() bool { return s.Free < min(s.Size/scarceShare, scarceSpace) }

func spaceOf(path string) (Space, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(path, &found); err != nil {
		return Space{}, err
	}
	unit := uint64(found.Bsize)
	return Space{Free: uint64(found.Bavail) * unit, Size: found.Blocks * unit}, nil //nolint:unconvert // Its type differs between systems.
}

// checkRoom returns an error unless so many bytes can be written.
func (f *Folder) checkRoom(bytes int64) error {
	space, err := spaceOf(f.path)
	if err != nil {
		return err
	}
	if space.Free < reservedSpace+uint64(bytes) {
		return fmt.Errorf("%w: %d MiB are free, of which %d stay so", errNoSpace, space.Free>>20, reservedSpace>>20)
	}
	return nil
}

// lookAtSpace warns once when space gets scarce, and tells when it no longer is.
func (f *Folder) lookAtSpace(ctx context.Context) error {
	space, err := spaceOf(f.path)
	if err != nil {
		return err
	}
	f.space.Store(&space)
	scarce := space.scarce()
	if f.scarce.Swap(scarce) == scarce {
		return nil
	}
	tell, message := f.logger.InfoContext, "block store has space again"
	if scarce {
		tell, message = f.logger.WarnContext, "block store soon full"
	}
	tell(ctx, message, slog.String("store", f.String()), slog.Uint64("free_bytes", space.Free), slog.Uint64("size_bytes", space.Size))
	return nil
}

// Roomy is a store that knows how much space is left, or a decorator of any store.
type Roomy interface {
	// Space returns what there was at the last look; known is false before the
	// first, and for a store that cannot know.
	Space() (space Space, known bool)
}

func spaceOfStore(store Store) (space Space, known bool) {
	if roomy, tells := store.(Roomy); tells {
		return roomy.Space()
	}
	return Space{}, false
}

// Space implements Roomy.
func (f *Folder) Space() (space Space, known bool) {
	if found := f.space.Load(); found != nil {
		return *found, true
	}
	return Space{}, false
}

// Space implements Roomy.
func (l *Limited) Space() (space Space, known bool) { return spaceOfStore(l.store) }

// Space implements Roomy.
func (o *Observed) Space() (space Space, known bool) { return spaceOfStore(o.store) }
