package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"parsec-server/pkg/erasure"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// dueRealms are the realms that are deleted because their date has come.
type dueRealms struct {
	database     *settingsFlags
	organization string
	orphaned     bool
	dryRun       bool
	json         bool
}

func (p program) realmDeleteDueCommand() *cobra.Command {
	due := &dueRealms{}
	command := &cobra.Command{
		Use: "delete-due", Args: noArguments,
		Short: "For cron: delete every realm whose planned deletion is due, and what an earlier command has left.",
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&due.organization, organizationName, "", "Only those of an organization.")
	flags.BoolVar(&due.orphaned, "orphaned", false, "Also those that are orphaned: all of their members are revoked.")
	flags.BoolVar(&due.dryRun, "dry-run", false, "Only tell what would be deleted.")
	flags.BoolVar(&due.json, "json", false, "Print a JSON object a line: the realms, then a summary.")
	due.database = databaseOptions(flags)
	due.database.defineSome(flags, "blockstore")
	command.RunE = func(command *cobra.Command, _ []string) error { return p.deleteDueRealms(command.Context(), due) }
	return command
}

// deleteDueRealms runs delete-due.
func (p program) deleteDueRealms(ctx context.Context, due *dueRealms) error {
	of, err := onlyOrganization(due.organization)
	if err != nil {
		return err
	}
	objects, err := p.requiredArray(due.database)
	if err != nil {
		return err
	}
	return p.withRegistry(ctx, due.database, objects, func(r *registry) error {
		return (&dueWork{registry: r, dueRealms: due}).run(ctx, of)
	})
}

// dueWork is a run of delete-due.
type dueWork struct {
	*registry
	*dueRealms
	realms int64
	sum    erasure.Remains
	// failure is the first of those that do not keep other realms from being deleted.
	failure error
}

// run is for an organization, or for all if of is nil.
func (w *dueWork) run(ctx context.Context, of *parsec.OrganizationID) error {
	if of != nil {
		if _, err := w.generation(ctx, *of); err != nil {
			return err
		}
	}
	err := w.resume(ctx, of)
	if err == nil {
		err = w.deleteAll(ctx, of)
	}
	if err == nil {
		err = w.failure
	}
	return w.finish(err)
}

// dueRealm is what --json prints of a realm.
type dueRealm struct {
	OrganizationID string `json:"organization_id"`
	deletableRealm
	erasure.Remains
	// Deleted is false in a dry run, and where objects are left, with the reason.
	Deleted bool   `json:"deleted"`
	Error   string `json:"error,omitempty"`
}

// dueSummary is the last line that --json prints.
type dueSummary struct {
	Realms int64 `json:"realms"`
	erasure.Remains
	// Complete is false for a command that failed; the next one goes on.
	Complete bool   `json:"complete"`
	Error    string `json:"error,omitempty"`
}

// unfinishedKind is of a realm that an earlier command has deleted, and not yet erased.
const unfinishedKind organization.DeletionKind = "unfinished"

// resume goes on with what earlier commands have left.
func (w *dueWork) resume(ctx context.Context, of *parsec.OrganizationID) error {
	return w.eachTarget(ctx, of, func(target erasure.Target) error {
		if target.Realm == nil {
			return nil // An organization is erased by the command that deletes it.
		}
		told := dueRealm{OrganizationID: target.Organization.String(), deletableRealm: deletableRealm{RealmID: hexOf(*target.Realm), Kind: unfinishedKind}}
		return w.erase(ctx, target, told, "deleted before")
	})
}

// deleteAll goes through the organizations.
func (w *dueWork) deleteAll(ctx context.Context, of *parsec.OrganizationID) error {
	if of != nil {
		return w.deleteOf(ctx, *of)
	}
	const page = 100
	for after := (parsec.OrganizationID{}); ; {
		organizations, err := w.stores.organizations.Organizations(ctx, after, page, nil)
		if err != nil || len(organizations) == 0 {
			return err
		}
		for i := range organizations {
			after = organizations[i].ID
			if err := w.deleteOf(ctx, after); err != nil {
				return err
			}
		}
	}
}

