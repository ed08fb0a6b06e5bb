package imports

import "parsec-server/pkg/imports"

// always is from the first step on.
var always = imports.Steps{From: 1}

func from(step int) imports.Steps { return imports.Steps{From: step} }

const inOrganization = " x WHERE x.organization = $1::bigint"

func inRealms(table string) string {
	return table + " x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint"
}

var counted = []imports.Counted{
	{Table: "user_", From: "user_" + inOrganization, Bytes: "0", Steps: always},
	{Table: "device", From: "device" + inOrganization, Bytes: "0", Steps: always},
	{Table: "realm", From: "realm" + inOrganization, Bytes: "0", Steps: always},
	{Table: "realm_user_role", From: inRealms("realm_user_role"), Bytes: "0", Steps: always},
	{Table: "realm_keys_bundle", From: inRealms("realm_keys_bundle"), Bytes: "length(x.keys_bundle)", Steps: always},
	{Table: "realm_vlob_update", From: inRealms("realm_vlob_update"), Bytes: "0", Steps: always},
	{Table: "vlob_atom", From: inRealms("vlob_atom"), Bytes: "x.size", Steps: always},
	{Table: "block", From: inRealms("block"), Bytes: "x.size", Steps: always},
	{Table: "invitation", From: "invitation" + inOrganization, Bytes: "0", Steps: always},
	{Table: "sequester_service", From: "sequester_service" + inOrganization, Bytes: "0", Steps: always},
	{Table: "shamir_recovery_setup", From: "shamir_recovery_setup" + inOrganization, Bytes: "0", Steps: always},
	{Table: "async_enrollment", From: "async_enrollment" + inOrganization, Bytes: "0", Steps: from(20)},
}

// revokedAt joins the author of x with when it was revoked.
const revokedAt = " JOIN device d ON d._id = x.author JOIN user_ w ON w._id = d.user_"

