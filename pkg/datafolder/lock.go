package datafolder

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"parsec-server/pkg/datafolder/layout"
	"parsec-server/pkg/outage"
)

const (
	// beatPeriod is how often the holder of a folder says that it lives.
	beatPeriod = 2 * time.Second
	// beatPatience is how long another machine waits for that.
	beatPatience = 15 * time.Second
	beatPoll     = 500 * time.Millisecond
	maxClaim     = 4 << 10
)

// claim is what the file lock says of who holds the folder.
type claim struct {
	Host string `json:"host"`
	// Boot is that of the kernel: where it is the same, so are locks of the file system.
	Boot string `json:"boot"`
	PID  int    `json:"pid"`
	// Token is that of one hold, and Beat changes all the time.
	Token string `json:"token"`
	Beat  int64  `json:"beat"`
}

var errGone = errors.New("it is not there: it was moved, removed, or another volume is mounted")

// InUseError is of a folder that another process holds.
type InUseError struct {
	Folder, Host string
	PID          int
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return "the folder " + e.Folder + " is in use by another server"
	}
	return fmt.Sprintf("the folder %s is in use by process %d on %s", e.Folder, e.PID, e.Host)
}

// lock is a hold of a folder.
type lock struct {
	folder layout.Folder
	file   *os.File
	claim  claim
	logger *slog.Logger

	stop    context.CancelFunc
	beating sync.WaitGroup
	// lost is closed when somebody else has taken the folder.
	lost chan struct{}
}

// take holds a folder, or returns an *InUseError.
func take(ctx context.Context, folder layout.Folder, logger *slog.Logger) (_ *lock, err error) {
	file, err := os.OpenFile(folder.File(layout.LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, inUse(folder)
		}
		// A file server without locks: the claim has to do.
		logger.DebugContext(ctx, "the file system has no locks", slog.Any("error", err))
	}
	l := &lock{folder: folder, file: file, logger: logger, lost: make(chan struct{}), claim: claim{
		Host: hostName(), Boot: bootID(), PID: os.Getpid(), Token: rand.Text(),
	}}
	before, err := readClaim(folder)
	if err != nil {
		return nil, err
	}
	foreign := before.Token != "" && (before.Boot == "" || before.Boot != l.claim.Boot)
	if foreign {
		logger.InfoContext(ctx, "waiting to see whether another machine uses the folder", slog.String("host", before.Host))
		if err := awaitSilence(ctx, folder, before, beatPatience); err != nil {
			return nil, err
		}
	}
	if err := l.beat(); err != nil {
		return nil, err
	}
	if foreign { // Two may have waited.
		if err := awaitSilence(ctx, folder, l.claim, 2*beatPoll); err != nil {
			return nil, err
		}
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.beating.Go(func() { l.run(beating) })
	return l, nil
}

func inUse(folder layout.Folder) error {
	holder, _ := readClaim(folder) // The lock says enough.
	return &InUseError{string(folder), holder.Host, holder.PID}
}

// awaitSilence returns nil if the claim of before does not change for a while.
func awaitSilence(ctx context.Context, folder layout.Folder, before claim, patience time.Duration) error {
	end := time.NewTimer(patience)
	defer end.Stop()
	ticker := time.NewTicker(beatPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now, err := readClaim(folder)
			if err != nil {
				return err
			}
			if now.Token != "" && now != before {
				return inUse(folder)
			}
		case <-end.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// readClaim opens the file anew, so that a file server is asked. What is not there,
// or half written, is the zero claim.
func readClaim(folder layout.Folder) (found claim, err error) {
	content, err := os.ReadFile(folder.File(layout.LockName))
	if errors.Is(err, fs.ErrNotExist) {
		return claim{}, nil
	}
	if err != nil {
		return claim{}, err
	}
	if json.Unmarshal(content, &found) != nil {
		return claim{}, nil //nolint:nilerr // A claim that cannot be read is nobody's.
	}
	return found, nil
}

// beat writes the claim, with a beat of its own.
func (l *lock) beat() error {
	l.claim.Beat++
	text, err := json.Marshal(l.claim)
	if err != nil {
		return err
	}
	// Of the same length each time: what another one reads meanwhile is whole.
	text = append(text, strings.Repeat(" ", max(0, maxClaim-len(text)))...)
	_, err = l.file.WriteAt(text, 0)
	return err
}

func (l *lock) run(ctx context.Context) {
	ticker := time.NewTicker(beatPeriod)
	defer ticker.Stop()
	found := outage.NewDependency("data folder", slog.LevelWarn, l.logger.With(slog.String("folder", string(l.folder))))
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, err := readClaim(l.folder)
		if err == nil && now.Token != "" && now.Token != l.claim.Token {
			l.logger.ErrorContext(ctx, "another server has taken the folder", slog.String("folder", string(l.folder)), slog.String("host", now.Host))
			close(l.lost)
			return
		}
		if err == nil {
			err = l.beat()
		}
		if err == nil && now.Token == "" {
			err = errGone // What is open can still be written, wherever it is.
		}
		if err != nil {
			found.Lost(ctx, err)
		} else {
			found.Back(ctx)
		}
	}
}

// release lets others have the folder at once.
func (l *lock) release() {
	l.stop()
	l.beating.Wait()
	select {
	case <-l.lost:
	default:
		_ = l.file.Truncate(0) // Otherwise another machine waits a little.
	}
	// A process that is being started may have the file for a moment, too.
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	l.file.Close()
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "an unknown host"
	}
	return name
}

// bootID is "" where the system does not tell.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // Not every system has it.
	return strings.TrimSpace(string(id))
}
