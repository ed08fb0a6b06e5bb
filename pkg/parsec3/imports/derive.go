package imports

import (
	"context"

	"parsec-server/pkg/imports"
)

// Derive implements imports.Wing.
func (Wing) Derive(ctx context.Context, pass *imports.Pass, into *imports.Filling) error {
	for _, statement := range derivations {
		if err := into.Run(ctx, statement, names(pass)); err != nil {
			return err
		}
	}
	return nil
}

// derivations compute what is counted, of the organizations $1.
var derivations = []string{
	`DELETE FROM parsec3.user_count k WHERE k.organization = ANY ($1)`,
	`INSERT INTO parsec3.user_count (organization, profile, revoked, users)
SELECT u.organization, u.profile, u.revoked_on IS NOT NULL, count(*) FROM parsec3.user_ u WHERE u.organization = ANY ($1) GROUP BY 1, 2, 3`,
	// What a server has summed up meanwhile is summed up again where it has become another.
	`INSERT INTO parsec3.realm_counter AS k (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size)
SELECT r.organization, r.realm_id, coalesce(v.checkpoint, 0), coalesce(a.last, 0), coalesce(a.bytes, 0), coalesce(b.bytes, 0)
FROM parsec3.realm r
LEFT JOIN (
    SELECT v.organization, v.realm_id, max(v.checkpoint) AS checkpoint FROM parsec3.vlob v WHERE v.organization = ANY ($1) GROUP BY 1, 2
) v ON v.organization = r.organization AND v.realm_id = r.realm_id
LEFT JOIN (
    SELECT a.organization, a.realm_id, max(a.written_on) AS last, sum(octet_length(a.blob)) AS bytes
    FROM parsec3.vlob_atom a WHERE a.organization = ANY ($1) GROUP BY 1, 2
) a ON a.organization = r.organization AND a.realm_id = r.realm_id
LEFT JOIN (
    SELECT b.organization, b.realm_id, sum(b.size) AS bytes FROM parsec3.block b WHERE b.organization = ANY ($1) AND b.upload_token IS NULL GROUP BY 1, 2
) b ON b.organization = r.organization AND b.realm_id = r.realm_id
WHERE r.organization = ANY ($1)
ON CONFLICT (organization, realm_id) DO UPDATE SET checkpoint = excluded.checkpoint, last_vlob = excluded.last_vlob, vlobs_size = excluded.vlobs_size,
    blocks_size = excluded.blocks_size, unsummed = true
WHERE (k.checkpoint, k.last_vlob, k.vlobs_size, k.blocks_size) IS DISTINCT FROM
    (excluded.checkpoint, excluded.last_vlob, excluded.vlobs_size, excluded.blocks_size)`,
	`INSERT INTO parsec3.last_signed AS l (organization, user_id, realm_id, last_date)
SELECT a.organization, d.user_id, a.realm_id, max(a.written_on)
FROM parsec3.vlob_atom a JOIN parsec3.device d ON d.organization = a.organization AND d.device_id = a.author
WHERE a.organization = ANY ($1) GROUP BY 1, 2, 3
ON CONFLICT (organization, user_id, realm_id) DO UPDATE SET last_date = excluded.last_date WHERE l.last_date < excluded.last_date`,
}
