package check

import (
	"context"

	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// questions take the key of the organization, $1.
var questions = []check.Question{
	{Rule: UserCounts, SQL: `
SELECT 'users ' || c.profile || CASE WHEN c.revoked THEN ' revoked' ELSE '' END || CASE WHEN c.frozen THEN ' frozen' ELSE '' END,
    'there are ' || sum(c.counted) || ', and the count is ' || sum(c.stored)
FROM (
    SELECT u.profile, u.revoked_on IS NOT NULL AS revoked, u.frozen, 1::bigint AS counted, 0::bigint AS stored FROM user_ u WHERE u.organization = $1::bigint
    UNION ALL
    SELECT k.profile, k.revoked, k.frozen, 0, k.users FROM user_count k WHERE k.organization = $1::bigint
) c GROUP BY c.profile, c.revoked, c.frozen HAVING sum(c.counted) <> sum(c.stored)`},
	{Rule: Emails, SQL: `
SELECT 'e-mail ' || u.human_email, count(*) || ' active users have it' FROM user_ u
WHERE u.organization = $1::bigint AND u.revoked_on IS NULL AND u.human_email IS NOT NULL GROUP BY u.human_email HAVING count(*) > 1`},
	{Rule: Administrator, SQL: `
SELECT 'organization', 'it has none' WHERE NOT EXISTS (
    SELECT FROM user_ u WHERE u.organization = $1::bigint AND u.profile = 'ADMIN' AND u.revoked_on IS NULL)`},
	{Rule: Messages, SQL: `
SELECT 'user ' || u.user_id, 'it has ' || m.found || ' messages, up to ' || m.last || ' of ' || u.message_count
FROM user_ u CROSS JOIN LATERAL (
    SELECT count(*) AS found, coalesce(min(m.position), 1) AS first, coalesce(max(m.position), 0) AS last FROM message m WHERE m.recipient = u.id
) m
WHERE u.organization = $1::bigint AND (m.found <> u.message_count OR m.first <> 1 OR m.last <> u.message_count)`},
	{Rule: Messages, SQL: `
SELECT 'user ' || u.user_id || ' message ' || m.position, 'its sender is unknown' FROM message m JOIN user_ u ON u.id = m.recipient
WHERE u.organization = $1::bigint AND NOT EXISTS (
    SELECT FROM device d JOIN user_ s ON s.id = d.user_ WHERE d.id = m.sender AND s.organization = u.organization)`},
	{Rule: Reencryption, SQL: `
SELECT 'realm ' || r.realm_id, 'it counts ' || r.reencrypted || ' versions that are reencrypted of ' || r.checkpoint || ', and has ' || a.saved
FROM realm r CROSS JOIN LATERAL (
    SELECT count(*) AS saved FROM vlob v JOIN vlob_atom a ON a.vlob = v.id AND a.revision = r.encryption_revision WHERE v.realm = r.id
) a
WHERE r.organization = $1::bigint AND r.maintenance_type IS NOT NULL AND NOT r.deleted AND (a.saved + r.left_behind <> r.reencrypted OR r.reencrypted > r.checkpoint)`},
	{Rule: Reencryption, SQL: `
SELECT 'realm ' || r.realm_id, 'its encryption revision is ' || r.encryption_revision || ', and those from ' || r.kept_revision || ' on are kept' FROM realm r
WHERE r.organization = $1::bigint AND (r.encryption_revision < 1 OR r.kept_revision NOT BETWEEN 1 AND r.encryption_revision)`},
	{Rule: Reencryption, SQL: `
SELECT DISTINCT 'realm ' || r.realm_id || ' vlob ' || v.vlob_id, 'it has versions of the encryption revision ' || a.revision || ' of ' || r.encryption_revision
FROM realm r JOIN vlob v ON v.realm = r.id JOIN vlob_atom a ON a.vlob = v.id
WHERE r.organization = $1::bigint AND NOT r.deleted AND (a.revision > r.encryption_revision OR a.revision < r.kept_revision AND r.left_behind = 0)`},
	{Rule: RealmSizes, SQL: `
SELECT 'realm ' || r.realm_id, 'it counts ' || r.blocks_size || ' bytes of blocks, and holds ' || coalesce(b.bytes, 0)
FROM realm r LEFT JOIN (
    SELECT b.realm, sum(b.size) AS bytes FROM block b WHERE b.organization = $1::bigint AND b.upload_token IS NULL GROUP BY b.realm
) b ON b.realm = r.id
WHERE r.organization = $1::bigint AND NOT r.deleted AND r.blocks_size <> coalesce(b.bytes, 0)`},
	{Rule: DeletedRealm, SQL: `
SELECT 'realm ' || r.realm_id, 'it is deleted, and counts ' || r.vlobs_size || ' and ' || r.blocks_size || ' bytes, or has rows that nobody will erase'
FROM realm r JOIN organization o ON o.id = r.organization
WHERE r.organization = $1::bigint AND r.deleted AND (r.vlobs_size <> 0 OR r.blocks_size <> 0 OR (
    EXISTS (SELECT FROM vlob v WHERE v.realm = r.id) OR EXISTS (SELECT FROM block b WHERE b.realm = r.id)
) AND NOT EXISTS (
    SELECT FROM erasure e WHERE e.organization_id = o.organization_id AND (e.realm_id = r.realm_id OR e.realm_id IS NULL) AND e.rows_left))`},
	{Rule: Blocks, SQL: `
SELECT 'block ' || b.block_id, CASE WHEN r.id IS NULL THEN 'its realm' ELSE 'its author' END || ' is unknown'
FROM block b
LEFT JOIN realm r ON r.id = b.realm AND r.organization = b.organization
LEFT JOIN (device d JOIN user_ u ON u.id = d.user_) ON d.id = b.author AND u.organization = b.organization
WHERE b.organization = $1::bigint AND b.upload_token IS NULL AND (r.id IS NULL OR d.id IS NULL)`},
	{Rule: Copies, SQL: `
SELECT 'realm ' || r.realm_id || ' sequester service ' || coalesce(s.service_id::text, '') || ' copy ' || c.checkpoint, 'there is no version or service that it is of'
FROM sequester_copy c JOIN realm r ON r.id = c.realm
LEFT JOIN sequester_service s ON s.id = c.service AND s.organization = r.organization
LEFT JOIN vlob v ON v.id = c.vlob AND v.realm = r.id
WHERE r.organization = $1::bigint AND NOT r.deleted AND (s.id IS NULL OR v.id IS NULL OR c.version NOT BETWEEN 1 AND v.version OR c.checkpoint NOT BETWEEN 1 AND r.checkpoint)`},
	{Rule: Orphans, SQL: `
SELECT 'vlob ' || v.vlob_id, 'its realm is unknown' FROM vlob v
WHERE v.organization = $1::bigint AND NOT EXISTS (SELECT FROM realm r WHERE r.id = v.realm AND r.organization = v.organization)`},
	{Rule: Shamir, SQL: `
SELECT 'user ' || u.user_id, count(*) || ' Shamir recoveries are current' FROM shamir_recovery s JOIN user_ u ON u.id = s.owner
WHERE s.organization = $1::bigint AND s.current GROUP BY u.user_id HAVING count(*) > 1`},
	{Rule: Invitations, SQL: `
SELECT 'invitation ' || i.token, 'it is of ' || i.type FROM invitation i
WHERE i.organization = $1::bigint AND (i.type NOT IN ('USER', 'DEVICE', 'SHAMIR_RECOVERY') OR (i.type = 'SHAMIR_RECOVERY') <> (i.claimer IS NOT NULL))`},
	{Rule: Invitations, SQL: `
SELECT 'invitation ' || i.token, 'it is pending, and there is nothing to recover' FROM invitation i
WHERE i.organization = $1::bigint AND i.type = 'SHAMIR_RECOVERY' AND i.deleted_on IS NULL
    AND NOT EXISTS (SELECT FROM shamir_recovery s WHERE s.owner = i.claimer AND s.current)`},
}

// questionsOfAll are those that are of no organization that is checked.
var questionsOfAll = []check.Question{
	{Rule: Orphans, SQL: `
SELECT 'organization ' || o.organization_id, 'it has no root key, or another generation, but users of API 1 to 3' FROM organization o
WHERE (o.root_verify_key IS NULL OR o.generation = 3) AND EXISTS (SELECT FROM user_ u WHERE u.organization = o.id)`},
	{Rule: Orphans, SQL: `
SELECT 'version ' || a.version || ' of a vlob', 'the vlob ' || a.vlob || ' is missing' FROM vlob_atom a
WHERE NOT EXISTS (SELECT FROM vlob v WHERE v.id = a.vlob)`},
	{Rule: Orphans, SQL: `
SELECT 'message ' || m.position, 'its recipient ' || m.recipient || ' is missing' FROM message m
WHERE NOT EXISTS (SELECT FROM user_ u WHERE u.id = m.recipient)`},
}

func (c *checker) checkTables(ctx context.Context) error {
	return check.Ask(ctx, c.on, questions, []any{c.key}, c.fault)
}

// Rest checks what is of no organization that is bound to this generation.
func Rest(ctx context.Context, on *database.Inspection, report check.Report) error {
	return check.Ask(ctx, on, questionsOfAll, nil, report.OfOrganization(parsec.OrganizationID{}))
}
