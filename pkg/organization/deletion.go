package organization

import (
	"context"
	"errors"
	"log/slog"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

// The refusals of a deletion, and of everything else that is asked of an organization
// meanwhile.
var (
	ErrNotExpired   = errors.New("the organization is not expired")
	ErrBeingDeleted = errors.New("the organization is being deleted")
)

// Eraser erases organizations that are deleted (pkg/erasure), bit by bit and beside
// others, until their names are free again.
type Eraser interface {
	// Wake has it begin at once.
	Wake()
	// Left tells what is left of an organization that is deleted, false if nothing is.
	Left(ctx context.Context, organization parsec.OrganizationID) (Left, bool, error)
}

// Left is what is left of an organization that is deleted.
type Left struct {
	// Rows reports whether its rows are not all erased. Until then there may be more
	// blocks than these.
	Rows bool
	// Blocks are the objects of the block store that are to be deleted, and Bytes their
	// size.
	Blocks, Bytes int64
}

// Delete deletes an organization that is expired, for good. At once nobody can ask for
// it any more, and its streams end on every instance; then all that it has is erased, and
// its name is free when nothing is left. It may be repeated. It returns ErrNotFound, or
// ErrNotExpired.
func (a *Administration) Delete(ctx context.Context, by Administrator, id parsec.OrganizationID) error {
	now := a.now()
	var before Organization
	err := a.store.ChangeOrganization(ctx, id, func(tx Tx) error {
		stored, found := tx.Organization()
		switch {
		case !found:
			return ErrNotFound
		case !stored.Expired(now):
			return ErrNotExpired
		}
		if before = *stored; stored.DeletedOn != nil {
			return nil
		}
		tx.MarkDeleted(now)
		tx.Emit(event.Event{Organization: id, Body: event.OrganizationExpiration{Date: stored.ExpirationDate}})
		return nil
	})
	if err != nil {
		return err
	}
	if before.DeletedOn == nil {
		a.audit(ctx, by, "delete_organization", id, slog.GroupAttrs("before", settings(&before)...))
	}
	a.options.Eraser.Wake()
	return nil
}

// Deletion tells what is left of an organization that is deleted. It returns ErrNotFound
// where nothing is, and ErrNotDeleted for one that is not deleted.
func (a *Administration) Deletion(ctx context.Context, id parsec.OrganizationID) (Left, error) {
	stored, found, err := a.store.Organization(ctx, id)
	switch {
	case err != nil:
		return Left{}, err
	case !found:
		return Left{}, ErrNotFound
	case stored.DeletedOn == nil:
		return Left{}, ErrNotDeleted
	}
	left, found, err := a.options.Eraser.Left(ctx, id)
	if err == nil && !found {
		err = ErrNotFound // It has just ended.
	}
	return left, err
}

// BoundTo returns the generation of an organization, which may be being deleted, 0 for
// none. It returns ErrNotFound.
func (a *Administration) BoundTo(ctx context.Context, id parsec.OrganizationID) (Generation, error) {
	stored, found, err := a.store.Organization(ctx, id)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, ErrNotFound
	default:
		return stored.Bound(), nil
	}
}

// ErrNotDeleted is of an organization of which nothing is being erased.
var ErrNotDeleted = errors.New("the organization is not being deleted")

// there returns why an organization cannot be worked with, nil if it can.
func there(stored *Organization, found bool) error {
	switch {
	case !found:
		return ErrNotFound
	case stored.DeletedOn != nil:
		return ErrBeingDeleted
	default:
		return nil
	}
}
