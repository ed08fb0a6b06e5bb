package rules

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// HumanAccesses is a person, and its users in order of creation.
type HumanAccesses struct {
	HumanHandle parsec.HumanHandle
	Users       []UserAccesses
}

// UserAccesses is a user, what became of it in order of date, and its realms in order of
// the first change.
type UserAccesses struct {
	User    User
	Changes []ProfileChange
	Realms  []RealmAccesses
}

// ProfileChange is what happened to a user at a date.
type ProfileChange struct {
	On   parsec.DateTime
	Kind ProfileChangeKind
	// Profile is the one from then on, "" for a revocation.
	Profile parsec.UserProfile
}

// ProfileChangeKind is what happens to users.
type ProfileChangeKind uint8

// What happens to users.
const (
	UserCreated ProfileChangeKind = iota
	UserUpdated
	UserEnded
)

// RealmAccesses is what roles a user was given in a realm, in order of date.
type RealmAccesses struct {
	Realm   parsec.RealmID
	Changes []RoleChange
}

// RoleChange is a role that was given, parsec.RoleNone for one that was taken.
type RoleChange struct {
	On   parsec.DateTime
	Role parsec.RealmRole
}

// Accesses returns the history of the users that words select, by person, in order of
// their labels (docs/protocol/v5/administration.md §3, human_accesses). All words must
// occur in "label <e-mail> hex-id hyphenated-id", ignoring case. It returns
// organization.ErrNotFound, also for an organization that is not bootstrapped.
func (r *Rules) Accesses(ctx context.Context, id parsec.OrganizationID, words []string) ([]HumanAccesses, error) {
	stored, found, err := r.store.Organization(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found || stored.Bound() != generation {
		return nil, organization.ErrNotFound
	}
	// The realms come first, and the users last: whoever is in one exists then.
	histories := map[parsec3.UserID]*UserAccesses{}
	if err := r.addRealms(ctx, id, histories); err != nil {
		return nil, err
	}
	if err := r.addProfiles(ctx, id, histories); err != nil {
		return nil, err
	}
	users, err := r.store.Users(ctx, id)
	if err != nil {
		return nil, err
	}
	people := make(map[parsec.HumanHandle][]UserAccesses)
	for i := range users {
		if user := &users[i]; accessMatches(user, words) {
			history := historyOf(histories, user.ID)
			history.User = *user
			people[user.HumanHandle] = append(people[user.HumanHandle], *history)
		}
	}
	accesses := make([]HumanAccesses, 0, len(people))
	for handle, users := range people {
		slices.SortFunc(users, func(a, b UserAccesses) int {
			return cmp.Or(cmp.Compare(a.User.CreatedOn, b.User.CreatedOn), bytes.Compare(a.User.ID[:], b.User.ID[:]))
		})
		accesses = append(accesses, HumanAccesses{handle, users})
	}
	slices.SortFunc(accesses, func(a, b HumanAccesses) int {
		return cmp.Or(cmp.Compare(a.HumanHandle.Label(), b.HumanHandle.Label()), cmp.Compare(a.HumanHandle.Email(), b.HumanHandle.Email()))
	})
	return accesses, nil
}

func historyOf(histories map[parsec3.UserID]*UserAccesses, user parsec3.UserID) *UserAccesses {
	if histories[user] == nil {
		histories[user] = &UserAccesses{}
	}
	return histories[user]
}

func accessMatches(user *User, words []string) bool {
	handle, id := user.HumanHandle, parsec.UUID(user.ID)
	text := strings.ToLower(handle.Label() + " <" + handle.Email() + "> " + id.Hex() + " " + id.String())
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, strings.ToLower(word)) })
}

// addProfiles reads the common topic, whose certificates were verified when they came.
func (r *Rules) addProfiles(ctx context.Context, id parsec.OrganizationID, histories map[parsec3.UserID]*UserAccesses) error {
	list := CertificateList{Topic: CommonTopic, Until: math.MaxInt64}
	for signed, err := range certificatesOf(ctx, r.store, id, list) {
		if err != nil {
			return err
		}
		user, change, err := profileChange(signed)
		if err != nil {
			return fmt.Errorf("a certificate of organization %s: %w", id, err)
		}
		if user == (parsec3.UserID{}) {
			continue // of a device
		}
		history := historyOf(histories, user)
		history.Changes = append(history.Changes, change)
	}
	return nil
}

// profileChange returns what a certificate of the common topic does to a user, of nobody
// for one of a device.
func profileChange(signed []byte) (user parsec3.UserID, change ProfileChange, err error) {
	claim, err := certificate.ReadClaim(signed)
	if err != nil {
		return user, change, err
	}
	change.On = claim.Timestamp
	switch claim.Type {
	case "user_certificate":
		created, err := certificate.Read[certificate.User](signed)
		change.Profile = created.Profile
		return created.UserID, change, err
	case "user_update_certificate":
		updated, err := certificate.Read[certificate.UserUpdate](signed)
		change.Kind, change.Profile = UserUpdated, updated.NewProfile
		return updated.UserID, change, err
	case "revoked_user_certificate":
		revoked, err := certificate.Read[certificate.RevokedUser](signed)
		change.Kind = UserEnded
		return revoked.UserID, change, err
	default:
		return user, change, nil
	}
}

// realmsAtOnce bounds the realms that are listed at once.
const realmsAtOnce = 1000

// addRealms reads the topics of all realms.
func (r *Rules) addRealms(ctx context.Context, id parsec.OrganizationID, histories map[parsec3.UserID]*UserAccesses) error {
	for after := (parsec.RealmID{}); ; {
		page, err := r.store.RealmIDs(ctx, id, after, realmsAtOnce)
		if err != nil {
			return err
		}
		for _, realm := range page {
			if err := r.addRealm(ctx, id, realm, histories); err != nil {
				return err
			}
		}
		if len(page) < realmsAtOnce {
			break
		}
		after = page[len(page)-1]
	}
	for _, history := range histories {
		slices.SortStableFunc(history.Realms, func(a, b RealmAccesses) int { return cmp.Compare(a.Changes[0].On, b.Changes[0].On) })
	}
	return nil
}

func (r *Rules) addRealm(ctx context.Context, id parsec.OrganizationID, realm parsec.RealmID, histories map[parsec3.UserID]*UserAccesses) error {
	list := CertificateList{Topic: RealmTopic, Realm: realm, Until: math.MaxInt64}
	for signed, err := range certificatesOf(ctx, r.store, id, list) {
		if err != nil {
			return err
		}
		claim, err := certificate.ReadClaim(signed)
		if err == nil && claim.Type != "realm_role_certificate" {
			continue
		}
		role, roleErr := certificate.Read[certificate.RealmRole](signed)
		if err = cmp.Or(err, roleErr); err != nil {
			return fmt.Errorf("a certificate of realm %s: %w", realm, err)
		}
		history := historyOf(histories, role.UserID)
		if last := len(history.Realms) - 1; last < 0 || history.Realms[last].Realm != realm {
			history.Realms = append(history.Realms, RealmAccesses{Realm: realm})
		}
		of := &history.Realms[len(history.Realms)-1]
		of.Changes = append(of.Changes, RoleChange{role.Timestamp, role.Role})
	}
	return nil
}

// HumanAccessesReader reads an organization for the report of human accesses.
type HumanAccessesReader interface {
	// RealmIDs lists the realms that come after one, deleted ones included, in byte order,
	// at most so many.
	RealmIDs(ctx context.Context, organization parsec.OrganizationID, after parsec.RealmID, most int) ([]parsec.RealmID, error)
}
