package check

import (
	"context"
	"strings"

	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// questions take the organization, $1.
var questions = append([]check.Question{
	{Rule: UserCounts, SQL: `
SELECT 'users ' || c.profile || CASE WHEN c.revoked THEN ' revoked' ELSE '' END, 'there are ' || sum(c.counted) || ', and the count is ' || sum(c.stored)
FROM (
    SELECT u.profile, u.revoked_on IS NOT NULL AS revoked, 1::bigint AS counted, 0::bigint AS stored FROM parsec3.user_ u WHERE u.organization = $1
    UNION ALL
    SELECT k.profile, k.revoked, 0, k.users FROM parsec3.user_count k WHERE k.organization = $1
) c GROUP BY c.profile, c.revoked HAVING sum(c.counted) <> sum(c.stored)`},
	{Rule: Emails, SQL: `
SELECT 'e-mail ' || u.human_email, count(*) || ' active users have it' FROM parsec3.user_ u
WHERE u.organization = $1 AND u.revoked_on IS NULL GROUP BY u.human_email HAVING count(*) > 1`},
	{Rule: Administrator, SQL: `
SELECT 'organization', 'it has none' WHERE NOT EXISTS (
    SELECT FROM parsec3.user_ u WHERE u.organization = $1 AND u.profile = 'ADMIN' AND u.revoked_on IS NULL)`},
	{Rule: KeysBundles, SQL: `
SELECT 'realm ' || r.realm_id, 'it has ' || count(b.key_index) || ' keys bundles, up to ' || coalesce(max(b.key_index), 0) || ', for ' || r.key_index || ' rotations'
FROM parsec3.realm r LEFT JOIN parsec3.keys_bundle b ON b.organization = r.organization AND b.realm_id = r.realm_id
WHERE r.organization = $1 AND NOT r.deleted GROUP BY r.realm_id, r.key_index
HAVING count(b.key_index) <> r.key_index OR max(b.key_index) <> r.key_index OR min(b.key_index) <> 1`},
	{Rule: ServiceAccesses, SQL: `
SELECT 'realm ' || r.realm_id || ' sequester service ' || s.service_id,
    'it has ' || count(*) || ' accesses, from ' || min(a.key_index) || ' to ' || max(a.key_index) || ' of ' || r.key_index
FROM parsec3.sequester_access a
JOIN parsec3.realm r ON r.organization = a.organization AND r.realm_id = a.realm_id
JOIN parsec3.sequester_service s ON s.organization = a.organization AND s.service_id = a.service_id
WHERE a.organization = $1 AND NOT r.deleted GROUP BY r.realm_id, r.key_index, s.service_id, s.revoked_on
HAVING count(*) <> max(a.key_index) - min(a.key_index) + 1 OR min(a.key_index) < 1 OR max(a.key_index) > r.key_index
    OR s.revoked_on IS NULL AND max(a.key_index) <> r.key_index`},
	{Rule: Blocks, SQL: `
SELECT 'realm ' || b.realm_id || ' block ' || b.block_id,
    CASE WHEN d.device_id IS NULL THEN 'its author ' || b.author || ' is unknown' ELSE 'its key is ' || b.key_index || ' of ' || r.key_index END
FROM parsec3.block b
JOIN parsec3.realm r ON r.organization = b.organization AND r.realm_id = b.realm_id
LEFT JOIN parsec3.device d ON d.organization = b.organization AND d.device_id = b.author
WHERE b.organization = $1 AND b.upload_token IS NULL AND NOT r.deleted AND (d.device_id IS NULL OR b.key_index NOT BETWEEN 0 AND r.key_index)`},
	{Rule: RealmCounter, SQL: `
SELECT 'realm ' || k.realm_id, 'it counts ' || k.blocks_size || ' bytes of blocks, and holds ' || coalesce(b.bytes, 0)
FROM parsec3.realm_counter k
JOIN parsec3.realm r ON r.organization = k.organization AND r.realm_id = k.realm_id
LEFT JOIN (
    SELECT b.realm_id, sum(b.size) AS bytes FROM parsec3.block b WHERE b.organization = $1 AND b.upload_token IS NULL GROUP BY b.realm_id
) b ON b.realm_id = k.realm_id
WHERE k.organization = $1 AND NOT r.deleted AND k.blocks_size <> coalesce(b.bytes, 0)`},
	{Rule: Usage, SQL: `
SELECT 'organization', 'its sums are ' || coalesce(u.vlobs_size, 0) || ' and ' || coalesce(u.blocks_size, 0) || ', those of its realms ' || k.vlobs || ' and ' || k.blocks
FROM (
    SELECT coalesce(sum(k.summed_vlobs), 0) AS vlobs, coalesce(sum(k.summed_blocks), 0) AS blocks FROM parsec3.realm_counter k WHERE k.organization = $1
) k LEFT JOIN parsec3.usage u ON u.organization = $1
WHERE k.vlobs <> coalesce(u.vlobs_size, 0) OR k.blocks <> coalesce(u.blocks_size, 0)`},
	{Rule: Usage, SQL: `
SELECT 'realm ' || k.realm_id, 'it is not summed up, and nobody will do so' FROM parsec3.realm_counter k
WHERE k.organization = $1 AND NOT k.unsummed AND (k.summed_vlobs <> k.vlobs_size OR k.summed_blocks <> k.blocks_size)`},
	{Rule: ShamirRow, SQL: `
SELECT 'user ' || s.user_id, count(*) || ' Shamir recoveries are not deleted' FROM parsec3.shamir_setup s
WHERE s.organization = $1 AND s.deleted_on IS NULL GROUP BY s.user_id HAVING count(*) > 1`},
	{Rule: Invitations, SQL: `
SELECT 'invitation ' || i.token, 'it is of ' || i.type || ', ended as ' || coalesce(i.ended_as, '') FROM parsec3.invitation i
WHERE i.organization = $1 AND (i.type NOT IN ('USER', 'DEVICE', 'SHAMIR_RECOVERY') OR i.ended_as NOT IN ('FINISHED', 'CANCELLED'))`},
	{Rule: Invitations, SQL: `
SELECT 'invitation ' || max(i.token::text), count(*) || ' are pending for ' || coalesce(lower(i.claimer_email), i.claimer_user::text) FROM parsec3.invitation i
WHERE i.organization = $1 AND i.ended_on IS NULL
GROUP BY i.type, lower(i.claimer_email), i.claimer_user, i.setup_date HAVING count(*) > 1`},
	{Rule: Invitations, SQL: `
SELECT 'invitation ' || i.token, 'it is pending, and the Shamir recovery of ' || i.claimer_user || ' is deleted' FROM parsec3.invitation i
JOIN parsec3.shamir_setup s ON s.organization = i.organization AND s.user_id = i.claimer_user AND s.created_on = i.setup_date
WHERE i.organization = $1 AND i.ended_on IS NULL AND s.deleted_on IS NOT NULL`},
	{Rule: Invitations, SQL: `
SELECT 'invitation ' || i.token, a.greeter || ' greets' FROM parsec3.greeting_attempt a
JOIN parsec3.invitation i ON i.organization = a.organization AND i.token = a.token
WHERE a.organization = $1 AND (i.type = 'DEVICE' AND a.greeter <> i.claimer_user
    OR i.type = 'SHAMIR_RECOVERY' AND NOT EXISTS (
        SELECT FROM parsec3.shamir_share h
        WHERE h.organization = a.organization AND h.user_id = i.claimer_user AND h.created_on = i.setup_date AND h.recipient = a.greeter))`},
	{Rule: Enrollments, SQL: `
SELECT 'enrollment ' || e.enrollment_id, 'it is ' || e.status FROM parsec3.enrollment e
WHERE e.organization = $1 AND e.status NOT IN ('SUBMITTED', 'ACCEPTED', 'REJECTED', 'CANCELLED')`},
	{Rule: Enrollments, SQL: `
SELECT 'enrollment ' || min(e.enrollment_id::text), count(*) || ' wait for ' || e.email FROM parsec3.enrollment e
WHERE e.organization = $1 AND e.email IS NOT NULL GROUP BY e.email HAVING count(*) > 1`},
	{Rule: Cryptpad, SQL: `
SELECT 'realm ' || s.realm_id || ' document ' || s.document_id, 'it is of the key ' || s.key_index || ', by ' || s.author
FROM parsec3.cryptpad_session s
JOIN parsec3.realm r ON r.organization = s.organization AND r.realm_id = s.realm_id
LEFT JOIN parsec3.device d ON d.organization = s.organization AND d.device_id = s.author
WHERE s.organization = $1 AND NOT r.deleted AND (d.device_id IS NULL OR s.key_index NOT BETWEEN 0 AND r.key_index)`},
}, ofRealms()...)

// ofRealms returns the questions about every table of what is of a realm.
func ofRealms() (all []check.Question) {
	for _, table := range []string{"vlob_atom", "vlob", "block", "keys_bundle", "keys_bundle_access", "sequester_access", "cryptpad_session", "certificate"} {
		// What is of no realm, and is not meant to be, has the id zero.
		replaced := strings.NewReplacer("TABLE", table)
		all = append(all, check.Question{Rule: Orphans, SQL: replaced.Replace(`
SELECT 'realm ' || d.realm_id, 'it does not exist, but for rows of TABLE' FROM (
    SELECT DISTINCT t.realm_id FROM parsec3.TABLE t WHERE t.organization = $1 AND t.realm_id <> '00000000-0000-0000-0000-000000000000'
) d WHERE NOT EXISTS (SELECT FROM parsec3.realm r WHERE r.organization = $1 AND r.realm_id = d.realm_id)`)})
		if table != "certificate" {
			all = append(all, check.Question{Rule: DeletedRealm, SQL: replaced.Replace(`
SELECT 'realm ' || r.realm_id, 'it is deleted, has rows of TABLE, and nobody will erase them' FROM parsec3.realm r
WHERE r.organization = $1 AND r.deleted
    AND EXISTS (SELECT FROM parsec3.TABLE t WHERE t.organization = r.organization AND t.realm_id = r.realm_id)
    AND NOT EXISTS (SELECT FROM erasure e WHERE e.organization_id = r.organization AND (e.realm_id = r.realm_id OR e.realm_id IS NULL) AND e.rows_left)`)})
		}
	}
	return all
}

// questionsOfAll are those that are of no organization that is checked.
var questionsOfAll = []check.Question{
	{Rule: Orphans, SQL: `
SELECT 'organization ' || d.organization, 'it is not one of Parsec 3, but for certificates and data' FROM (
    SELECT c.organization FROM parsec3.certificate c UNION SELECT u.organization FROM parsec3.user_ u UNION SELECT a.organization FROM parsec3.vlob_atom a
) d WHERE NOT EXISTS (SELECT FROM organization o WHERE o.organization_id = d.organization AND o.generation = 3 AND o.root_verify_key IS NOT NULL)`},
	{Rule: Accounts, SQL: `
SELECT 'account ' || a.account_id, 'its current vault ' || a.vault || ' is missing, or has no active method' FROM parsec3.account a
WHERE NOT EXISTS (
    SELECT FROM parsec3.account_vault v JOIN parsec3.account_method m ON m.account_id = v.account_id AND m.vault = v.vault
    WHERE v.account_id = a.account_id AND v.vault = a.vault AND m.disabled_on IS NULL)`},
	{Rule: Accounts, SQL: `
SELECT 'account ' || a.account_id, 'its method ' || m.method_id || ' of the vault ' || m.vault || ' is active' FROM parsec3.account a
JOIN parsec3.account_method m ON m.account_id = a.account_id
WHERE m.disabled_on IS NULL AND m.vault <> a.vault`},
	{Rule: Accounts, SQL: `
SELECT 'account ' || m.account_id, count(*) || ' passwords are active' FROM parsec3.account_method m
WHERE m.disabled_on IS NULL AND m.memlimit_kb IS NOT NULL GROUP BY m.account_id HAVING count(*) > 1`},
	{Rule: Accounts, SQL: `
SELECT 'account ' || v.account_id, 'its vault ' || v.vault || ' counts ' || v.items || ' items and ' || v.methods || ' methods of ' || v.size || ' bytes, and has '
    || i.items || ' and ' || m.methods || ' of ' || i.bytes + m.bytes
FROM parsec3.account_vault v
CROSS JOIN LATERAL (
    SELECT count(*) AS items, coalesce(sum(octet_length(i.item)), 0) AS bytes FROM parsec3.account_item i
    WHERE i.account_id = v.account_id AND i.vault = v.vault
) i
CROSS JOIN LATERAL (
    SELECT count(*) AS methods, coalesce(sum(octet_length(m.vault_key_access)), 0) AS bytes FROM parsec3.account_method m
    WHERE m.account_id = v.account_id AND m.vault = v.vault
) m
WHERE v.items <> i.items OR v.methods <> m.methods OR v.size <> i.bytes + m.bytes`},
}

func (c *checker) checkTables(ctx context.Context) error {
	return check.Ask(ctx, c.on, questions, []any{c.name}, c.fault)
}

// Rest checks what is of no organization that is bound to this generation.
func Rest(ctx context.Context, on *database.Inspection, report check.Report) error {
	return check.Ask(ctx, on, questionsOfAll, nil, report.OfOrganization(parsec.OrganizationID{}))
}
