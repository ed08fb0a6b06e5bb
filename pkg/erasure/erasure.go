// Package erasure erases what a realm that is deleted, or an organization, has left:
// rows of the database first, then the objects of its blocks on every node of the
// block store (docs/protocol/v5/administration.md §4). docs/database.md is its
// operators' side.
//
// What is to be erased is a list in the database. All of it goes in bounded steps, each
// of which may be repeated: whoever is killed is succeeded by the next, and several at
// once share the work.
//
// A client may upload a block again, into another realm, under the id of one that is
// being erased. So whoever deletes objects first holds their blocks in the database, as
// an upload would, and leaves alone those that are known again by then.
//
// Into an organization that is being deleted nobody uploads, but another one may get its
// name, and the same blocks, once it is erased. So one eraser at a time deletes its
// objects, and the name is taken until the last one is gone.
package erasure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/sleep"
)

const (
	// batchBlocks is how many blocks are held at once, and workers how many of them are
	// deleted at once.
	batchBlocks = 256
	workers     = 16
	// batchLimit bounds the work on a batch. What is not deleted by then is left to the
	// next one.
	batchLimit = 30 * time.Second
	// holdTime is how long the blocks of a batch are held: longer than batchLimit, by
	// more than a request that was cut may need to take effect.
	holdTime = time.Minute
	// forgetLimit bounds what is noted of a batch whose command ends.
	forgetLimit = 10 * time.Second
	// poll is the time between two looks at what others hold.
	poll = time.Second
	// maxFailures ends the work on a target: a node is down, and says the same of each
	// object.
	maxFailures = 100
)

// Target is what is erased.
type Target struct {
	// Number is that of the list, which grows.
	Number       int64
	Organization parsec.OrganizationID
	// Realm is nil for the whole organization.
	Realm      *parsec.RealmID
	Generation organization.Generation
	// RowsLeft is false once all rows are erased.
	RowsLeft bool
}

// Object is what the block store has of a block whose metadata is erased.
type Object struct {
	Block parsec.BlockID
	// Size is that of the block in bytes, 0 if its upload was under way.
	Size int64
	// DueOn is the date from which the upload has surely ended.
	DueOn parsec.DateTime
}

// Remains is what is left of the objects of a target.
type Remains struct {
	Objects int64 `json:"blocks"`
	Bytes   int64 `json:"bytes"`
}

// Hold keeps clients from uploading blocks, from Now until a date.
type Hold struct {
	Token      parsec.UUID
	Now, Until parsec.DateTime
}

// State is what came of a Hold.
type State uint8

// The states of a block: it is held; it is known again, as that of another realm; it is
// being uploaded, or held by another command.
const (
	Busy State = iota
	Held
	Known
)

// List is what is to be erased, in the database. Each method may be repeated.
type List interface {
	// Targets lists the next targets after a number, at most 100, in order.
	Targets(ctx context.Context, after int64) ([]Target, error)
	// EraseRows erases some rows of what a target holds. Blocks become objects of the
	// target. It returns how many it erased, and whether some are left, if only
	// because another command has them under way.
	EraseRows(ctx context.Context, target Target) (erased int64, left bool, err error)
	// Remains sums up the objects of a target.
	Remains(ctx context.Context, target Target) (Remains, error)
	// Objects lists the next objects after one, nil for all, at most a number, by id.
	Objects(ctx context.Context, target Target, after *parsec.BlockID, most int) ([]Object, error)
	// Hold holds blocks of the organization of a target, those that it can. Where the
	// target is a whole organization that is all of them, or none while another token
	// has it.
	Hold(ctx context.Context, target Target, blocks []parsec.BlockID, hold Hold) ([]State, error)
	// Forget takes objects off the list, and ends their holds.
	Forget(ctx context.Context, target Target, blocks []parsec.BlockID, hold Hold) error
	// End takes a target off the list of which nothing is left, and an organization off
	// the organizations. It reports whether something is left of that.
	End(ctx context.Context, target Target) (left bool, err error)
}

// Eraser erases targets. Several may erase one at once.
type Eraser struct {
	List List
	// Array is the block store.
	Array *blockstore.Array
	Now   func() parsec.DateTime
	// Poll is the time between two looks at what others hold; 0 is a second.
	Poll time.Duration
	// Advance is told of rows, and of objects and their bytes, that are gone. It is
	// called by one goroutine at a time.
	Advance func(rows int64, gone Remains)
}

// IncompleteError is of a target whose objects could not all be deleted. Another run
// goes on.
type IncompleteError struct {
	// Objects are those that could not be deleted, and Last why the last one could not.
	Objects int64
	Last    error
	// GaveUp reports that there were so many that the others were not tried.
	GaveUp bool
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("%d objects could not be deleted from the block store, the last one: %s", e.Objects, e.Last)
}

func (e *IncompleteError) Unwrap() error { return e.Last }

