package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// holdTime is how long an object that is being deleted keeps clients from
// uploading its block: more than any try to delete it may last.
const holdTime = 5 * time.Minute

// Registry is the database, as far as objects without metadata go.
type Registry interface {
	// StrayBlocks reports for each block whether it is stray: of an
	// organization of the database, and neither known to it nor being uploaded;
	// and whether it is foreign: of no organization of the database.
	StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error)
	// HoldBlock keeps clients from uploading a block that is neither known nor
	// being uploaded, until ReleaseBlock with the same token, or a date.
	HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error)
	ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error
}

// OrphanOptions say which objects are looked for, and what becomes of them.
type OrphanOptions struct {
	Registry Registry
	Array    *blockstore.Array
	// MinAge is how old an orphan must be.
	MinAge time.Duration
	// Delete deletes them.
	Delete bool
	Now    func() time.Time
	// Node and After are where to begin.
	Node  int
	After string
	// Report is told of each orphan, with its size.
	Report func(finding Finding, size int64)
	// Advance is told of the objects that were looked at.
	Advance func(OrphanCount)
	// Reached is told of the node and the name before which all were.
	Reached func(node int, after string)
}

// OrphanCount counts objects.
type OrphanCount struct {
	Objects int64 `json:"objects"`
	// Foreign are of no organization of the database: of another deployment,
	// or of no server of Parsec. They are left alone.
	Foreign int64 `json:"foreign"`
	// Young are without metadata, but not for long enough.
	Young int64 `json:"young"`
}

// Orphans finds the objects of organizations of the database that belong to no
// block. It returns the node and the name after which it has not looked.
//
// An object may become that of a block at any moment, when its upload is tried
// again: who deletes it holds the block in the database, so that nobody uploads
// it meanwhile, and the block that is known by then is left alone.
func Orphans(ctx context.Context, options OrphanOptions) (node int, after string, err error) {
	if err := options.Array.Ready(ctx); err != nil {
		return options.Node, options.After, err
	}
	after = options.After
	for node = options.Node; node < len(options.Array.Nodes()); node++ {
		for {
			objects, err := options.Array.Nodes()[node].List(ctx, "", after)
			if err != nil {
				return node, after, fmt.Errorf("%s: %w", options.Array.NodeName(node), err)
			}
			if len(objects) == 0 {
				break
			}
			if err := options.sort(ctx, node, objects); err != nil {
				return node, after, err
			}
			after = objects[len(objects)-1].Name
			options.Reached(node, after)
		}
		after = ""
	}
	return node, "", nil
}

// sort looks at one page of objects.
func (o *OrphanOptions) sort(ctx context.Context, node int, objects []blockstore.Object) error {
	count := OrphanCount{Objects: int64(len(objects))}
	var blocks []blockstore.Block
	var of []blockstore.Object
	for _, object := range objects {
		organization, id, isBlock := object.Block()
		if !isBlock {
			count.Foreign++
			continue
		}
		blocks = append(blocks, blockstore.Block{Organization: organization, ID: id, Size: object.Size})
		of = append(of, object)
	}
	stray, foreign, err := o.Registry.StrayBlocks(ctx, blocks)
	if err != nil {
		return err
	}
	limit := o.Now().Add(-o.MinAge)
	for i, object := range of {
		switch {
		case foreign[i]:
			count.Foreign++
		case !stray[i]:
		case object.Modified.After(limit):
			count.Young++
		default:
			if err := o.orphan(ctx, node, blocks[i], object); err != nil {
				return err
			}
		}
	}
	o.Advance(count)
	return nil
}

func (o *OrphanOptions) orphan(ctx context.Context, node int, block blockstore.Block, object blockstore.Object) error {
	finding := Finding{
		Problem:      Orphan,
		Organization: block.Organization,
		Block:        block.ID,
		Node:         o.Array.NodeName(node),
		Detail:       fmt.Sprintf("%d bytes, of %s", object.Size, object.Modified.UTC().Format(time.RFC3339)),
	}
	if o.Delete {
		deleted, err := o.delete(ctx, node, block, object)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failure := (*deletionError)(nil); errors.As(err, &failure) {
			finding.Problem, finding.Detail = Undeleted, failure.Error()
		} else if err != nil {
			return err
		} else if !deleted {
			return nil // It is the object of a block by now, or of an upload.
		} else {
			finding.Done = true
		}
	}
	o.Report(finding, object.Size)
	return nil
}

// deletionError is one of the node.
type deletionError struct{ error }

func (o *OrphanOptions) delete(ctx context.Context, node int, block blockstore.Block, object blockstore.Object) (deleted bool, err error) {
	token := parsec.NewUUID()
	held, err := o.Registry.HoldBlock(ctx, block, token, parsec.DateTimeOf(o.Now().Add(holdTime)))
	if err != nil || !held {
		return false, err
	}
	if err := o.Array.Nodes()[node].Delete(ctx, object.Name); err != nil {
		// The node may delete the object yet: the block is held until then.
		return false, &deletionError{err}
	}
	return true, o.Registry.ReleaseBlock(ctx, block.Organization, block.ID, token)
}
