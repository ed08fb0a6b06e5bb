package imports

import (
	"context"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
)

// Derive implements imports.Wing.
func (Wing) Derive(ctx context.Context, pass *imports.Pass, into *imports.Filling) error {
	pairs, err := pass.Pairs(ctx)
	if err != nil {
		return err
	}
	replacer := strings.NewReplacer("{pairs}", pairs)
	for _, statement := range derivations {
		if err := into.Run(ctx, replacer.Replace(statement)); err != nil {
			return err
		}
	}
	return deriveFromSource(ctx, pass, into)
}

// derivations compute what is counted, of the organizations of a pass.
var derivations = []string{
	`DELETE FROM user_count k USING (VALUES {pairs}) p (source, here) WHERE k.organization = p.here`,
	`INSERT INTO user_count (organization, profile, revoked, frozen, users)
SELECT u.organization, u.profile, u.revoked_on IS NOT NULL, u.frozen, count(*) FROM user_ u JOIN (VALUES {pairs}) p (source, here) ON p.here = u.organization
GROUP BY 1, 2, 3, 4`,
	// Members are who ever had a role.
	`INSERT INTO realm_member AS m (realm, user_, role, role_certified_on)
SELECT DISTINCT ON (c.realm, c.user_) c.realm, c.user_, c.role, c.certified_on
FROM realm_role_certificate c JOIN realm r ON r.id = c.realm JOIN (VALUES {pairs}) p (source, here) ON p.here = r.organization
ORDER BY c.realm, c.user_, c.certified_on DESC, c.id DESC
ON CONFLICT (realm, user_) DO UPDATE SET role = EXCLUDED.role, role_certified_on = EXCLUDED.role_certified_on`,
	`INSERT INTO realm_member AS m (realm, user_, last_role_change)
SELECT c.realm, u.id, max(c.certified_on)
FROM realm_role_certificate c JOIN realm r ON r.id = c.realm JOIN (VALUES {pairs}) p (source, here) ON p.here = r.organization
JOIN user_ u ON u.organization = r.organization AND u.user_id = split_part(c.author, '@', 1)
WHERE EXISTS (SELECT FROM realm_role_certificate f WHERE f.realm = c.realm AND (f.certified_on, f.id) < (c.certified_on, c.id))
GROUP BY 1, 2
ON CONFLICT (realm, user_) DO UPDATE SET last_role_change = greatest(m.last_role_change, EXCLUDED.last_role_change)`,
	`INSERT INTO realm_member AS m (realm, user_, last_archiving_change)
SELECT c.realm, u.id, max(c.certified_on)
FROM realm_archiving_certificate c JOIN realm r ON r.id = c.realm JOIN (VALUES {pairs}) p (source, here) ON p.here = r.organization
JOIN user_ u ON u.organization = r.organization AND u.user_id = split_part(c.author, '@', 1)
GROUP BY 1, 2
ON CONFLICT (realm, user_) DO UPDATE SET last_archiving_change = greatest(m.last_archiving_change, EXCLUDED.last_archiving_change)`,
	`INSERT INTO realm_member AS m (realm, user_, last_vlob_update)
SELECT v.realm, d.user_, max(a.written_on)
FROM vlob_atom a JOIN vlob v ON v.id = a.vlob JOIN device d ON d.id = a.author JOIN (VALUES {pairs}) p (source, here) ON p.here = v.organization
GROUP BY 1, 2
ON CONFLICT (realm, user_) DO UPDATE SET last_vlob_update = greatest(m.last_vlob_update, EXCLUDED.last_vlob_update)`,
	`UPDATE realm r SET blocks_size = coalesce((SELECT sum(b.size) FROM block b WHERE b.realm = r.id), 0)
FROM (VALUES {pairs}) p (source, here) WHERE r.organization = p.here`,
}

// totals are of a realm in the source.
type totals struct {
	realm, checkpoint, size int64
}

func (t *totals) targets() []any { return []any{&t.realm, &t.checkpoint, &t.size} }

// change is when a member has last done something, as the source says, which may know
// more than its rows tell.
type change struct {
	realm, user                       int64
	lastRole, lastVlob, lastArchiving int64
}

func (c *change) targets() []any {
	return []any{&c.realm, &c.user, &c.lastRole, &c.lastVlob, &c.lastArchiving}
}

