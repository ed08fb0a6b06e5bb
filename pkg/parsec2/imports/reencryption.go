package imports

import (
	"context"
	"fmt"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
)

// encryption is how far the reencryption of a realm is.
type encryption struct {
	realm       int64
	revision    int64
	maintenance *string
	startedOn   *int64
	startedBy   *string
}

func (e *encryption) targets() []any {
	return []any{&e.realm, &e.revision, &e.maintenance, &e.startedOn, &e.startedBy}
}

// complete is the revision that has all versions.
func (e *encryption) complete() int64 {
	if e.maintenance != nil {
		return e.revision - 1
	}
	return e.revision
}

// settleRealms has realms be under the encryption revision that they are under in the
// source. Where another one has become complete since an earlier run, its versions take
// the place of those that came then.
func settleRealms(ctx context.Context, pass *imports.Pass, log *imports.Log) error {
	before := map[int64]encryption{}
	var there []encryption
	pairs, err := pass.Pairs(ctx)
	if err != nil {
		return err
	}
	err = pass.Read(ctx, database.List(&there, `
SELECT r.id, r.encryption_revision::bigint, r.maintenance_type, r.maintenance_started_on, r.maintenance_started_by
FROM realm r JOIN (VALUES `+pairs+`) p (source, here) ON p.here = r.organization`, nil, (*encryption).targets))
	if err != nil {
		return err
	}
	for _, one := range there {
		before[one.realm] = one
	}
	return eachPage(ctx, pass, `
SELECT r._id::bigint, r.encryption_revision::bigint, r.maintenance_type::text, `+micro("r.maintenance_started_on")+`, d.device_id::text
FROM realm r LEFT JOIN device d ON d._id = r.maintenance_started_by WHERE r.organization IN (`+pass.Keys()+`)`, (*encryption).targets,
		func(some []encryption) error {
			for _, now := range some {
				had, found := before[pass.Base+now.realm]
				if !found || had.revision == now.revision && (had.maintenance == nil) == (now.maintenance == nil) {
					continue
				}
				if err := settleRealm(ctx, pass, log, &now, had.complete() != now.complete()); err != nil {
					return err
				}
			}
			return nil
		})
}

func settleRealm(ctx context.Context, pass *imports.Pass, log *imports.Log, now *encryption, replaced bool) error {
	return pass.Fill(ctx, func(f *imports.Filling) error {
		number := f.Number(now.realm)
		err := f.Run(ctx, `
UPDATE realm SET encryption_revision = $2, maintenance_type = $3, maintenance_started_on = $4, maintenance_started_by = $5, kept_revision = $6,
    reencrypted = 0, reencrypted_through = 0 WHERE id = $1`,
			number, now.revision, now.maintenance, now.startedOn, now.startedBy, now.complete())
		if err != nil || !replaced {
			return err
		}
		if err := f.Run(ctx, "DELETE FROM vlob_atom a USING vlob v WHERE v.id = a.vlob AND v.realm = $1", number); err != nil {
			return err
		}
		return pass.Again(ctx, f, log, fmt.Sprintf("r._id = %d", now.realm))
	})
}
