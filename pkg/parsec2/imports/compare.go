package imports

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/imports"
)

// Compare implements imports.Wing.
func (Wing) Compare(ctx context.Context, from *imports.Snapshot, one *imports.Organization, in *imports.Inspected) error {
	kept, err := keptVlobs(ctx, from, strconv.FormatInt(one.Key, 10))
	if err != nil {
		return err
	}
	all := slices.Clone(comparisons)
	for i := range all {
		all[i].Source = strings.ReplaceAll(all[i].Source, "{kept}", kept)
	}
	return imports.CompareAll(ctx, from, one, in, all)
}

var comparisons = []imports.Comparison{
	{Rule: "users", Steps: imports.Steps{From: 1}, Source: `
SELECT 'user ' || u.user_id COLLATE "C", (u.revoked_on IS NOT NULL) || ' ' || md5(u.user_certificate) FROM user_ u WHERE u.organization = $1 ORDER BY 1`, Target: `
SELECT 'user ' || u.user_id, (u.revoked_on IS NOT NULL) || ' ' || md5(u.certificate) FROM user_ u JOIN organization o ON o.id = u.organization
WHERE o.organization_id = $1 ORDER BY 1`},
	{Rule: "devices", Steps: imports.Steps{From: 1}, Source: `
SELECT 'device ' || d.device_id COLLATE "C", md5(d.device_certificate) FROM device d WHERE d.organization = $1 ORDER BY 1`, Target: `
SELECT ('device ' || u.user_id || '@' || d.name) COLLATE "C", md5(d.certificate) FROM device d JOIN user_ u ON u.id = d.user_
JOIN organization o ON o.id = u.organization WHERE o.organization_id = $1 ORDER BY 1`},
	{Rule: "roles", Steps: imports.Steps{From: 1}, Source: `
SELECT 'realm ' || r.realm_id, count(*) || ' ' || ` + imports.Hashed("c.certificate") + `
FROM realm_user_role c JOIN realm r ON r._id = c.realm WHERE r.organization = $1 GROUP BY r.realm_id ORDER BY r.realm_id`, Target: `
SELECT 'realm ' || r.realm_id, count(*) || ' ' || ` + imports.Hashed("c.certificate") + `
FROM realm_role_certificate c JOIN realm r ON r.id = c.realm JOIN organization o ON o.id = r.organization WHERE o.organization_id = $1
GROUP BY r.realm_id ORDER BY r.realm_id`},
	{Rule: "messages", Steps: imports.Steps{From: 1}, Source: `
SELECT 'user ' || u.user_id COLLATE "C", count(*) || ' ' || ` + imports.Hashed("m.place || ':' || md5(m.body)") + `
FROM (SELECT x.recipient, x.body, row_number() OVER (PARTITION BY x.recipient ORDER BY x._id) AS place FROM message x WHERE x.organization = $1) m
JOIN user_ u ON u._id = m.recipient GROUP BY 1 ORDER BY 1`, Target: `
SELECT 'user ' || u.user_id, count(*) || ' ' || ` + imports.Hashed("m.position || ':' || md5(m.body)") + `
FROM message m JOIN user_ u ON u.id = m.recipient JOIN organization o ON o.id = u.organization WHERE o.organization_id = $1 GROUP BY 1 ORDER BY 1`},
	{Rule: "checkpoints", Steps: imports.Steps{From: 1}, Source: `
SELECT 'realm ' || r.realm_id, coalesce(max(u.index), 0)::text
FROM realm r LEFT JOIN realm_vlob_update u ON u.realm = r._id WHERE r.organization = $1 GROUP BY r.realm_id ORDER BY r.realm_id`, Target: `
SELECT 'realm ' || r.realm_id, r.checkpoint::text FROM realm r JOIN organization o ON o.id = r.organization WHERE o.organization_id = $1 ORDER BY r.realm_id`},
	{Rule: "versions", Steps: imports.Steps{From: 1}, Source: `
SELECT 'realm ' || r.realm_id, count(*) || ' ' || ` + imports.Hashed("x.vlob_id || ':' || x.version || ':' || md5(x.blob)") + `
FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1 AND {kept} AND (v.encryption_revision = ` + completeRevision + ` OR ` + leftBehind + `)
GROUP BY r.realm_id ORDER BY r.realm_id`, Target: `
SELECT 'realm ' || r.realm_id, count(*) || ' ' || ` + imports.Hashed("v.vlob_id || ':' || a.version || ':' || md5(a.blob)") + `
FROM vlob_atom a JOIN vlob v ON v.id = a.vlob JOIN realm r ON r.id = v.realm JOIN organization o ON o.id = r.organization
WHERE o.organization_id = $1 GROUP BY r.realm_id ORDER BY r.realm_id`},
	{Rule: "blocks", Steps: imports.Steps{From: 1}, Source: `
SELECT 'realm ' || r.realm_id, count(*) || ' ' || ` + imports.Hashed("b.block_id || ':' || b.size") + `
FROM block b JOIN realm r ON r._id = b.realm WHERE b.organization = $1 GROUP BY r.realm_id ORDER BY r.realm_id`, Target: `
SELECT 'realm ' || r.realm_id, count(*) || ' ' || ` + imports.Hashed("b.block_id || ':' || b.size") + `
FROM block b JOIN realm r ON r.id = b.realm JOIN organization o ON o.id = r.organization WHERE o.organization_id = $1 AND b.upload_token IS NULL
GROUP BY r.realm_id ORDER BY r.realm_id`},
	{Rule: "invitations", Steps: imports.Steps{From: 4}, Source: `
SELECT 'invitation ' || i.token, i.type::text || ' ' || (i.deleted_on IS NOT NULL AND i.type::text <> 'SHAMIR_RECOVERY') FROM invitation i WHERE i.organization = $1 ORDER BY i.token`, Target: `
SELECT 'invitation ' || i.token, i.type || ' ' || (i.deleted_on IS NOT NULL AND i.type <> 'SHAMIR_RECOVERY') FROM invitation i JOIN organization o ON o.id = i.organization
WHERE o.organization_id = $1 ORDER BY i.token`},
	{Rule: "enrollments", Steps: imports.Steps{From: 10}, Source: `
SELECT 'enrollment ' || e.enrollment_id, e.enrollment_state::text FROM pki_enrollment e WHERE e.organization = $1 ORDER BY e.enrollment_id`, Target: `
SELECT 'enrollment ' || e.enrollment_id, e.status FROM pki_enrollment e JOIN organization o ON o.id = e.organization WHERE o.organization_id = $1
ORDER BY e.enrollment_id`},
	{Rule: "sequester_copies", Steps: imports.Steps{From: 11}, Source: `
SELECT 'service ' || s.service_id, count(DISTINCT y.vlob_atom) FILTER (WHERE {kept})::text FROM sequester_service s
LEFT JOIN (sequester_service_vlob_atom y JOIN vlob_atom x ON x._id = y.vlob_atom` + ofRealm + `) ON y.service = s._id
WHERE s.organization = $1 GROUP BY s.service_id ORDER BY s.service_id`, Target: `
SELECT 'service ' || s.service_id, count(y.vlob)::text FROM sequester_service s JOIN organization o ON o.id = s.organization
LEFT JOIN sequester_copy y ON y.service = s.id WHERE o.organization_id = $1 GROUP BY s.service_id ORDER BY s.service_id`},
}
