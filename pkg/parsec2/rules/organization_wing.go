package rules

import (
	"context"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
)

var _ organization.Wing = (*Rules)(nil)

// People implements organization.Wing.
func (r *Rules) People(ctx context.Context, id parsec.OrganizationID) ([]organization.User, error) {
	all, err := r.store.Users(ctx, id)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b User) int { return compareCreation(&a, &b) })
	people := make([]organization.User, 0, len(all))
	for i := range all {
		if all[i].HumanHandle != (parsec.HumanHandle{}) {
			people = append(people, seenByAdministrator(&all[i]))
		}
	}
	return people, nil
}

func seenByAdministrator(user *User) organization.User {
	return organization.User{ID: user.ID.String(), HumanHandle: user.HumanHandle, Frozen: user.Frozen}
}

// findChosen returns false for a user that does not exist.
func findChosen(ctx context.Context, tx Tx, choice organization.UserChoice) (*User, bool, error) {
	if choice.Email == nil {
		id, err := parsec.ParseUserID(choice.ID)
		if err != nil {
			return nil, false, nil //nolint:nilerr // Nobody has what is no id.
		}
		return tx.User(ctx, id)
	}
	handle, err := parsec.ParseHumanHandle(*choice.Email, "x")
	if err != nil {
		return nil, false, nil //nolint:nilerr // Nobody has what is no e-mail.
	}
	return tx.UserByEmail(ctx, handle.Email())
}

// SetFrozen implements organization.Wing.
func (r *Rules) SetFrozen(ctx context.Context, id parsec.OrganizationID, choice organization.UserChoice, frozen bool) (before organization.User, err error) {
	err = r.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) error {
		user, found, err := findChosen(ctx, tx, choice)
		if err != nil {
			return err
		}
		if !found || user.Revocation != nil || user.HumanHandle == (parsec.HumanHandle{}) {
			return organization.ErrUserNotFound
		}
		before = seenByAdministrator(user)
		tx.FreezeUser(user.ID, frozen)
		tx.Emit(event.Event{Organization: id, Body: notice.UserFrozen{User: user.ID}})
		return nil
	})
	return before, err
}

// BootstrapLink implements organization.Wing.
func (*Rules) BootstrapLink(location parsec.Location, token string) organization.Link {
	address := location.Server().BootstrapAddress(location.Organization(), token)
	return organization.Link{URL: address.String(), HTTPRedirection: address.HTTPRedirection()}
}
