package datafolder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"parsec-server/pkg/datafolder/layout"
)

// clear stops what a process before this one has left running on the data, and removes
// the files by which PostgreSQL would take another process for it.
func (p *Postgres) clear(ctx context.Context) error {
	deadline := time.Now().Add(stopLimit)
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for signal := syscall.SIGINT; ; {
		living := processesIn(p.data)
		if len(living) == 0 {
			return p.removeLocks()
		}
		if leader := p.leader(); living[leader] {
			p.logger.InfoContext(ctx, "stopping the PostgreSQL that a killed server has left", slog.Int("pid", leader))
			_ = syscall.Kill(leader, signal) // It may have ended.
		}
		for len(living) > 0 {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if living = processesIn(p.data); time.Now().After(deadline) {
				break
			}
		}
		if len(living) > 0 && signal == syscall.SIGQUIT {
			return fmt.Errorf("processes of PostgreSQL do not leave %s: %v", p.data, living)
		}
		signal, deadline = syscall.SIGQUIT, time.Now().Add(cutLimit)
	}
}

// leader is the process that the data names as that of PostgreSQL, 0 for none.
func (p *Postgres) leader() int {
	text, err := os.ReadFile(filepath.Join(p.data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// removeLocks is called when nothing runs on the data, as far as that can be known:
// the number of a process that has ended may be another's by now.
func (p *Postgres) removeLocks() error {
	if !knowsProcesses {
		return nil // PostgreSQL looks itself.
	}
	var err error
	for _, path := range []string{
		filepath.Join(p.data, "postmaster.pid"), filepath.Join(p.folder.Sockets(), layout.SocketName), filepath.Join(p.folder.Sockets(), layout.SocketName+".lock"),
	} {
		if failed := os.Remove(path); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	return err
}
