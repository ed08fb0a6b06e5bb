package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// realmCommand is both `parsec realm` and `parsec backend realm`
// (docs/protocol/v5/administration.md §4).
func (p program) realmCommand() *cobra.Command {
	realm := p.group("realm", "The realms of organizations, and their deletion.")
	realm.AddCommand(p.realmListCommand(), p.realmDeleteCommand(), p.realmDeleteDueCommand())
	return realm
}

// registry is the database of the commands on realms, with the rules of each generation,
// and the block store.
type registry struct {
	program program
	stores  stores
	// deleting has the rules of each generation.
	deleting map[organization.Generation]organization.Deleting
	// eraser has no block store where there is none.
	eraser erasure.Eraser
}

// withRegistry opens the database that options name, and unless objects is nil the block
// store of these settings, for the time of work.
func (p program) withRegistry(ctx context.Context, options *settingsFlags, objects *config.Blockstore, work func(*registry) error) error {
	return p.withStores(ctx, options, func(opened stores, bus *event.Bus) error {
		r := &registry{
			program: p, stores: opened, deleting: map[organization.Generation]organization.Deleting{
				organization.Parsec2: operatorsParsec2(opened, bus), organization.Parsec3: operatorsParsec3(opened, bus),
			},
			eraser: erasure.Eraser{List: opened.erasures, Now: systemClock},
		}
		if objects == nil {
			return work(r)
		}
		settings, err := config.LoadDatabase(options.given, p.environment)
		if err != nil {
			return err
		}
		array, end, err := openArray(*objects, settings)
		if err != nil {
			return err
		}
		defer end()
		if err := array.Ready(ctx); err != nil { // Nothing is begun that cannot be ended.
			return err
		}
		r.eraser.Array = array
		return work(r)
	})
}

// generation returns that of an organization.
func (r *registry) generation(ctx context.Context, id parsec.OrganizationID) (organization.Generation, error) {
	stored, found, err := r.stores.organizations.Organization(ctx, id)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, noOrganization(organization.ErrNotFound, id, r.stores.dsn)
	case stored.DeletedOn != nil:
		return 0, beingDeleted(id)
	case stored.Bound() == organization.Parsec3:
		return organization.Parsec3, nil
	default:
		return organization.Parsec2, nil
	}
}

// eachTarget goes through what is to be erased, of an organization, or of all for nil.
func (r *registry) eachTarget(ctx context.Context, of *parsec.OrganizationID, do func(erasure.Target) error) error {
	for after := int64(0); ; {
		page, err := r.stores.erasures.Targets(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, target := range page {
			after = target.Number
			if of != nil && *of != target.Organization {
				continue
			}
			if err := do(target); err != nil {
				return err
			}
		}
	}
}

// errStop ends eachTarget early.
var errStop = errors.New("found")

// unfinished returns the target of a realm that is deleted and not yet erased, nil if
// there is none.
func (r *registry) unfinished(ctx context.Context, id parsec.OrganizationID, realm parsec.RealmID) (found *erasure.Target, err error) {
	err = r.eachTarget(ctx, &id, func(target erasure.Target) error {
		if target.Realm == nil || *target.Realm != realm {
			return nil
		}
		found = &target
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}

// eraseRows erases the rows of a target, and returns what is left of its objects.
func (r *registry) eraseRows(ctx context.Context, target erasure.Target) (erasure.Remains, error) {
	progress := newProgress(r.program.stdout, r.program.stderr, 0)
	defer progress.end()
	r.eraser.Advance = func(rows int64, _ erasure.Remains) { progress.advance(rows, 0) }
	if err := r.eraser.EraseRows(ctx, target); err != nil {
		return erasure.Remains{}, incomplete(err, sameCommand)
	}
	return r.stores.erasures.Remains(ctx, target)
}

// eraseObjects deletes the objects that remain of a target. Its error is that of the
// eraser.
func (r *registry) eraseObjects(ctx context.Context, target erasure.Target, remains erasure.Remains) error {
	progress := newProgress(r.program.stdout, r.program.stderr, remains.Bytes)
	defer progress.end()
	r.eraser.Advance = func(_ int64, gone erasure.Remains) { progress.advance(gone.Objects, gone.Bytes) }
	return r.eraser.EraseObjects(ctx, target)
}

// blocksOf passes over the blocks of a realm that is not deleted.
func (r *registry) blocksOf(ctx context.Context, id parsec.OrganizationID, generation organization.Generation, realm parsec.RealmID, do func(erasure.Object) error) error {
	return eachObject(func(after *parsec.BlockID) ([]erasure.Object, error) {
		return r.stores.erasures.Wings[generation].BlocksOf(ctx, id, realm, after, objectPage)
	}, do)
}

// objectsOf passes over what is left of the objects of a target.
func (r *registry) objectsOf(ctx context.Context, target erasure.Target, do func(erasure.Object) error) error {
	return eachObject(func(after *parsec.BlockID) ([]erasure.Object, error) {
		return r.stores.erasures.Objects(ctx, target, after, objectPage)
	}, do)
}

// objectPage is how many blocks are listed at once.
const objectPage = 1000

func eachObject(next func(after *parsec.BlockID) ([]erasure.Object, error), do func(erasure.Object) error) error {
	for after := (*parsec.BlockID)(nil); ; {
		page, err := next(after)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := do(page[i]); err != nil {
				return err
			}
		}
		after = &page[len(page)-1].Block
	}
}

// holdings sums up the blocks of a realm that is not deleted.
func (r *registry) holdings(ctx context.Context, id parsec.OrganizationID, generation organization.Generation, realm parsec.RealmID) (sum erasure.Remains, err error) {
	err = r.blocksOf(ctx, id, generation, realm, func(object erasure.Object) error {
		sum.Objects++
		sum.Bytes += object.Size
		return nil
	})
	return sum, err
}

// requiredArray returns the settings of a block store that a command needs.
func (p program) requiredArray(options *settingsFlags) (*config.Blockstore, error) {
	settings, err := config.LoadBlockstore(options.given, p.environment)
	if err == nil && settings.Uses(config.BlockstoreMemory) {
		err = errMemoryBlockstore
	}
	return &settings, err
}

// givenArray is requiredArray for a command that needs none: then it is nil.
func (p program) givenArray(options *settingsFlags) (*config.Blockstore, error) {
	if _, given, err := config.LoadGivenBlockstore(options.given, p.environment); err != nil || !given {
		return nil, err
	}
	return p.requiredArray(options)
}

// objectName returns the name of the object of a block (docs/protocol/blockstore.md §1).
func objectName(organization parsec.OrganizationID, block parsec.BlockID) string {
	return blockName(&blockstore.Block{Organization: organization, ID: block})
}