// EraseRows erases the rows of what a target holds, until none is left.
func (e *Eraser) EraseRows(ctx context.Context, target Target) error {
	for {
		erased, left, err := e.List.EraseRows(ctx, target)
		if err != nil {
			return fmt.Errorf("erase rows: %w", err)
		}
		e.Advance(erased, Remains{})
		if !left {
			return nil
		}
		if erased == 0 {
			err = e.pause(ctx)
		}
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return err
		}
	}
}

// ErrElsewhere is of an organization whose objects another eraser deletes, or which a
// backup has yet to read.
var ErrElsewhere = errors.New("another server deletes the objects of the organization, or a backup is made")

// EraseObjects deletes the objects of a target whose rows are erased, and takes the
// target off the list. What others hold, or may still upload, it waits for: two minutes
// or so at most, or as long as a backup is made, which holds everything; but of an
// organization that another eraser has, or a backup, it returns ErrElsewhere.
// What cannot be deleted it passes over, up to a point, and returns an *IncompleteError.
func (e *Eraser) EraseObjects(ctx context.Context, target Target) error {
	token := parsec.NewUUID()
	for {
		p, err := e.pass(ctx, target, token)
		switch {
		case err != nil:
			return err
		case p.failed > 0:
			return &IncompleteError{p.failed, p.last, p.failed > maxFailures}
		case p.waiting == 0:
			if left, err := e.List.End(ctx, target); err != nil || !left {
				return err
			}
			if err := e.EraseRows(ctx, target); err != nil {
				return err
			}
			continue
		}
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
}

func (e *Eraser) pause(ctx context.Context) error {
	if sleep.For(ctx, cmp.Or(e.Poll, poll)) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// pass is one way through the objects.
type pass struct {
	// waiting counts those that it had to leave for later.
	waiting int64
	// failed counts those that it could not delete, the last one for a reason.
	failed int64
	last   error
}

func (e *Eraser) pass(ctx context.Context, target Target, token parsec.UUID) (p pass, err error) {
	var after *parsec.BlockID
	for p.failed <= maxFailures {
		page, err := e.List.Objects(ctx, target, after, batchBlocks)
		if err != nil {
			return p, fmt.Errorf("list objects: %w", err)
		}
		if len(page) == 0 {
			return p, nil
		}
		if err := e.eraseBatch(ctx, target, token, page, &p); err != nil {
			return p, err
		}
		after = &page[len(page)-1].Block
	}
	return p, nil
}

func (e *Eraser) eraseBatch(ctx context.Context, target Target, token parsec.UUID, page []Object, p *pass) error {
	now := e.Now()
	hold := Hold{Token: token, Now: now, Until: now.Add(holdTime)}
	var due []Object
	var ids []parsec.BlockID
	for _, object := range page {
		if object.DueOn <= now {
			due, ids = append(due, object), append(ids, object.Block)
		}
	}
	p.waiting += int64(len(page) - len(due))
	if len(due) == 0 {
		return nil
	}
	states, err := e.List.Hold(ctx, target, ids, hold)
	if err != nil {
		return fmt.Errorf("hold blocks: %w", err)
	}
	if target.Realm == nil && states[0] == Busy {
		return ErrElsewhere
	}
	gone := e.deleteObjects(ctx, target, due, states, p)
	// What is deleted is noted even at the end of the command.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetLimit)
	defer cancel()
	if err := e.forget(noting, target, gone, hold); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// deleteObjects deletes those that are held. It returns them with those that are of
// another block by now, and counts the others in p.
func (e *Eraser) deleteObjects(ctx context.Context, target Target, objects []Object, states []State, p *pass) (gone []Object) {
	ctx, cancel := context.WithTimeout(ctx, batchLimit)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(workers)
	var mu sync.Mutex
	end := func(object Object, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			gone = append(gone, object)
		} else {
			p.failed++
			p.last = err
		}
	}
	for i, object := range objects {
		switch states[i] {
		case Busy:
			p.waiting++
		case Known:
			end(object, nil)
		case Held:
			group.Go(func() error {
				end(object, e.Array.Erase(ctx, target.Organization, object.Block, target.Generation == organization.Parsec2))
				return nil
			})
		}
	}
	_ = group.Wait() // Failures are counted.
	return gone
}

func (e *Eraser) forget(ctx context.Context, target Target, gone []Object, hold Hold) error {
	if len(gone) == 0 {
		return nil
	}
	ids, sum := make([]parsec.BlockID, len(gone)), Remains{Objects: int64(len(gone))}
	for i, object := range gone {
		ids[i] = object.Block
		sum.Bytes += object.Size
	}
	if err := e.List.Forget(ctx, target, ids, hold); err != nil {
		return fmt.Errorf("note which objects are deleted: %w", err)
	}
	e.Advance(0, sum)
	return nil
}
