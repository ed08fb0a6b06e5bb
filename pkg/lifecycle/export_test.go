package lifecycle

import (
	"context"
	"os"
	"time"
)

// InheritFiles is Inherit of a process that systemd passes files to.
func (p *Process) InheritFiles(ctx context.Context, files []*os.File, handover string) error {
	return p.inherit(ctx, files, handover)
}

// LimitHandover bounds what one process waits for the other.
func (p *Process) LimitHandover(step, ready time.Duration) { p.limits = limits{step, ready} }
