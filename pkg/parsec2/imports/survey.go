package imports

import (
	"context"

	"parsec-server/pkg/imports"
)

// Survey implements imports.Wing.
func (Wing) Survey(ctx context.Context, from *imports.Snapshot, one *imports.Organization, choices imports.Choices) error {
	if err := imports.CountAll(ctx, from, one, counted); err != nil {
		return err
	}
	if err := newConverter(from, one, choices, nil).convert(ctx); err != nil {
		return err
	}
	return imports.AskAll(ctx, from, one, questions)
}

// counted are the tables that are counted, with what follows FROM for the organization $1,
// and the expression of bytes.
var counted = []imports.Counted{
	{"user_", "user_ x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 1, To: 0}},
	{"device", "device x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 1, To: 0}},
	{"realm", "realm x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 1, To: 0}},
	{"realm_user_role", "realm_user_role x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint", "0", imports.Steps{From: 1, To: 0}},
	{"realm_archiving", "realm_archiving x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint", "0", imports.Steps{From: 14, To: 0}},
	{"realm_vlob_update", "realm_vlob_update x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint", "0", imports.Steps{From: 1, To: 0}},
	{
		"vlob_atom",
		"vlob_atom x" + ofRealm + " WHERE r.organization = $1::bigint AND v.encryption_revision = " + completeRevision, "x.size", imports.Steps{From: 1, To: 0},
	},
	{"message", "message x WHERE x.organization = $1::bigint", "length(x.body)", imports.Steps{From: 1, To: 0}},
	{"block", "block x WHERE x.organization = $1::bigint", "x.size", imports.Steps{From: 1, To: 0}},
	{"invitation", "invitation x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 4, To: 0}},
	{"user_invitation", "user_invitation x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 1, To: 7}},
	{"device_invitation", "device_invitation x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 1, To: 7}},
	{"pki_enrollment", "pki_enrollment x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 10, To: 0}},
	{"sequester_service", "sequester_service x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 11, To: 0}},
	{
		"sequester_service_vlob_atom",
		"sequester_service_vlob_atom x JOIN sequester_service s ON s._id = x.service WHERE s.organization = $1::bigint", "length(x.blob)", imports.Steps{From: 11, To: 0},
	},
	{"shamir_recovery_setup", "shamir_recovery_setup x WHERE x.organization = $1::bigint", "0", imports.Steps{From: 13, To: 0}},
}

// questions find what is wrong by one statement each.
var questions = []imports.Question{
	{imports.Repair, "message_index", imports.Steps{From: 1}, `
SELECT 'user ' || u.user_id, count(*) || ' messages have another index than their place, and keep their place'
FROM (SELECT m.recipient, m.index, row_number() OVER (PARTITION BY m.recipient ORDER BY m._id) AS place FROM message m WHERE m.organization = $1::bigint) m
JOIN user_ u ON u._id = m.recipient WHERE m.index <> m.place GROUP BY u.user_id`},
	{imports.Repair, "version_in_old_revision", imports.Steps{From: 1}, `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' was written while a reencryption began or ended: nobody can read it'
FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND ` + leftBehind},
	{imports.Stop, "versions", imports.Steps{From: 1}, `
SELECT 'realm ' || a.realm_id || ' vlob ' || a.vlob_id, a.versions || ' versions, from ' || a.low || ' to ' || a.high
FROM (
    SELECT r.realm_id, x.vlob_id, count(DISTINCT x.version) AS versions, min(x.version) AS low, max(x.version) AS high
    FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND v.encryption_revision <= ` + completeRevision + ` GROUP BY r.realm_id, x.vlob_id
) a WHERE a.low <> 1 OR a.high <> a.versions`},
	{imports.Stop, "change_log", imports.Steps{From: 1}, `
SELECT 'realm ' || r.realm_id, 'its change log has ' || count(*) || ' entries, from ' || min(u.index) || ' to ' || max(u.index)
FROM realm_vlob_update u JOIN realm r ON r._id = u.realm WHERE r.organization = $1::bigint
GROUP BY r.realm_id HAVING min(u.index) <> 1 OR max(u.index) <> count(*)`},
	{imports.Stop, "change_log", imports.Steps{From: 1}, `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is not in the change log'
FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND v.encryption_revision <= ` + completeRevision + `
GROUP BY r._id, r.realm_id, x.vlob_id, x.version
HAVING NOT bool_or(EXISTS (SELECT FROM realm_vlob_update u WHERE u.vlob_atom = x._id))`},
	{imports.Stop, "missing_row", imports.Steps{From: 1}, `
SELECT 'realm of another organization ' || r.realm_id, 'versions by ' || d.device_id
FROM vlob_atom x` + ofRealm + ` JOIN device d ON d._id = x.author WHERE r.organization = $1::bigint AND d.organization <> r.organization GROUP BY 1, 2`},
	{imports.Note, "data_after_revocation", imports.Steps{From: 1}, `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is of ' || x.created_on || ', and its author ' || d.device_id || ' was revoked at ' || w.revoked_on
FROM vlob_atom x` + ofRealm + ` JOIN device d ON d._id = x.author JOIN user_ w ON w._id = d.user_
WHERE r.organization = $1::bigint AND v.encryption_revision = ` + completeRevision + ` AND x.created_on >= w.revoked_on`},
	{imports.Note, "no_admin", imports.Steps{From: 5}, `
SELECT 'organization', 'it has no active ADMIN: nobody can create or revoke users any more, and only a new organization helps'
FROM organization o WHERE o._id = $1::bigint AND o.root_verify_key IS NOT NULL
    AND NOT EXISTS (SELECT FROM user_ u WHERE u.organization = o._id AND u.profile = 'ADMIN' AND u.revoked_on IS NULL)`},
	{imports.Note, "users_limit", imports.Steps{From: 7}, `
SELECT 'organization', 'it has more active users than its limit of ' || o.active_users_limit
FROM organization o WHERE o._id = $1::bigint
    AND o.active_users_limit < (SELECT count(*) FROM user_ u WHERE u.organization = o._id AND u.revoked_on IS NULL)`},
	{imports.Note, "block_size", imports.Steps{From: 1}, `
SELECT 'block ' || b.block_id, 'its row says ' || b.size || ' bytes, and the database has ' || length(d.data)
FROM block b JOIN organization o ON o._id = b.organization JOIN block_data d ON d.organization_id = o.organization_id AND d.block_id = b.block_id
WHERE b.organization = $1::bigint AND length(d.data) <> b.size`},
	{imports.Stop, "vlob_in_two_realms", imports.Steps{From: 1}, `
SELECT 'vlob ' || x.vlob_id, 'it is in ' || count(DISTINCT r._id) || ' realms: ' || string_agg(DISTINCT r.realm_id::text, ', ')
FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND x.version = 1 GROUP BY x.vlob_id HAVING count(DISTINCT r._id) > 1`},
}