// deriveFromSource brings what the target cannot know: its versions are fewer than those
// that were written, where a realm was reencrypted.
func deriveFromSource(ctx context.Context, pass *imports.Pass, into *imports.Filling) error {
	kept, err := keptVlobs(ctx, pass.From, pass.Keys())
	if err != nil {
		return err
	}
	err = eachPage(ctx, pass, `
SELECT r._id::bigint, coalesce(max(u.index), 0)::bigint, coalesce(sum(x.size) FILTER (WHERE `+kept+`), 0)::bigint
FROM realm r LEFT JOIN realm_vlob_update u ON u.realm = r._id LEFT JOIN vlob_atom x ON x._id = u.vlob_atom
WHERE r.organization IN (`+pass.Keys()+`) GROUP BY r._id`, (*totals).targets, func(page []totals) error {
		realms, checkpoints, sizes := make([]int64, len(page)), make([]int64, len(page)), make([]int64, len(page))
		for i, one := range page {
			realms[i], checkpoints[i], sizes[i] = into.Number(one.realm), one.checkpoint, one.size
		}
		return into.Run(ctx, `
UPDATE realm r SET checkpoint = n.checkpoint, vlobs_size = n.size
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) n (realm, checkpoint, size)
WHERE r.id = n.realm AND (r.checkpoint, r.vlobs_size) IS DISTINCT FROM (n.checkpoint, n.size)`, realms, checkpoints, sizes)
	})
	if err == nil {
		err = countLeft(ctx, pass, into, kept)
	}
	if err != nil || pass.From.Step < 9 {
		return err
	}
	archiving := "0::bigint"
	if pass.From.Step >= 14 {
		archiving = "coalesce(" + micro("m.last_archiving_change") + ", 0)"
	}
	return eachPage(ctx, pass, `
SELECT m.realm::bigint, m.user_::bigint, coalesce(`+micro("m.last_role_change")+`, 0), coalesce(`+micro("m.last_vlob_update")+`, 0), `+archiving+`
FROM realm_user_change m JOIN realm r ON r._id = m.realm WHERE r.organization IN (`+pass.Keys()+`)`, (*change).targets, func(page []change) error {
		realms, users := make([]int64, len(page)), make([]int64, len(page))
		roles, vlobs, archivings := make([]int64, len(page)), make([]int64, len(page)), make([]int64, len(page))
		for i, one := range page {
			realms[i], users[i] = into.Number(one.realm), into.Number(one.user)
			roles[i], vlobs[i], archivings[i] = one.lastRole, one.lastVlob, one.lastArchiving
		}
		return into.Run(ctx, `
INSERT INTO realm_member AS m (realm, user_, last_role_change, last_vlob_update, last_archiving_change)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (realm, user_) DO UPDATE SET last_role_change = greatest(m.last_role_change, EXCLUDED.last_role_change),
    last_vlob_update = greatest(m.last_vlob_update, EXCLUDED.last_vlob_update),
    last_archiving_change = greatest(m.last_archiving_change, EXCLUDED.last_archiving_change)`, realms, users, roles, vlobs, archivings)
	})
}

// countLeft counts the versions that have a place in the change log, and that no
// reencryption will ever move: those that one has missed, and those of vlobs that another
// realm keeps.
func countLeft(ctx context.Context, pass *imports.Pass, into *imports.Filling, kept string) error {
	unmoved := leftBehind
	if kept != allKept {
		unmoved += " OR NOT (" + kept + ") AND EXISTS (SELECT FROM realm_vlob_update u WHERE u.vlob_atom = x._id)"
	}
	return eachPage(ctx, pass, `
SELECT r._id::bigint, count(*), 0::bigint FROM vlob_atom x`+ofRealm+` WHERE r.organization IN (`+pass.Keys()+`) AND (`+unmoved+`) GROUP BY r._id`, (*totals).targets, func(page []totals) error {
		for _, one := range page {
			err := into.Run(ctx, `
UPDATE realm SET left_behind = $2, reencrypted = CASE WHEN maintenance_type IS NULL THEN reencrypted ELSE $2 END
WHERE id = $1 AND (left_behind <> $2 OR maintenance_type IS NOT NULL AND reencrypted <> $2)`, into.Number(one.realm), one.checkpoint)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// page bounds the rows that are put together.
const page = 1000

// eachPage visits the rows of a statement on the source some at a time.
func eachPage[T any](ctx context.Context, pass *imports.Pass, sql string, targets func(*T) []any, visit func([]T) error) error {
	cursor, err := database.NewCursor(ctx, pass.From.Inspection, sql, nil, targets)
	if err != nil {
		return err
	}
	rows := make([]T, 0, page)
	err = cursor.Each(ctx, nil, func(row *T) error {
		if rows = append(rows, *row); len(rows) < page {
			return nil
		}
		err := visit(rows)
		rows = rows[:0]
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return visit(rows)
}
