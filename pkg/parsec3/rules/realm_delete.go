package rules

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Deleting = (*Rules)(nil)

// DeletableRealms implements organization.Deleting.
func (r *Rules) DeletableRealms(ctx context.Context, id parsec.OrganizationID) ([]organization.DeletableRealm, error) {
	if err := r.checkOfGeneration(ctx, id); err != nil {
		return nil, err
	}
	return organization.DeletableRealms(ctx, r.store, id, r.now())
}

// DeletableRealm implements organization.Deleting.
func (r *Rules) DeletableRealm(ctx context.Context, id parsec.OrganizationID, realm parsec.RealmID) (organization.DeletableRealm, error) {
	if err := r.checkOfGeneration(ctx, id); err != nil {
		return organization.DeletableRealm{}, err
	}
	end, err := r.store.RealmEnd(ctx, id, realm)
	if err != nil {
		return organization.DeletableRealm{}, err
	}
	return end.Deletable(r.now())
}

// checkOfGeneration wants an organization of this generation.
func (r *Rules) checkOfGeneration(ctx context.Context, id parsec.OrganizationID) error {
	stored, found, err := r.store.Organization(ctx, id)
	if err != nil {
		return err
	}
	if !found || stored.Bound() != generation {
		return organization.ErrNotFound
	}
	return nil
}

// DeleteRealm implements organization.Deleting. The lock of the realm keeps out who
// writes, and who changes its roles or its archiving; users who are revoked meanwhile
// only make it more deletable. Nobody is told (docs/protocol/v5/commands.md §7).
func (r *Rules) DeleteRealm(ctx context.Context, id parsec.OrganizationID, realm parsec.RealmID, orphaned bool) (deleted organization.DeletableRealm, err error) {
	now := r.now()
	scope := Scope{Organization: id, Common: Shared, Realm: realm, RealmLock: Exclusive, Date: now}
	err = r.store.Update(ctx, scope, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found || stored.Bound() != generation {
			return organization.ErrNotFound
		}
		end, err := tx.RealmEnd(ctx)
		if err != nil {
			return err
		}
		if end != nil && !orphaned {
			end.Orphaned = nil
		}
		if deleted, err = end.Deletable(now); err != nil {
			return err
		}
		tx.MarkRealmDeleted()
		return nil
	})
	return deleted, err
}
