package rules

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
)

// ErrUserNotFound tells that no user can be frozen under that id or e-mail.
var ErrUserNotFound = errors.New("no such user, or it is revoked, or it has no human handle")

// HumanUsers lists the users that have a human handle, revoked ones included,
// in order of creation and without certificates. It refuses an organization
// that does not exist (docs/protocol/administration.md §4).
func (r *Rules) HumanUsers(ctx context.Context, organization parsec.OrganizationID) ([]User, error) {
	if _, err := r.existingOrganization(ctx, organization); err != nil {
		return nil, err
	}
	all, err := r.store.Users(ctx, organization)
	if err != nil {
		return nil, err
	}
	humans := make([]User, 0, len(all))
	for i := range all {
		if all[i].HumanHandle != (parsec.HumanHandle{}) {
			humans = append(humans, all[i])
		}
	}
	slices.SortFunc(humans, func(a, b User) int { return compareCreation(&a, &b) })
	return humans, nil
}

// UserChoice names a user: by its id, or if Email is not nil by that.
type UserChoice struct {
	ID    parsec.UserID
	Email *string
}

// find gives false for a user that does not exist.
func (c UserChoice) find(ctx context.Context, tx Tx) (*User, bool, error) {
	if c.Email == nil {
		return tx.User(ctx, c.ID)
	}
	handle, err := parsec.ParseHumanHandle(*c.Email, "x")
	if err != nil {
		return nil, false, nil //nolint:nilerr // Nobody has what is no e-mail.
	}
	return tx.UserByEmail(ctx, handle.Email())
}

// FreezeUser keeps a user out, or lets it in again; a user that is so already
// is fine. Either way the connections that the user has are closed. It returns
// the user, ErrUserNotFound for one that may not be frozen, and refuses an
// organization that does not exist (docs/protocol/administration.md §4).
func (r *Rules) FreezeUser(ctx context.Context, by Administrator, organization parsec.OrganizationID, choice UserChoice, frozen bool) (*User, error) {
	var before *User
	err := r.store.Update(ctx, Scope{Organization: organization, LockOrganization: true}, func(tx Tx) (err error) {
		if _, found := tx.Organization(); !found {
			return errOrganizationNotFound
		}
		var found bool
		before, found, err = choice.find(ctx, tx)
		if err != nil {
			return err
		}
		if !found || before.Revocation != nil || before.HumanHandle == (parsec.HumanHandle{}) {
			return ErrUserNotFound
		}
		tx.FreezeUser(before.ID, frozen)
		tx.Emit(event.Event{Organization: organization, Body: notice.UserFrozen{User: before.ID}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	after := *before
	after.Frozen = frozen
	r.auditChange(ctx, by, "freeze_user", organization,
		[]slog.Attr{slog.Bool("frozen", before.Frozen)}, []slog.Attr{slog.Bool("frozen", frozen)},
		slog.String("user", after.ID.String()))
	return &after, nil
}