// deleteOf deletes the realms of an organization that are due.
func (w *dueWork) deleteOf(ctx context.Context, id parsec.OrganizationID) error {
	generation, err := w.generation(ctx, id)
	if errors.Is(err, organization.ErrNotFound) || errors.Is(err, organization.ErrBeingDeleted) {
		return nil // It is gone by now, or goes.
	}
	if err != nil {
		return err
	}
	realms, err := w.deleting[generation].DeletableRealms(ctx, id)
	if err != nil {
		return err
	}
	for _, realm := range realms {
		if realm.Kind == organization.Orphaned && !w.orphaned {
			continue
		}
		if err := w.delete(ctx, id, generation, realm); err != nil {
			return err
		}
	}
	return nil
}

func (w *dueWork) delete(ctx context.Context, id parsec.OrganizationID, generation organization.Generation, realm organization.DeletableRealm) error {
	told := dueRealm{OrganizationID: id.String(), deletableRealm: newDeletableRealm(realm)}
	if w.dryRun {
		sum, err := w.holdings(ctx, id, generation, realm.ID)
		if err != nil {
			return err
		}
		w.tell(told, sum, whyDeletable(realm))
		return nil
	}
	deleted, err := w.deleting[generation].DeleteRealm(ctx, id, realm.ID, w.orphaned)
	if isUndeletable(err) {
		return nil // Its owner has changed it since it was listed, or another command was faster.
	}
	if err != nil {
		return err
	}
	told.deletableRealm = newDeletableRealm(deleted)
	target, err := w.unfinished(ctx, id, realm.ID)
	if err != nil || target == nil {
		return err
	}
	return w.erase(ctx, *target, told, whyDeletable(deleted))
}

// isUndeletable reports whether a realm may not be deleted any more.
func isUndeletable(err error) bool {
	_, notDue := errors.AsType[*organization.RealmNotDueError](err)
	return notDue || errors.Is(err, organization.ErrRealmInUse) || errors.Is(err, organization.ErrRealmDeleted)
}

// erase erases what a realm that is deleted has left.
func (w *dueWork) erase(ctx context.Context, target erasure.Target, told dueRealm, why string) error {
	if w.dryRun {
		remains, err := w.stores.erasures.Remains(ctx, target)
		if err == nil {
			w.tell(told, remains, why)
		}
		return err
	}
	remains, err := w.eraseRows(ctx, target)
	if err != nil {
		return err
	}
	err = w.eraseObjects(ctx, target, remains)
	if failed, is := errors.AsType[*erasure.IncompleteError](err); is && !failed.GaveUp {
		told.Error = failed.Error()
		remains, err = erasure.Remains{}, nil
		if w.failure == nil {
			w.failure = incomplete(failed, sameCommand)
		}
	} else if err != nil {
		return incomplete(err, sameCommand)
	}
	told.Deleted = told.Error == ""
	w.tell(told, remains, why)
	return err
}

func (w *dueWork) tell(told dueRealm, sum erasure.Remains, why string) {
	told.Remains = sum
	w.realms++
	w.sum.Objects += sum.Objects
	w.sum.Bytes += sum.Bytes
	if w.json {
		w.printJSON(told)
		return
	}
	verb := "deleted"
	switch {
	case w.dryRun:
		verb = "would be deleted"
	case told.Error != "":
		fmt.Fprintf(w.program.stdout, "Realm %s of %s, %s, is not erased: %s.\n", told.RealmID, told.OrganizationID, why, told.Error)
		return
	}
	fmt.Fprintf(w.program.stdout, "Realm %s of %s, %s, %s: %d blocks, %s.\n",
		told.RealmID, told.OrganizationID, why, verb, sum.Objects, byteCount(sum.Bytes))
}

func (w *dueWork) printJSON(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // These types have texts.
	}
	fmt.Fprintln(w.program.stdout, string(text))
}

// finish prints what the command has come to.
func (w *dueWork) finish(failure error) error {
	if w.json {
		summary := dueSummary{Realms: w.realms, Remains: w.sum, Complete: failure == nil}
		if failure != nil {
			summary.Error = failure.Error()
		}
		w.printJSON(map[string]dueSummary{"summary": summary})
		if failure != nil {
			return errTold
		}
		return nil
	}
	if failure == nil && w.realms == 0 && isTerminal(w.program.stderr) { // Cron sends what is printed.
		fmt.Fprintln(w.program.stderr, "No realm is to be deleted.")
	}
	return failure
}
