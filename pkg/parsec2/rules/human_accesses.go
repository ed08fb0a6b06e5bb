package rules

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// HumanAccesses is a person, or what has no human handle, and its users in
// order of creation.
type HumanAccesses struct {
	HumanHandle parsec.HumanHandle
	Users       []UserAccesses
}

// UserAccesses is a user, without certificates, and its realms in order of the
// first change.
type UserAccesses struct {
	User   User
	Realms []RealmAccesses
}

// RealmAccesses is what roles a user was given in a realm, in order of date.
type RealmAccesses struct {
	Realm   parsec.RealmID
	Changes []RoleCertificate
}

// Accesses returns the role history of the users that words select, by person,
// in order of their labels; users without human handle come last
// (docs/protocol/administration.md §7, human_accesses). All words must occur in
// "label <e-mail> id", ignoring case.
func (r *Rules) Accesses(ctx context.Context, organization parsec.OrganizationID, words []string) ([]HumanAccesses, error) {
	if _, err := r.existingOrganization(ctx, organization); err != nil {
		return nil, err
	}
	// The changes come first: their users exist then.
	changes, err := r.store.RoleChanges(ctx, organization)
	if err != nil {
		return nil, err
	}
	users, err := r.store.Users(ctx, organization)
	if err != nil {
		return nil, err
	}
	realms := realmsByUser(changes)
	people := make(map[parsec.HumanHandle][]UserAccesses)
	for i := range users {
		if user := &users[i]; accessMatches(user, words) {
			people[user.HumanHandle] = append(people[user.HumanHandle], UserAccesses{*user, realms[user.ID]})
		}
	}
	accesses := make([]HumanAccesses, 0, len(people))
	for handle, users := range people {
		slices.SortFunc(users, func(a, b UserAccesses) int { return compareCreation(&a.User, &b.User) })
		accesses = append(accesses, HumanAccesses{handle, users})
	}
	slices.SortFunc(accesses, compareHumans)
	return accesses, nil
}

// realmsByUser takes changes in order of date.
func realmsByUser(changes []RoleCertificate) map[parsec.UserID][]RealmAccesses {
	byUser := make(map[parsec.UserID][]RealmAccesses)
	for _, change := range changes {
		realms := byUser[change.User]
		at := slices.IndexFunc(realms, func(known RealmAccesses) bool { return known.Realm == change.Realm })
		if at < 0 {
			at = len(realms)
			realms = append(realms, RealmAccesses{Realm: change.Realm})
		}
		realms[at].Changes = append(realms[at].Changes, change)
		byUser[change.User] = realms
	}
	return byUser
}

func accessMatches(user *User, words []string) bool {
	text := user.ID.String()
	if handle := user.HumanHandle; handle != (parsec.HumanHandle{}) {
		text = handle.Label() + " <" + handle.Email() + "> " + text
	}
	text = strings.ToLower(text)
	for _, word := range words {
		if !strings.Contains(text, strings.ToLower(word)) {
			return false
		}
	}
	return true
}

// compareCreation puts what was created first first.
func compareCreation(a, b *User) int {
	return cmp.Or(cmp.Compare(a.CreatedOn, b.CreatedOn), cmp.Compare(a.ID.String(), b.ID.String()))
}

// compareHumans puts what has no handle last.
func compareHumans(a, b HumanAccesses) int {
	none := parsec.HumanHandle{}
	switch {
	case a.HumanHandle == none:
		return 1
	case b.HumanHandle == none:
		return -1
	default:
		return cmp.Or(cmp.Compare(a.HumanHandle.Label(), b.HumanHandle.Label()), cmp.Compare(a.HumanHandle.Email(), b.HumanHandle.Email()))
	}
}

// HumanAccessesReader reads an organization for the report of human accesses.
type HumanAccessesReader interface {
	organization.ActivityReader
	// Users lists all users in byte order of their ids, without certificates.
	Users(ctx context.Context, organization parsec.OrganizationID) ([]User, error)
	// RoleChanges lists those of every realm, without certificates, in order of
	// date, those of one date and realm in order of insertion.
	RoleChanges(ctx context.Context, organization parsec.OrganizationID) ([]RoleCertificate, error)
}
