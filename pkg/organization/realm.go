package organization

import (
	"context"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
)

// Deleting is what operators delete the realms of one generation by, next to running
// servers (docs/protocol/v5/administration.md §4). Its organizations may be expired.
// Besides the errors that are named here, its methods return ErrNotFound for an
// organization that is not of its generation.
type Deleting interface {
	// DeletableRealms lists the realms that may be deleted now, by id.
	DeletableRealms(ctx context.Context, organization parsec.OrganizationID) ([]DeletableRealm, error)
	// DeletableRealm returns a realm that may be deleted now, or ErrRealmNotFound,
	// ErrRealmDeleted, ErrRealmInUse or a *RealmNotDueError.
	DeletableRealm(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID) (DeletableRealm, error)
	// DeleteRealm deletes what DeletableRealm returns, for good: from then on commands
	// say that it is deleted, and what it holds is to be erased (pkg/erasure). It
	// decides anew, under the lock of the realm: without orphaned, on what is planned
	// alone.
	DeleteRealm(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID, orphaned bool) (DeletableRealm, error)
}

// Why a realm may not be deleted, in the order in which this is looked for.
var (
	ErrRealmNotFound = errors.New("no such realm")
	ErrRealmDeleted  = errors.New("the realm is deleted already")
	// ErrRealmInUse is of a realm that is neither orphaned nor to be deleted.
	ErrRealmInUse = errors.New("the deletion of the realm is not planned, and it has members who are not revoked")
)

// RealmNotDueError is of a realm whose deletion is planned for a date to come.
type RealmNotDueError struct{ On parsec.DateTime }

func (e *RealmNotDueError) Error() string {
	return fmt.Sprintf("the deletion of the realm is planned for %s, which has not come", e.On)
}

// DeletionKind is why a realm may be deleted.
type DeletionKind string

// The kinds, as they are written in JSON.
const (
	DeletionPlanned DeletionKind = "deletion_planned"
	Orphaned        DeletionKind = "orphaned"
)

// DeletableRealm is a realm that may be deleted.
type DeletableRealm struct {
	ID   parsec.RealmID
	Kind DeletionKind
	// On is the date that was planned, or that of the revocation by which the realm
	// was orphaned.
	On parsec.DateTime
}

// RealmEnd is what decides whether a realm may be deleted.
type RealmEnd struct {
	ID parsec.RealmID
	// Deleted reports whether it was deleted for good.
	Deleted bool
	// Planned is the date of the last archiving certificate, if that plans a
	// deletion; else nil.
	Planned *parsec.DateTime
	// Orphaned is the last date of the revocations of the users who have a role, if
	// all of them are revoked; else nil. In API 1 to 3 it is nil: only what its owner
	// has planned is deleted there.
	Orphaned *parsec.DateTime
}

// Deletable returns the realm if it may be deleted now, or the error of
// Deleting.DeletableRealm. End is nil for a realm that there is not.
func (end *RealmEnd) Deletable(now parsec.DateTime) (DeletableRealm, error) {
	switch {
	case end == nil:
		return DeletableRealm{}, ErrRealmNotFound
	case end.Deleted:
		return DeletableRealm{}, ErrRealmDeleted
	case end.Planned != nil && *end.Planned <= now:
		return DeletableRealm{end.ID, DeletionPlanned, *end.Planned}, nil
	case end.Orphaned != nil:
		return DeletableRealm{end.ID, Orphaned, *end.Orphaned}, nil
	case end.Planned != nil:
		return DeletableRealm{}, &RealmNotDueError{*end.Planned}
	default:
		return DeletableRealm{}, ErrRealmInUse
	}
}

// RealmEndReader reads what decides whether realms may be deleted, next to the
// readers of the commands.
type RealmEndReader interface {
	// RealmEnd reads a realm, nil if there is none.
	RealmEnd(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID) (*RealmEnd, error)
	// RealmEnds lists the realms that are not deleted and planned to be, or orphaned,
	// by id.
	RealmEnds(ctx context.Context, organization parsec.OrganizationID) ([]RealmEnd, error)
}

// DeletableRealms implements the method of Deleting by a reader, for an organization
// that is there.
func DeletableRealms(ctx context.Context, from RealmEndReader, organization parsec.OrganizationID, now parsec.DateTime) ([]DeletableRealm, error) {
	ends, err := from.RealmEnds(ctx, organization)
	if err != nil {
		return nil, err
	}
	var deletable []DeletableRealm
	for i := range ends {
		if realm, err := ends[i].Deletable(now); err == nil {
			deletable = append(deletable, realm)
		}
	}
	return deletable, nil
}
