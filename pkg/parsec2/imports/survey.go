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
	c := newConverter(from, one, choices, nil)
	if err := c.convert(ctx); err != nil {
		return err
	}
	if err := c.shareVlobs(ctx); err != nil {
		return err
	}
	return imports.AskAll(ctx, from, one, questions)
}

// counted are the tables that are counted, with what follows FROM for the organization $1,
// and the expression of bytes.
var counted = []imports.Counted{
	{Table: "user_", From: "user_ x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1}},
	{Table: "device", From: "device x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1}},
	{Table: "realm", From: "realm x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1}},
	{Table: "realm_user_role", From: "realm_user_role x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1}},
	{Table: "realm_archiving", From: "realm_archiving x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 14}},
	{Table: "realm_vlob_update", From: "realm_vlob_update x JOIN realm r ON r._id = x.realm WHERE r.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1}},
	{
		Table: "vlob_atom", Bytes: "x.size", Steps: imports.Steps{From: 1},
		From: "vlob_atom x" + ofRealm + " WHERE r.organization = $1::bigint AND v.encryption_revision = " + completeRevision,
	},
	{Table: "message", From: "message x WHERE x.organization = $1::bigint", Bytes: "length(x.body)", Steps: imports.Steps{From: 1}},
	{Table: "block", From: "block x WHERE x.organization = $1::bigint", Bytes: "x.size", Steps: imports.Steps{From: 1}},
	{Table: "invitation", From: "invitation x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 4}},
	{Table: "user_invitation", From: "user_invitation x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1, To: 7}},
	{Table: "device_invitation", From: "device_invitation x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 1, To: 7}},
	{Table: "pki_enrollment", From: "pki_enrollment x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 10}},
	{Table: "sequester_service", From: "sequester_service x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 11}},
	{
		Table: "sequester_service_vlob_atom", Bytes: "length(x.blob)", Steps: imports.Steps{From: 11},
		From: "sequester_service_vlob_atom x JOIN sequester_service s ON s._id = x.service WHERE s.organization = $1::bigint",
	},
	{Table: "shamir_recovery_setup", From: "shamir_recovery_setup x WHERE x.organization = $1::bigint", Bytes: "0", Steps: imports.Steps{From: 13}},
}

// questions find what is wrong by one statement each.
var questions = []imports.Question{
	{Severity: imports.Repair, Rule: "message_index", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'user ' || u.user_id, count(*) || ' messages have another index than their place, and keep their place'
FROM (SELECT m.recipient, m.index, row_number() OVER (PARTITION BY m.recipient ORDER BY m._id) AS place FROM message m WHERE m.organization = $1::bigint) m
JOIN user_ u ON u._id = m.recipient WHERE m.index <> m.place GROUP BY u.user_id`},
	{Severity: imports.Repair, Rule: "version_in_old_revision", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' was written while a reencryption began or ended: nobody can read it'
FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND ` + leftBehind},
	{Severity: imports.Note, Rule: "versions_below_checkpoint", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm ' || r.realm_id, count(DISTINCT (x.vlob_id, x.version)) || ' of its versions are under an older revision alone: a reencryption counts them as done'
FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND ` + leftBehind + ` GROUP BY r.realm_id`},
	{Severity: imports.Stop, Rule: "versions", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm ' || a.realm_id || ' vlob ' || a.vlob_id, a.versions || ' versions, from ' || a.low || ' to ' || a.high
FROM (
    SELECT r.realm_id, x.vlob_id, count(DISTINCT x.version) AS versions, min(x.version) AS low, max(x.version) AS high
    FROM vlob_atom x` + ofRealm + ` WHERE r.organization = $1::bigint AND v.encryption_revision <= ` + completeRevision + ` GROUP BY r.realm_id, x.vlob_id
) a WHERE a.low <> 1 OR a.high <> a.versions`},
	{Severity: imports.Stop, Rule: "change_log", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm ' || r.realm_id, 'its change log has ' || count(*) || ' entries, from ' || min(u.index) || ' to ' || max(u.index)
FROM realm_vlob_update u JOIN realm r ON r._id = u.realm WHERE r.organization = $1::bigint
GROUP BY r.realm_id HAVING min(u.index) <> 1 OR max(u.index) <> count(*)`},
	{Severity: imports.Stop, Rule: "change_log", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is not in the change log'
FROM vlob_atom x` + ofRealm + ` LEFT JOIN realm_vlob_update u ON u.vlob_atom = x._id
WHERE r.organization = $1::bigint AND v.encryption_revision <= ` + completeRevision + `
GROUP BY r._id, r.realm_id, x.vlob_id, x.version HAVING count(u._id) = 0`},
	{Severity: imports.Stop, Rule: "missing_row", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm of another organization ' || r.realm_id, 'versions by ' || d.device_id
FROM vlob_atom x` + ofRealm + ` JOIN device d ON d._id = x.author WHERE r.organization = $1::bigint AND d.organization <> r.organization GROUP BY 1, 2`},
	{Severity: imports.Note, Rule: "data_after_revocation", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is of ' || x.created_on || ', and its author ' || d.device_id || ' was revoked at ' || w.revoked_on
FROM vlob_atom x` + ofRealm + ` JOIN device d ON d._id = x.author JOIN user_ w ON w._id = d.user_
WHERE r.organization = $1::bigint AND v.encryption_revision = ` + completeRevision + ` AND x.created_on >= w.revoked_on`},
	{Severity: imports.Note, Rule: "data_after_role", Steps: imports.Steps{From: 1}, SQL: `
WITH held AS (
    SELECT g.realm, g.user_, g.role, g.certified_on AS since,
        lead(g.certified_on) OVER (PARTITION BY g.realm, g.user_ ORDER BY g.certified_on, g._id) AS until
    FROM realm_user_role g JOIN realm r ON r._id = g.realm WHERE r.organization = $1::bigint
)
SELECT 'realm ' || r.realm_id || ' vlob ' || x.vlob_id, 'version ' || x.version || ' is of ' || x.created_on || ', when its author ' || d.device_id || ' could not write any more'
FROM vlob_atom x` + ofRealm + ` JOIN device d ON d._id = x.author
JOIN held h ON h.realm = r._id AND h.user_ = d.user_ AND h.since < x.created_on AND (h.until IS NULL OR x.created_on <= h.until)
WHERE r.organization = $1::bigint AND v.encryption_revision = ` + completeRevision + ` AND (h.role IS NULL OR h.role = 'READER')`},
	{Severity: imports.Note, Rule: "no_admin", Steps: imports.Steps{From: 5}, SQL: `
SELECT 'organization', 'it has no active ADMIN: nobody can create or revoke users any more, and only a new organization helps'
FROM organization o WHERE o._id = $1::bigint AND o.root_verify_key IS NOT NULL
    AND NOT EXISTS (SELECT FROM user_ u WHERE u.organization = o._id AND u.profile = 'ADMIN' AND u.revoked_on IS NULL)`},
	{Severity: imports.Note, Rule: "users_limit", Steps: imports.Steps{From: 7}, SQL: `
SELECT 'organization', 'it has more active users than its limit of ' || o.active_users_limit
FROM organization o WHERE o._id = $1::bigint
    AND o.active_users_limit < (SELECT count(*) FROM user_ u WHERE u.organization = o._id AND u.revoked_on IS NULL)`},
	{Severity: imports.Note, Rule: "block_size", Steps: imports.Steps{From: 1}, SQL: `
SELECT 'block ' || b.block_id, 'its row says ' || b.size || ' bytes, and the database has ' || length(d.data)
FROM block b JOIN organization o ON o._id = b.organization JOIN block_data d ON d.organization_id = o.organization_id AND d.block_id = b.block_id
WHERE b.organization = $1::bigint AND length(d.data) <> b.size`},
}
