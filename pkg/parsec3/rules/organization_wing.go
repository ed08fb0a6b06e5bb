package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
)

var _ organization.Sequestering = (*Rules)(nil)

// StatisticsOf implements organization.Wing.
func (r *Rules) StatisticsOf(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]organization.Statistics, error) {
	return r.store.StatisticsOf(ctx, organizations, at)
}

// People implements organization.Wing: those that are not revoked.
func (r *Rules) People(ctx context.Context, id parsec.OrganizationID) ([]organization.User, error) {
	all, err := r.store.Users(ctx, id)
	if err != nil {
		return nil, err
	}
	people := make([]organization.User, 0, len(all))
	for i := range all {
		if all[i].RevokedOn == nil {
			people = append(people, seenByAdministrator(&all[i]))
		}
	}
	return people, nil
}

func seenByAdministrator(user *User) organization.User {
	return organization.User{ID: user.ID.String(), HumanHandle: user.HumanHandle, Frozen: user.Frozen}
}

// SetFrozen implements organization.Wing. Whoever revokes the user meanwhile waits:
// both end its streams.
func (r *Rules) SetFrozen(ctx context.Context, id parsec.OrganizationID, choice organization.UserChoice, frozen bool) (before organization.User, err error) {
	err = r.store.Update(ctx, Scope{Organization: id, Common: Shared}, func(tx Tx) error {
		user, err := findChosen(ctx, tx, choice)
		if err != nil {
			return err
		}
		if err := checkChosen(user, choice); err != nil {
			return err
		}
		before = seenByAdministrator(user)
		tx.FreezeUser(user.ID, frozen)
		var body event.Body = notice.UserUnfrozen{User: user.ID}
		if frozen {
			body = notice.UserRevokedOrFrozen{User: user.ID}
		}
		tx.Emit(event.Event{Organization: id, Body: body})
		return nil
	})
	return before, err
}

// findChosen returns nil for a user that does not exist; by e-mail only those that are
// not revoked do.
func findChosen(ctx context.Context, tx Tx, choice organization.UserChoice) (user *User, err error) {
	if choice.Email != nil {
		user, _, err = tx.UserByEmail(ctx, *choice.Email)
		return user, err
	}
	id, err := parsec3.ParseUserID(choice.ID)
	if err != nil {
		return nil, nil //nolint:nilerr // Nobody has what is no id.
	}
	user, _, err = tx.User(ctx, id)
	return user, err
}

// BootstrapLink implements organization.Wing. A token that is none of this generation is
// taken for that of a spontaneous bootstrap: it lets nobody in.
func (*Rules) BootstrapLink(location parsec.Location, token string) organization.Link {
	target := parsec3.BootstrapTarget{}
	if parsed, err := parsec3.ParseAccessToken(token); err == nil {
		target.Token = &parsed
	}
	address := parsec3.Address{Location: location, Target: target}
	return organization.Link{URL: address.String(), HTTPRedirection: address.HTTPRedirection()}
}
