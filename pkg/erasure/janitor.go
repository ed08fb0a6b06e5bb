package erasure

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Eraser = (*Janitor)(nil)

// janitorPeriod is the time between two looks at what is to be erased.
const janitorPeriod = time.Minute

// Janitor erases the organizations that are deleted, for a server. Those of all servers
// share the work.
type Janitor struct {
	list   List
	eraser Eraser
	logger *slog.Logger
	wake   chan struct{}
	// told has what could not be erased, which the log says, by number.
	told map[int64]bool
}

// NewJanitor returns the janitor of a list, and of the block store beside it.
func NewJanitor(list List, array *blockstore.Array, now func() parsec.DateTime, logger *slog.Logger) *Janitor {
	return &Janitor{
		list: list, eraser: Eraser{List: list, Array: array, Now: now}, logger: logger,
		wake: make(chan struct{}, 1), told: map[int64]bool{},
	}
}

// Wake implements organization.Eraser.
func (j *Janitor) Wake() {
	select {
	case j.wake <- struct{}{}:
	default: // It is to look once more already.
	}
}

// Run erases until ctx is done.
func (j *Janitor) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-j.wake:
		case <-ctx.Done():
			return
		}
		if err := j.eachOrganization(ctx, func(target Target) error {
			j.tell(target, j.erase(ctx, target))
			return ctx.Err()
		}); err != nil && ctx.Err() == nil {
			j.logger.Debug("what is to be erased is not known", "error", err)
		}
		timer.Reset(janitorPeriod)
	}
}

// eachOrganization passes over the organizations that are to be erased.
func (j *Janitor) eachOrganization(ctx context.Context, do func(Target) error) error {
	for after := int64(0); ; {
		page, err := j.list.Targets(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, target := range page {
			after = target.Number
			if target.Realm != nil {
				continue // Its objects are left to commands.
			}
			if err := do(target); err != nil {
				return err
			}
		}
	}
}

// erase erases an organization, and has what is gone in the log at its end.
func (j *Janitor) erase(ctx context.Context, target Target) error {
	var rows int64
	var sum Remains
	eraser := j.eraser
	eraser.Advance = func(some int64, gone Remains) {
		rows += some
		sum.Objects += gone.Objects
		sum.Bytes += gone.Bytes
	}
	err := eraser.EraseRows(ctx, target)
	if err == nil {
		err = eraser.EraseObjects(ctx, target)
	}
	if err != nil {
		return err
	}
	j.logger.Info("organization erased", "organization", target.Organization.String(), "rows", rows, "blocks", sum.Objects, "bytes", sum.Bytes)
	return nil
}

// tell has in the log, once, why an organization cannot be erased.
func (j *Janitor) tell(target Target, err error) {
	switch {
	case err == nil:
		delete(j.told, target.Number)
	case errors.Is(err, ErrElsewhere), errors.Is(err, context.Canceled), j.told[target.Number]:
	default:
		j.told[target.Number] = true
		j.logger.Warn("the organization is not erased yet: the server goes on trying",
			"organization", target.Organization.String(), "error", err)
	}
}

// Left implements organization.Eraser.
func (j *Janitor) Left(ctx context.Context, id parsec.OrganizationID) (left organization.Left, found bool, err error) {
	err = j.eachOrganization(ctx, func(target Target) error {
		if target.Organization != id {
			return nil
		}
		remains, err := j.list.Remains(ctx, target)
		if err != nil {
			return err
		}
		left, found = organization.Left{Rows: target.RowsLeft, Blocks: remains.Objects, Bytes: remains.Bytes}, true
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return left, found, err
}

var errFound = errors.New("found")
