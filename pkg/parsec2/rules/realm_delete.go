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

// checkOfGeneration wants an organization of this generation, or of none yet, which has
// no realm.
func (r *Rules) checkOfGeneration(ctx context.Context, id parsec.OrganizationID) error {
	stored, err := r.FindOrganization(ctx, id)
	if err != nil {
		return err
	}
	if stored == nil || stored.Bound() != generation && stored.Bound() != 0 {
		return organization.ErrNotFound
	}
	return nil
}

// DeleteRealm implements organization.Deleting. The date alone deletes a realm for
// clients (docs/protocol/commands.md §1.7); this makes it so for servers whose clock is
// behind, too. None is orphaned here.
func (r *Rules) DeleteRealm(ctx context.Context, id parsec.OrganizationID, realm parsec.RealmID, _ bool) (deleted organization.DeletableRealm, err error) {
	now := r.now()
	err = r.store.Update(ctx, Scope{Organization: id, Realm: realm, By: RealmExclusive}, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found || stored.Bound() != generation && stored.Bound() != 0 {
			return organization.ErrNotFound
		}
		var end *organization.RealmEnd
		if facts, found := tx.Realm(); found {
			end = facts.End()
		}
		if deleted, err = end.Deletable(now); err != nil {
			return err
		}
		tx.MarkRealmDeleted()
		return nil
	})
	return deleted, err
}

// End returns what decides whether the realm may be deleted for good.
func (r *Realm) End() *organization.RealmEnd {
	end := &organization.RealmEnd{ID: r.ID, Deleted: r.Deleted}
	if r.Archiving.Type == parsec.ArchivingDeletionPlanned {
		end.Planned = r.Archiving.DeletionDate
	}
	return end
}
