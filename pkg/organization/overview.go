package organization

import (
	"context"
	"iter"
	"strings"

	"parsec-server/pkg/parsec"
)

// Activity is what is known of a user beside its certificates.
type Activity struct {
	User    string
	Devices uint64
	// LastSeen is the date of what the user has signed last. Who only reads signs
	// nothing.
	LastSeen parsec.DateTime
}

// ActivityReader reads what users do, next to the readers of the commands.
type ActivityReader interface {
	// Activities returns that of every user that has devices, in any order.
	Activities(ctx context.Context, organization parsec.OrganizationID) ([]Activity, error)
}

// Member is a user, of whatever state, as an administrator sees it.
type Member struct {
	User
	Profile   parsec.UserProfile
	CreatedOn parsec.DateTime
	// RevokedOn is nil for one that is not revoked.
	RevokedOn *parsec.DateTime
	Devices   uint64
	// LastSeen is that of Activity.
	LastSeen parsec.DateTime
}

// Overseen is a Wing that tells administrators who is there and what they do.
type Overseen interface {
	Wing
	// Members lists all users, by date of creation.
	Members(ctx context.Context, organization parsec.OrganizationID) ([]Member, error)
	// LastActivity returns the last date at which somebody signed something, 0 for never.
	LastActivity(ctx context.Context, organization parsec.OrganizationID) (parsec.DateTime, error)
}

// WithActivities adds to members what a reader knows of them.
func WithActivities(ctx context.Context, from ActivityReader, organization parsec.OrganizationID, members []Member) ([]Member, error) {
	activities, err := from.Activities(ctx, organization)
	if err != nil {
		return nil, err
	}
	of := make(map[string]Activity, len(activities))
	for _, activity := range activities {
		of[activity.User] = activity
	}
	for i := range members {
		known := of[members[i].ID]
		members[i].Devices, members[i].LastSeen = known.Devices, max(known.LastSeen, members[i].CreatedOn)
	}
	return members, nil
}

// LastOf returns the last date of the activities that a reader knows, 0 for none.
func LastOf(ctx context.Context, from ActivityReader, organization parsec.OrganizationID) (last parsec.DateTime, err error) {
	activities, err := from.Activities(ctx, organization)
	for _, activity := range activities {
		last = max(last, activity.LastSeen)
	}
	return last, err
}

// Members lists all users of an organization, by date of creation; none of one that is
// not bootstrapped. It returns ErrNotFound, or ErrBeingDeleted.
func (a *Administration) Members(ctx context.Context, id parsec.OrganizationID) ([]Member, error) {
	found, err := a.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.membersOf(ctx, found)
}

func (a *Administration) membersOf(ctx context.Context, of *Organization) ([]Member, error) {
	wing, is := a.wings[of.Bound()].(Overseen)
	if !is {
		return nil, nil
	}
	return wing.Members(ctx, of.ID)
}

// Overview is an organization, what it holds, and when somebody wrote there last.
type Overview struct {
	Surveyed
	// LastActivity is 0 for none.
	LastActivity parsec.DateTime
}

// Overviews lists every organization, in order of their ids. Of one that is being deleted
// it does not tell what it holds.
func (a *Administration) Overviews(ctx context.Context) iter.Seq2[Overview, error] {
	return func(yield func(Overview, error) bool) {
		for surveyed, err := range a.surveyAll(ctx, surveyPage, nil) {
			var overview Overview
			if err == nil {
				overview, err = a.overview(ctx, surveyed)
			}
			if !yield(overview, err) || err != nil {
				return
			}
		}
	}
}

func (a *Administration) overview(ctx context.Context, of Surveyed) (overview Overview, err error) {
	overview.Surveyed = of
	if of.Organization.DeletedOn != nil {
		overview.Statistics = NewStatistics()
		return overview, nil
	}
	if wing, is := a.wings[of.Organization.Bound()].(Overseen); is {
		overview.LastActivity, err = wing.LastActivity(ctx, of.Organization.ID)
	}
	return overview, err
}

// Found is a user, and its organization.
type Found struct {
	Organization parsec.OrganizationID
	Member
}

// FindMembers looks for the users of an e-mail address, in whatever letters, in every
// organization that is not being deleted. It passes over all users.
func (a *Administration) FindMembers(ctx context.Context, email string) (found []Found, err error) {
	for after := (parsec.OrganizationID{}); ; {
		page, err := a.store.Organizations(ctx, after, surveyPage, nil)
		if err != nil || len(page) == 0 {
			return found, err
		}
		for i := range page {
			if after = page[i].ID; page[i].DeletedOn != nil {
				continue
			}
			members, err := a.membersOf(ctx, &page[i])
			if err != nil {
				return nil, err
			}
			for _, member := range members {
				if strings.EqualFold(member.HumanHandle.Email(), email) {
					found = append(found, Found{after, member})
				}
			}
		}
	}
}

// PendingBootstrap returns the token that an organization is still to be bootstrapped
// with, "" for a spontaneous bootstrap. It returns ErrNotFound, ErrBeingDeleted, or
// ErrAlreadyBootstrapped.
func (a *Administration) PendingBootstrap(ctx context.Context, by Administrator, id parsec.OrganizationID) (token string, err error) {
	found, err := a.Find(ctx, id)
	if err != nil {
		return "", err
	}
	if found.Bootstrapped() {
		return "", ErrAlreadyBootstrapped
	}
	a.audit(ctx, by, "show_bootstrap_link", id)
	return found.BootstrapToken, nil
}