// questions are those about the rows of docs/protocol/import.md §5 and §6 that no
// certificate tells.
var questions = []imports.Question{
	{Severity: imports.Stop, Rule: "versions", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, count(*) || ' versions, from ' || min(x.version) || ' to ' || max(x.version)
FROM vlob_atom x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint
GROUP BY r.realm_id, x.vlob_id HAVING min(x.version) <> 1 OR max(x.version) <> count(*)`},
	{Severity: imports.Stop, Rule: "change_log", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id, 'its change log has ' || count(*) || ' entries, from ' || min(u.index) || ' to ' || max(u.index)
FROM realm_vlob_update u JOIN realm r ON r._id = u.realm WHERE r.organization = $1::bigint
GROUP BY r.realm_id HAVING min(u.index) <> 1 OR max(u.index) <> count(*)`},
	{Severity: imports.Stop, Rule: "change_log", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is ' || count(u._id) || ' times in the change log'
FROM vlob_atom x JOIN realm r ON r._id = x.realm LEFT JOIN realm_vlob_update u ON u.vlob_atom = x._id AND u.realm = x.realm
WHERE r.organization = $1::bigint GROUP BY r.realm_id, x.vlob_id, x.version HAVING count(u._id) <> 1`},
	{Severity: imports.Stop, Rule: "missing_row", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id, 'device ' || d.device_id || ' of another organization has written there'
FROM vlob_atom x JOIN realm r ON r._id = x.realm JOIN device d ON d._id = x.author
WHERE r.organization = $1::bigint AND d.organization <> r.organization GROUP BY 1, 2`},
	{Severity: imports.Stop, Rule: "key_index", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is of the key ' || x.key_index || ' of ' || r.key_index
FROM vlob_atom x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint AND (x.key_index > r.key_index OR x.key_index < 0)`},
	{Severity: imports.Stop, Rule: "key_index", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' block ' || x.block_id, 'it is of the key ' || x.key_index || ' of ' || r.key_index
FROM block x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint AND (x.key_index > r.key_index OR x.key_index < 0)`},
	{Severity: imports.Note, Rule: "older_key", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' of ' || x.created_on || ' is of the key ' || x.key_index || ', later than the rotation after it'
FROM vlob_atom x JOIN realm r ON r._id = x.realm JOIN realm_keys_bundle b ON b.realm = r._id AND b.key_index = x.key_index + 1
WHERE r.organization = $1::bigint AND x.created_on > b.certified_on AND x.key_index > 0`},
	{Severity: imports.Note, Rule: "block_in_two_realms", Steps: always, SQL: `
SELECT 'block ' || x.block_id, 'it is in the realms ' || string_agg(r.realm_id::text, ', ' ORDER BY x._id) || ', which have one object: it comes in one of them'
FROM block x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint GROUP BY x.block_id HAVING count(*) > 1`},
	{Severity: imports.Note, Rule: "data_after_revocation", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id,
    'version ' || x.version || ' is of ' || x.created_on || ', and its author ' || d.device_id || ' was revoked at ' || w.revoked_on
FROM vlob_atom x JOIN realm r ON r._id = x.realm` + revokedAt + ` WHERE r.organization = $1::bigint AND x.created_on >= w.revoked_on`},
	{Severity: imports.Note, Rule: "no_admin", Steps: from(3), SQL: `
SELECT 'organization', 'it has no active ADMIN: nobody can create or revoke users any more, and only a new organization helps'
FROM organization o WHERE o._id = $1::bigint AND o.root_verify_key IS NOT NULL
    AND NOT EXISTS (SELECT FROM user_ u WHERE u.organization = o._id AND u.current_profile = 'ADMIN' AND u.revoked_on IS NULL)`},
	{Severity: imports.Note, Rule: "users_limit", Steps: always, SQL: `
SELECT 'organization', 'it has more active users than its limit of ' || o.active_users_limit FROM organization o
WHERE o._id = $1::bigint AND o.active_users_limit < (SELECT count(*) FROM user_ u WHERE u.organization = o._id AND u.revoked_on IS NULL)`},
	{Severity: imports.Repair, Rule: "topic_date", Steps: always, SQL: `
SELECT 'common topic', 'it is of ' || t.last_timestamp || ', and its last certificate is later: it gets its date'
FROM common_topic t WHERE t.organization = $1::bigint AND t.last_timestamp < (
    SELECT greatest(max(u.created_on), max(u.revoked_on), (SELECT max(d.created_on) FROM device d WHERE d.organization = $1::bigint),
        (SELECT max(p.certified_on) FROM profile p JOIN user_ w ON w._id = p.user_ WHERE w.organization = $1::bigint))
    FROM user_ u WHERE u.organization = $1::bigint)`},
	{Severity: imports.Repair, Rule: "topic_date", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id, 'its topic is of ' || t.last_timestamp || ', and its last certificate is later: it gets its date'
FROM realm_topic t JOIN realm r ON r._id = t.realm WHERE r.organization = $1::bigint AND t.last_timestamp < greatest(
    (SELECT max(x.certified_on) FROM realm_user_role x WHERE x.realm = r._id), (SELECT max(x.certified_on) FROM realm_name x WHERE x.realm = r._id),
    (SELECT max(x.certified_on) FROM realm_archiving x WHERE x.realm = r._id), (SELECT max(x.certified_on) FROM realm_keys_bundle x WHERE x.realm = r._id))`},
	{Severity: imports.Repair, Rule: "realm_of_outsider", Steps: imports.Steps{From: 1, To: 10}, SQL: `
SELECT 'realm ' || r.realm_id, 'an OUTSIDER has made it: it is left out' FROM realm r WHERE r.organization = $1::bigint AND ` + outsiderRealm},
	{Severity: imports.Note, Rule: "block_size", Steps: always, SQL: `
SELECT 'realm ' || r.realm_id || ' block ' || x.block_id, 'its row says ' || x.size || ' bytes, and the database has ' || length(d.data)
FROM block x JOIN realm r ON r._id = x.realm JOIN organization o ON o._id = r.organization
JOIN block_data d ON d.organization_id = o.organization_id AND d.block_id = x.block_id
WHERE r.organization = $1::bigint AND length(d.data) <> x.size`},
	{Severity: imports.Note, Rule: "blocks_of_deleted", Steps: from(22), SQL: `
SELECT 'organization', 'operators have deleted ' || count(*) || ' realms: the objects of their blocks may be there still, and nobody needs them'
FROM realm r WHERE r.organization = $1::bigint AND r.status = 'DELETED' HAVING count(*) > 0`},
	{Severity: imports.Note, Rule: "cryptpad", Steps: from(26), SQL: `
SELECT 'organization', 'the sessions in which documents are edited together are not imported: the next person to open one begins a new one'
FROM organization o WHERE o._id = $1::bigint AND EXISTS (SELECT FROM cryptpad_session)`},
}
