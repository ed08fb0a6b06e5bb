package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
)

// deletionPeriod is the time between two looks at how far a deletion is.
const deletionPeriod = 500 * time.Millisecond

func (p program) organizationDeleteCommand() *cobra.Command {
	var yes bool
	command := p.longAdministrationCommand("delete", "Delete an expired organization with all that it holds. It cannot be undone.",
		func(command *cobra.Command, a administration) error {
			return p.deleteOrganization(command.Context(), a, yes, command.InOrStdin())
		})
	command.Long = `Delete an expired organization with all that it holds. It cannot be undone.

At once nobody can ask for the organization any more. Then the server erases its rows, and
then the objects of its blocks on every node of the block store; it goes on when this
command is stopped, and after a restart. The name is free when all of it is gone: until
then nobody can create an organization of this name. The same command shows how far it is.`
	command.Flags().BoolVar(&yes, "yes", false, "Do not ask for the name again.")
	return command
}

// deleteOrganization deletes an organization and waits for its end. One that is being
// deleted already it only waits for.
func (p program) deleteOrganization(ctx context.Context, a administration, yes bool, answer io.Reader) error {
	what, err := a.describe(ctx)
	switch {
	case isAdministration(err, codeBeingDeleted):
	case err != nil:
		return err
	default:
		if !yes {
			if err := p.confirm(what, a.organization.String(), answer); err != nil {
				return err
			}
		}
	}
	var left *client.Deletion
	err = within(ctx, func(ctx context.Context) (err error) {
		left, err = a.Delete(ctx, a.organization)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.awaitDeletion(ctx, a, left); err != nil {
		return fmt.Errorf("organization %s is deleted, and the server goes on erasing it, but how far it is is not known: %s", a.organization, err) //nolint:errorlint // Ctrl-C would be a success.
	}
	fmt.Fprintf(p.stdout, "Organization %s deleted.\n", a.organization)
	return nil
}

// codeBeingDeleted is that of organizations that are being deleted.
const codeBeingDeleted = "being_deleted"

// isAdministration reports whether an administration refused with a code.
func isAdministration(err error, code string) bool {
	refusal, is := errors.AsType[*client.AdministrationError](err)
	return is && refusal.Code == code
}

// describe says what an organization holds that may be deleted.
func (a administration) describe(ctx context.Context) (what string, err error) {
	err = within(ctx, func(ctx context.Context) error {
		state, err := a.Organization(ctx, a.organization)
		if err != nil {
			return err
		}
		if !state.IsExpired {
			return &client.AdministrationError{Code: "not_expired"}
		}
		statistics, err := a.Statistics(ctx, a.organization)
		if err != nil {
			return err
		}
		what = fmt.Sprintf("Organization %s, with %d user(s), %s of files in %d workspace(s) and %s of what describes them.", a.organization, statistics.Users,
			byteCount(int64(statistics.DataSize)), statistics.Realms, byteCount(int64(statistics.MetadataSize)))
		return nil
	})
	return what, err
}

// awaitDeletion shows how far a deletion is until nothing is left.
func (p program) awaitDeletion(ctx context.Context, a administration, left *client.Deletion) error {
	ticker := time.NewTicker(deletionPeriod)
	defer ticker.Stop()
	shown := newDeletionProgress(p, left)
	defer func() { shown.end() }()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := within(ctx, func(ctx context.Context) (err error) {
			left, err = a.Deletion(ctx, a.organization)
			return err
		})
		if refusal, is := errors.AsType[*client.AdministrationError](err); is && (refusal.Status == http.StatusNotFound || refusal.Status == http.StatusBadRequest) {
			return nil // Nothing is left, or somebody has created another one since.
		}
		if err != nil {
			return err
		}
		shown.show(left)
	}
}

// deletionProgress shows how far a deletion is: rows until they are gone, without knowing
// how many there are, then objects.
type deletionProgress struct {
	program program
	*progress
	last client.Deletion
}

func newDeletionProgress(p program, left *client.Deletion) *deletionProgress {
	return &deletionProgress{p, newProgress(p.stdout, p.stderr, left.Bytes), *left}
}

func (d *deletionProgress) show(left *client.Deletion) {
	if d.last.RowsLeft != left.RowsLeft || left.Bytes > d.last.Bytes { // Now it is known how many blocks there are.
		d.end()
		d.progress = newProgress(d.program.stdout, d.program.stderr, left.Bytes)
	} else {
		d.advance(d.last.Blocks-left.Blocks, d.last.Bytes-left.Bytes)
	}
	d.last = *left
}
