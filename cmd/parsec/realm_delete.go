package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/erasure"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// realmDeletion is which realm is deleted, and how: the options of the official
// delete_realm, whose dump is required.
type realmDeletion struct {
	database     *settingsFlags
	organization func() (parsec.OrganizationID, error)
	realm        string
	dump         string
	dryRun       bool
}

func (d *realmDeletion) define(flags *pflag.FlagSet) {
	flags.SortFlags = false
	d.organization = organizationOption(flags)
	flags.StringVar(&d.realm, "realm", "", "Id of the realm.")
	flags.StringVar(&d.dump, "dump-realm-blocks", "", "File to write, which must not exist: a line <organization>/<block> for each block, as their objects are named.")
	flags.BoolVar(&d.dryRun, "dry-run", false, "Check, and tell what would be deleted.")
	require(flags, "realm")
	d.database = databaseOptions(flags)
	d.database.defineSome(flags, blockstoreName)
	optional(flags, blockstoreName)
}

func (p program) realmDeleteCommand() *cobra.Command {
	deletion := &realmDeletion{}
	command := &cobra.Command{
		Use: "delete", Args: noArguments,
		Short: "Delete a realm whose planned deletion is due, or which is orphaned, with all it holds. It cannot be undone.",
	}
	deletion.define(command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) error { return p.deleteRealm(command.Context(), deletion) }
	return command
}

// deleteRealm runs delete. Without block store the objects are left to the next command
// that has one.
func (p program) deleteRealm(ctx context.Context, deletion *realmDeletion) error {
	id, err := deletion.organization()
	if err != nil {
		return err
	}
	uuid, err := uuidOption("realm", deletion.realm)
	if err != nil {
		return err
	}
	objects, err := p.givenArray(deletion.database)
	if err != nil {
		return err
	}
	return p.withRegistry(ctx, deletion.database, objects, func(r *registry) error {
		generation, err := r.generation(ctx, id)
		if err != nil {
			return err
		}
		w := &realmWork{registry: r, realmDeletion: deletion, id: id, realm: parsec.RealmID(uuid), generation: generation}
		if err := w.check(ctx); err != nil {
			return explainRealm(err, w.realm, id)
		}
		if deletion.dryRun {
			return w.tell(ctx)
		}
		return w.run(ctx)
	})
}

// realmWork is the deletion of one realm.
type realmWork struct {
	*registry
	*realmDeletion
	id         parsec.OrganizationID
	realm      parsec.RealmID
	generation organization.Generation
	// target is nil until the realm is deleted.
	target *erasure.Target
}

var errDumpExists = errors.New("it exists, and may list blocks whose objects are still there")

// check wants the realm to be deletable, or to be deleted and not yet erased, and the
// dump not to be there.
func (w *realmWork) check(ctx context.Context) error {
	_, err := w.deleting[w.generation].DeletableRealm(ctx, w.id, w.realm)
	if errors.Is(err, organization.ErrRealmDeleted) {
		target, searching := w.unfinished(ctx, w.id, w.realm)
		if w.target = target; searching != nil || target != nil {
			err = searching
		}
	}
	if err != nil || w.dump == "" {
		return err
	}
	_, err = os.Lstat(w.dump)
	switch {
	case err == nil:
		return invalidValue("--dump-realm-blocks", errDumpExists)
	case !errors.Is(err, fs.ErrNotExist):
		return invalidValue("--dump-realm-blocks", err)
	}
	return nil
}

// tell prints what would be deleted: each block, where they would be dumped.
func (w *realmWork) tell(ctx context.Context) error {
	var sum erasure.Remains
	count := func(object erasure.Object) error {
		sum.Objects++
		sum.Bytes += object.Size
		if w.dump != "" {
			fmt.Fprintln(w.program.stdout, objectName(w.id, object.Block))
		}
		return nil
	}
	var err error
	if w.target == nil {
		err = w.blocksOf(ctx, w.id, w.generation, w.realm, count)
	} else {
		err = w.objectsOf(ctx, *w.target, count)
	}
	if err == nil {
		fmt.Fprintf(w.program.stdout, "Realm %s would be deleted: %d blocks, %s.\n", hexOf(w.realm), sum.Objects, byteCount(sum.Bytes))
	}
	return err
}

// run deletes the realm, then what it holds.
func (w *realmWork) run(ctx context.Context) error {
	remains, err := w.eraseAllRows(ctx)
	if err != nil {
		return err
	}
	if w.target == nil {
		fmt.Fprintf(w.program.stdout, "Realm %s is deleted by another command.\n", hexOf(w.realm))
		return nil
	}
	if w.eraser.Array == nil && remains.Objects > 0 {
		fmt.Fprintf(w.program.stdout, "Realm %s deleted. Its %d blocks are left in the block store: the same command deletes them with --blockstore, as does `parsec realm delete-due`.\n",
			hexOf(w.realm), remains.Objects)
		return nil
	}
	if err := w.eraseObjects(ctx, *w.target, remains); err != nil {
		return incomplete(err, sameCommand)
	}
	fmt.Fprintf(w.program.stdout, "Realm %s deleted: %d blocks, %s.\n", hexOf(w.realm), remains.Objects, byteCount(remains.Bytes))
	return nil
}

// eraseAllRows deletes the realm, erases its rows, and writes the dump. The file is made
// before anything is deleted, filled from the list in the database, which outlives a
// command that ends, and taken away by one that fails.
func (w *realmWork) eraseAllRows(ctx context.Context) (remains erasure.Remains, err error) {
	var file *os.File
	if w.dump != "" {
		if file, err = os.OpenFile(w.dump, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return remains, invalidValue("--dump-realm-blocks", err)
		}
		defer func() {
			file.Close()
			if err != nil {
				err = errors.Join(err, os.Remove(w.dump))
			}
		}()
	}
	if err := w.mark(ctx); err != nil || w.target == nil {
		return remains, err
	}
	if remains, err = w.eraseRows(ctx, *w.target); err != nil || file == nil {
		return remains, err
	}
	if err := w.write(ctx, file); err != nil {
		return remains, fmt.Errorf("%s: %w", w.dump, err)
	}
	return remains, nil
}

// mark deletes the realm, unless this is done. One that another command deletes
// meanwhile is shared with it.
func (w *realmWork) mark(ctx context.Context) error {
	if w.target != nil {
		return nil
	}
	_, err := w.deleting[w.generation].DeleteRealm(ctx, w.id, w.realm, true)
	if err != nil && !errors.Is(err, organization.ErrRealmDeleted) {
		return err
	}
	w.target, err = w.unfinished(ctx, w.id, w.realm)
	return err
}

// write lists the objects of the realm.
func (w *realmWork) write(ctx context.Context, file *os.File) error {
	lines := bufio.NewWriter(file)
	err := w.objectsOf(ctx, *w.target, func(object erasure.Object) error {
		_, err := fmt.Fprintln(lines, objectName(w.id, object.Block))
		return err
	})
	if err == nil {
		err = lines.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	return err
}
